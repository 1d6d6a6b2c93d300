using System.Diagnostics;
using Xinim.Ipc.Protocols;
using Xinim.Serial.Ports;

namespace Xinim.Faults.Traffic;

/// <summary>
/// A console port's client: sends checked frames as bytes, and checks them again when the other side has given them back. A port loses nothing and repeats nothing, whoever dies: that
/// holds for the whole way out and back.
/// </summary>
internal sealed class ConsoleWorkload : Workload
{
    /// <summary>Name of the port whose other side gives back what it gets, as in the lab (scripts/lab.sh).</summary>
    public const string EchoPort = "xinim.echo";

    private static readonly TimeSpan s_openLimit = TimeSpan.FromSeconds(20), s_drainLimit = TimeSpan.FromSeconds(5);
    private static uint s_run;

    private readonly string _socket;
    private readonly WorkloadOptions _options;
    private readonly byte[] _frame = new byte[FrameFinder.HeadBytes + 2048], _piece = new byte[4096];
    private FrameStream? _stream;
    private StreamCounts _old;

    public ConsoleWorkload(string device, string socket, WorkloadOptions options)
        : base(device)
    {
        (_socket, _options) = (socket, options);
        Begin();
    }

    protected override StreamCounts TxCounts => _old + (_stream?.Counts ?? default);

    /// <summary>What is missing is counted once, on the way out.</summary>
    protected override StreamCounts RxCounts => TxCounts with { Lost = 0 };

    public override void BeginOutage()
    {
        lock (Sync) _stream?.BeginOutage(Stopwatch.GetTimestamp());
    }

    public override void EndOutage()
    {
        lock (Sync) _stream?.EndOutage(Stopwatch.GetTimestamp());
    }

    protected override void Live()
    {
        using ConsolePort port = Open();
        FrameStream stream = new(Sync, MacAddress.From("\x02OUTW\x01"u8), MacAddress.From("\x02PEER\x01"u8), Interlocked.Increment(ref s_run) << 1);
        lock (Sync) _stream = stream;
        Forget();
        FrameFinder finder = new();
        try
        {
            Pacer pacer = new(stream, _options.Rate, _options.Window);
            while (!Stopping) Turn(port, stream, pacer, finder);
            Drain(port, stream, finder);
        }
        catch (Exception exception) when (IsClientError(exception))
        {
            NoteError(exception);
        }

        lock (Sync)
        {
            _old += stream.Counts;
            _stream = null;
        }
    }

    /// <summary>A device tells of its ports when its driver is up, a moment later.</summary>
    private ConsolePort Open()
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return ConsolePort.Open(Device, EchoPort, _socket);
            }
            catch (ConsolePortException) when (Stopwatch.GetElapsedTime(start) < s_openLimit)
            {
                Thread.Yield();
            }
        }
    }

    private void Turn(ConsolePort port, FrameStream stream, Pacer pacer, FrameFinder finder)
    {
        // The daemon asks the driver by itself, once a second.
        Attend(port.Generation, () => { });
        for (uint due = pacer.Due(Stopwatch.GetTimestamp()); due > 0 && port.WriteRoom >= _frame.Length; due--)
        {
            int length = stream.WriteNext(_frame.AsSpan(FrameFinder.HeadBytes), Stopwatch.GetTimestamp());
            FrameFinder.WriteHead(_frame, length);
            _ = port.Write(_frame.AsSpan(0, FrameFinder.HeadBytes + length));
        }

        if (!Receive(port, stream, finder)) _ = port.Wait(Idle);
    }

    private bool Receive(ConsolePort port, FrameStream stream, FrameFinder finder)
    {
        int count = port.Read(_piece);
        finder.Add(_piece.AsSpan(0, count), frame =>
        {
            if (!stream.Check(frame)) return false;
            NoteSent(Stopwatch.GetTimestamp());
            NoteReceived();
            return true;
        });
        return count != 0;
    }

    private void Drain(ConsolePort port, FrameStream stream, FrameFinder finder)
    {
        long start = Stopwatch.GetTimestamp();
        while (stream.Arrived < stream.Sent && Stopwatch.GetElapsedTime(start) < s_drainLimit)
        {
            if (!Receive(port, stream, finder)) _ = port.Wait(Idle);
        }
    }
}
