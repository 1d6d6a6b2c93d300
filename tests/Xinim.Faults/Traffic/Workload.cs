using System.Diagnostics;
using Xinim.Block.Ports;
using Xinim.Ipc;
using Xinim.Net.Ports;
using Xinim.Serial.Ports;

namespace Xinim.Faults.Traffic;

/// <summary>
/// A client under observation: what it gets is checked on a thread of its own, and it is noted when a driver's successor serves. A client error ends its
/// port, is written down, and another client takes its place.
/// </summary>
internal abstract class Workload : IDisposable
{
    protected static readonly TimeSpan Idle = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan s_joinLimit = TimeSpan.FromSeconds(60);

    private readonly Thread _thread;
    private readonly List<string> _errors = [];
    private uint _adopted;
    private long _adoptedAt;
    private long _firstSent;
    private long _firstReceived;
    private volatile bool _stop;
    private volatile bool _question;
    private int _answers;
    private string? _failure;

    protected Workload(string device)
    {
        Device = device;
        _thread = new Thread(Run) { IsBackground = true, Name = $"client of {device}" };
    }

    /// <summary>The daemon's name for the device.</summary>
    public string Device { get; }

    /// <summary>The driver's life that the client uses.</summary>
    public uint Generation => Locked(() => _adopted);

    /// <summary>From the client to the device, all clients of this workload together.</summary>
    public StreamCounts Tx => Locked(() => TxCounts);

    /// <summary>From the device to the client.</summary>
    public StreamCounts Rx => Locked(() => RxCounts);

    /// <summary>What clients died of.</summary>
    public IReadOnlyList<string> Errors => Locked(() => _errors.ToArray());

    /// <summary>Moments of the present driver's life: when the client took its rings, and when the first good thing had passed each way; 0 for not yet.</summary>
    public (uint Generation, long Adopted, long FirstSent, long FirstReceived) Life => Locked(() => (_adopted, _adoptedAt, _firstSent, _firstReceived));

    /// <inheritdoc cref="ILine.Dropped"/>
    public virtual ulong LineDropped => 0;

    /// <summary>Answers that the client got for its counters.</summary>
    public int Answers => Volatile.Read(ref _answers);

    /// <summary>Guards what is counted; pulsed whenever something has come.</summary>
    protected object Sync { get; } = new();

    protected bool Stopping => _stop;

    /// <summary>Under <see cref="Sync"/>.</summary>
    protected abstract StreamCounts TxCounts { get; }

    /// <inheritdoc cref="TxCounts"/>
    protected abstract StreamCounts RxCounts { get; }

    /// <summary>Has the client ask the driver for its counters: a question that it has to answer.</summary>
    public void Ask() => _question = true;

    /// <summary>A fault is about to be injected.</summary>
    public virtual void BeginOutage()
    {
    }

    /// <summary>It is dealt with.</summary>
    public virtual void EndOutage()
    {
    }

    /// <summary>Looks at all that a driver which may have lied has left, and puts it right.</summary>
    /// <returns>False where that is not done in time.</returns>
    public virtual bool Scrub(TimeSpan limit) => true;

    /// <summary>Waits for something that traffic or lives bring about.</summary>
    /// <returns>False where the time is over.</returns>
    public bool Await(Func<bool> condition, TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        lock (Sync)
        {
            while (!condition())
            {
                if (_failure is { } failure) throw new DeviceLostException(failure);
                TimeSpan left = limit - Stopwatch.GetElapsedTime(start);
                if (left <= TimeSpan.Zero) return false;
                Monitor.Wait(Sync, left < Idle ? Idle : left);
            }

            return true;
        }
    }

    public virtual void Dispose()
    {
        _stop = true;
        if (_thread.IsAlive && !_thread.Join(s_joinLimit)) throw new CampaignException($"the client of {Device} does not end");
    }

    /// <summary>The last that a constructor does.</summary>
    protected void Begin() => _thread.Start();

    /// <summary>One client's life: opens the device, and serves until <see cref="Stopping"/> or until an error that it notes.</summary>
    protected abstract void Live();

    /// <summary>What can come out of a client's library.</summary>
    protected static bool IsClientError(Exception exception) => exception
        is NetworkPortException or BlockException or ConsolePortException or Ipc.Rings.RingException or Ipc.Channels.ChannelException or LinuxException or ArgumentException or InvalidOperationException;

    protected void NoteError(Exception exception)
    {
        lock (Sync)
        {
            _errors.Add($"{exception.GetType().Name}: {exception.Message}");
            Monitor.PulseAll(Sync);
        }
    }

    /// <summary>A client that is new knows no driver.</summary>
    protected void Forget()
    {
        lock (Sync) _adopted = 0;
    }

    /// <summary>Notes the driver that the client uses, and asks it where that is wished.</summary>
    protected void Attend(uint generation, Action ask)
    {
        if (generation != _adopted) Adopt(generation);
        if (!_question) return;
        _question = false;
        ask();
        lock (Sync)
        {
            _answers++;
            Monitor.PulseAll(Sync);
        }
    }

    /// <summary>Something has gone out through the present driver.</summary>
    protected void NoteSent(long now)
    {
        if (Volatile.Read(ref _firstSent) != 0) return;
        lock (Sync)
        {
            if (_adopted == 0) return;
            _firstSent = now;
            Monitor.PulseAll(Sync);
        }
    }

    /// <summary>Something has come in through the present driver.</summary>
    protected void NoteReceived()
    {
        if (Volatile.Read(ref _firstReceived) != 0) return;
        lock (Sync)
        {
            _firstReceived = Stopwatch.GetTimestamp();
            Monitor.PulseAll(Sync);
        }
    }

    private void Adopt(uint generation)
    {
        lock (Sync)
        {
            (_adopted, _adoptedAt, _firstSent, _firstReceived) = (generation, Stopwatch.GetTimestamp(), 0, 0);
            Monitor.PulseAll(Sync);
        }
    }

    private void Run()
    {
        try
        {
            while (!_stop) Live();
        }
        catch (Exception exception) when (exception is NetworkPortException or BlockException or ConsolePortException or LinuxException)
        {
            lock (Sync)
            {
                _failure = $"{Device} cannot be opened: {exception.Message}";
                Monitor.PulseAll(Sync);
            }
        }
    }

    private T Locked<T>(Func<T> read)
    {
        lock (Sync) return read();
    }
}
