using System.Diagnostics;
using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Net.Ports;

namespace Xinim.Faults.Traffic;

/// <summary>
/// A client under observation: sends and receives checked frames over a <see cref="NetworkPort"/> on a thread of its own, with the other end of the
/// cable on another one, and notes when a driver's successor serves. A client error ends its port, is written down, and another client
/// takes its place.
/// </summary>
internal sealed class Workload : IDisposable
{
    private static readonly TimeSpan s_idle = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan s_joinLimit = TimeSpan.FromSeconds(60);
    private static uint s_run;

    private readonly object _sync = new();
    private readonly string _socket;
    private readonly ILine _line;
    private readonly WorkloadOptions _options;
    private readonly ReceivedBuffer[] _pieces = new ReceivedBuffer[64];
    private readonly Thread _thread;
    private readonly List<string> _errors = [];
    private FrameStream? _tx;
    private FrameStream? _rx;
    private StreamCounts _oldTx;
    private StreamCounts _oldRx;
    private uint _adopted;
    private long _adoptedAt;
    private long _firstSent;
    private long _firstReceived;
    private volatile bool _stop;
    private volatile bool _question;
    private int _answers;
    private string? _failure;

    public Workload(string device, string socket, ILine line, WorkloadOptions options)
    {
        (Device, _socket, _line, _options) = (device, socket, line, options);
        _thread = new Thread(Run) { IsBackground = true, Name = $"client of {device}" };
        _thread.Start();
    }

    /// <summary>The daemon's name for the NIC.</summary>
    public string Device { get; }

    /// <summary>The driver's life that the client uses.</summary>
    public uint Generation => Locked(() => _adopted);

    /// <summary>From the client to the wire, all clients of this workload together.</summary>
    public StreamCounts Tx => Locked(() => _oldTx + (_tx?.Counts ?? default));

    /// <summary>From the wire to the client.</summary>
    public StreamCounts Rx => Locked(() => _oldRx + (_rx?.Counts ?? default));

    /// <summary>What clients died of.</summary>
    public IReadOnlyList<string> Errors => Locked(() => _errors.ToArray());

    /// <summary>Moments of the present driver's life: when the client took its rings, and when the first frame had passed each way; 0 for not yet.</summary>
    public (uint Generation, long Adopted, long FirstSent, long FirstReceived) Life => Locked(() => (_adopted, _adoptedAt, _firstSent, _firstReceived));

    /// <inheritdoc cref="ILine.Dropped"/>
    public ulong LineDropped => _line.Dropped;

    /// <summary>Answers that the client got for its counters.</summary>
    public int Answers => Volatile.Read(ref _answers);

    /// <summary>Has the client ask the driver for its counters: a question that it has to answer.</summary>
    public void Ask() => _question = true;

    public void BeginOutage()
    {
        lock (_sync)
        {
            _tx?.BeginOutage(Stopwatch.GetTimestamp());
            _rx?.BeginOutage(Stopwatch.GetTimestamp());
        }
    }

    public void EndOutage()
    {
        lock (_sync)
        {
            _tx?.EndOutage(Stopwatch.GetTimestamp());
            _rx?.EndOutage(Stopwatch.GetTimestamp());
        }
    }

    /// <summary>Waits for something that frames or lives bring about.</summary>
    /// <returns>False where the time is over.</returns>
    public bool Await(Func<bool> condition, TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        lock (_sync)
        {
            while (!condition())
            {
                if (_failure is { } failure) throw new DeviceLostException(failure);
                TimeSpan left = limit - Stopwatch.GetElapsedTime(start);
                if (left <= TimeSpan.Zero) return false;
                Monitor.Wait(_sync, left < s_idle ? s_idle : left);
            }

            return true;
        }
    }

    public void Dispose()
    {
        _stop = true;
        if (!_thread.Join(s_joinLimit)) throw new CampaignException($"the client of {Device} does not end");
        _line.Dispose();
    }

