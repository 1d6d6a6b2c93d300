using System.Diagnostics;

namespace Xinim.Faults.Traffic;

/// <summary>The station at the other end of the cable: sends one stream to the NIC and checks the one that comes from it, on a thread of its own.</summary>
internal sealed class LinePeer : IDisposable
{
    private const int Batch = 256;
    private static readonly TimeSpan s_wait = TimeSpan.FromMilliseconds(1);

    private readonly ILine _line;
    private readonly FrameStream _out;
    private readonly Action<long> _onGood;
    private readonly FrameStream _in;
    private readonly Pacer _pacer;
    private readonly byte[] _frame = new byte[65536];
    private readonly Thread _thread;
    private volatile bool _stop;

    /// <param name="outgoing">Towards the NIC.</param>
    /// <param name="incoming">From it.</param>
    /// <param name="onGood">Told when a good frame has come, with the time.</param>
    public LinePeer(ILine line, FrameStream outgoing, FrameStream incoming, Pacer pacer, Action<long> onGood)
    {
        (_line, _out, _in, _pacer, _onGood) = (line, outgoing, incoming, pacer, onGood);
        _thread = new Thread(Run) { IsBackground = true, Name = "line peer" };
        _thread.Start();
    }

    public void Dispose()
    {
        _stop = true;
        _thread.Join();
    }

    private void Run()
    {
        while (!_stop)
        {
            for (uint due = _pacer.Due(Stopwatch.GetTimestamp()); due > 0; due--)
            {
                int size = _out.WriteNext(_frame, Stopwatch.GetTimestamp());
                _ = _line.TrySend(_frame.AsSpan(0, size));
            }

            TimeSpan wait = s_wait;
            // Bounded: a device gone wild sends without end.
            for (int count = 0, length; count < Batch && (length = _line.Receive(_frame, wait)) != 0; count++)
            {
                wait = TimeSpan.Zero;
                if (_in.Check(_frame.AsSpan(0, length))) _onGood(Stopwatch.GetTimestamp());
            }
        }
    }
}