    private void Run()
    {
        try
        {
            while (!_stop)
            {
                using NetworkPort port = NetworkPort.Open(Device, new NetworkPortOptions { TxBuffers = _options.Buffers, RxBuffers = _options.Buffers, StallLimit = WorkloadOptions.StallLimit }, _socket);
                Serve(port);
            }
        }
        catch (Exception exception) when (exception is NetworkPortException or LinuxException)
        {
            lock (_sync)
            {
                _failure = $"{Device} cannot be opened: {exception.Message}";
                Monitor.PulseAll(_sync);
            }
        }
    }

    /// <summary>One client's life.</summary>
    private void Serve(NetworkPort port)
    {
        MacAddress peer = MacAddress.From("\x02PEER\x01"u8);
        uint run = Interlocked.Increment(ref s_run);
        FrameStream tx = new(_sync, port.Info.Mac, peer, run << 1);
        FrameStream rx = new(_sync, peer, port.Info.Mac, (run << 1) | 1);
        lock (_sync) (_tx, _rx, _adopted) = (tx, rx, 0);
        using (new LinePeer(_line, rx, tx, new Pacer(rx, _options.Rate, _options.Window), NoteSent))
        {
            try
            {
                Pacer pacer = new(tx, _options.Rate, _options.Window);
                while (!_stop) Turn(port, tx, rx, pacer);
                Drain(port, rx);
            }
            catch (Exception exception) when (exception is NetworkPortException or RingException or ChannelException or LinuxException or ArgumentException or InvalidOperationException)
            {
                lock (_sync)
                {
                    _errors.Add($"{exception.GetType().Name}: {exception.Message}");
                    Monitor.PulseAll(_sync);
                }
            }
        }

        lock (_sync)
        {
            _oldTx += tx.Counts;
            _oldRx += rx.Counts;
            (_tx, _rx) = (null, null);
        }
    }

    private void Turn(NetworkPort port, FrameStream tx, FrameStream rx, Pacer pacer)
    {
        if (port.Generation != _adopted) Adopt(port.Generation);
        for (uint due = pacer.Due(Stopwatch.GetTimestamp()); due > 0 && port.TryRent(out uint slot); due--)
            port.Send(slot, (uint)tx.WriteNext(port.TxMemory(slot), Stopwatch.GetTimestamp()));
        port.Flush();
        port.Collect();
        if (_question)
        {
            _question = false;
            _ = port.GetStatistics();
            lock (_sync)
            {
                _answers++;
                Monitor.PulseAll(_sync);
            }
        }

        if (!Receive(port, rx)) port.Wait(s_idle);
    }

    private bool Receive(NetworkPort port, FrameStream rx)
    {
        uint count = port.Receive(_pieces);
        for (int i = 0; i < count; i++)
        {
            // No frame of the stream needs more than one buffer: pieces are damage, each of them.
            if (rx.Check(port.Data(_pieces[i])) && _firstReceived == 0) NoteReceived();
            port.Recycle(_pieces[i].Slot);
        }

        if (count != 0) port.Flush();
        return count != 0;
    }

    /// <summary>Frames that are on their way when all is over still arrive.</summary>
    private void Drain(NetworkPort port, FrameStream rx)
    {
        long start = Stopwatch.GetTimestamp();
        while (!port.TxIdle && Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(5))
        {
            port.Collect();
            if (!Receive(port, rx)) port.Wait(s_idle);
        }
    }

    private void Adopt(uint generation)
    {
        lock (_sync)
        {
            (_adopted, _adoptedAt, _firstSent, _firstReceived) = (generation, Stopwatch.GetTimestamp(), 0, 0);
            Monitor.PulseAll(_sync);
        }
    }

    private void NoteSent(long now)
    {
        if (Volatile.Read(ref _firstSent) != 0) return;
        lock (_sync)
        {
            if (_adopted == 0) return;
            _firstSent = now;
            Monitor.PulseAll(_sync);
        }
    }

    private void NoteReceived()
    {
        lock (_sync)
        {
            _firstReceived = Stopwatch.GetTimestamp();
            Monitor.PulseAll(_sync);
        }
    }

    private T Locked<T>(Func<T> read)
    {
        lock (_sync) return read();
    }
}
