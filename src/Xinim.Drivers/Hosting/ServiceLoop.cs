using System.Diagnostics;
using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Ipc.Sandboxing;
using Xinim.Vfio;

namespace Xinim.Drivers.Hosting;

/// <summary>
/// The main loop of a driver process: polls while there is work, arms interrupts and sleeps when there is none. One thread does
/// everything, so a driver needs no locks. How many clients there are, and what they share with the driver, is the class's.
/// </summary>
internal abstract class ServiceLoop : IDriverLoop
{
    /// <summary>
    /// Empty polls before going to sleep after the client gave work: some 30 µs, as long as a wake-up with
    /// its interrupt takes, so that waiting never costs more than twice the best choice; counted in polls because a machine on which they are slow wakes up slowly too. After the device gave work the next empty poll ends it: interrupt moderation gathers work better
    /// than a processor that looks for it piece by piece, and leaves that processor to the client.
    /// </summary>
    private const int IdlePolls = 1500;

    /// <summary>Idle polls between two offers of the processor to others.</summary>
    private const int PollsPerYield = 16;

    /// <summary>The same where an interrupt will come in time (<see cref="WakesInTime"/>).</summary>
    private const int BacklogPolls = 16;

    /// <summary>Busy polls between two looks at the control channel.</summary>
    private const int PollsPerLook = 64;
    private static readonly TimeSpan TimerPeriod = TimeSpan.FromSeconds(1);

    /// <summary>What a device has not finished after this is the next driver's: its client still holds it.</summary>
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(1);

    private readonly Channel _channel;
    private readonly uint _generation;
    private readonly IDriver _driver;
    private readonly IDeviceInterrupts _interrupts;
    private readonly Heart _heart;
    private readonly bool _spin;
    private bool _armed;
    private bool _quiet;
    private bool _running = true;
    private int _idlePolls = IdlePolls;

    /// <param name="driver">Owned.</param>
    protected ServiceLoop(LoopSetup setup, IDriver driver)
    {
        _channel = setup.Channel;
        _generation = setup.Generation;
        _driver = driver;
        _interrupts = setup.Interrupts;
        _heart = setup.Heart;
        _spin = setup.Spin;
    }

    /// <summary>True where the device has enough to do until a sleeping loop is awake again.</summary>
    protected virtual bool WakesInTime => false;

    /// <summary>For the doorbells of clients.</summary>
    protected EventLoop Events { get; } = new();

    public void Run(uint startRequest)
    {
        byte[] info = BringUp();
        Events.Watch(_channel.Handle, OnMessages);
        for (int vector = 0; vector < _interrupts.Count; vector++) WatchVector(vector);
        Events.Every(TimerPeriod, OnTimer);
        // Wakes a sleeping loop; one that works beats at each look.
        Events.Every(_heart.Period, _heart.Beat);
        // From here on nothing is opened any more.
        SelfRestraint.Tighten();
        _channel.SendBytes(Header(ControlMessage.Ready, startRequest), info, default);
        int idle = 0;
        for (int polls = 0; _running; polls++)
        {
            idle = LookForWork() switch
            {
                Work.Client => 0,
                Work.Device => _idlePolls,
                _ => idle + 1,
            };
            if (idle > (WakesInTime ? BacklogPolls : _idlePolls) && !_spin) Sleep();
            // The client may wait for this very processor.
            else if (idle % PollsPerYield == PollsPerYield - 1) Thread.Yield();
            if (polls % PollsPerLook != 0) continue;
            _heart.Beat();
            Events.RunOnce(TimeSpan.Zero);
        }

        _driver.Stop();
    }

    public void Dispose()
    {
        DropClients();
        Events.Dispose();
        _driver.Dispose();
    }

    /// <summary>Starts the driver.</summary>
    /// <returns>What Ready says of the device: the class's structs as bytes.</returns>
    protected abstract byte[] BringUp();

    /// <summary>The data path: one pass over the rings of all clients.</summary>
    protected abstract Work Poll();

    /// <summary>Clients are to ring from now on; the rings are looked at once more after it.</summary>
    protected abstract void PrepareToSleep();

    /// <summary>Clients need not ring.</summary>
    protected abstract void Awake();

    /// <summary>The driver is to take nothing more from device or client. What it holds comes out of <see cref="Drain"/>.</summary>
    protected abstract void StopIntake();

    /// <summary>Gives back what is finished, without taking anything.</summary>
    /// <returns>False where nothing came and nothing is with the device.</returns>
    protected abstract bool Drain();

    /// <summary>After the last <see cref="Drain"/>: clients are to look.</summary>
    protected abstract void OnDrained();

    /// <summary>After interrupts and the timer: tells the supervisor what has changed.</summary>
    protected abstract void ReportChanges();

    /// <summary>A question that only this class knows; one that brings no exception is answered with Done.</summary>
    /// <returns>False where it knows neither.</returns>
    protected abstract bool Obey(ChannelMessage message);

    /// <summary>Counters since the start, words in the order of the class's struct.</summary>
    protected abstract byte[] ReadStatistics();

    /// <summary>Unmaps what clients share with the driver.</summary>
    protected abstract void DropClients();

    /// <summary>A pass looks at the rings of so many clients, and takes as many times as long: the wait before sleeping stays what it is.</summary>
    protected void SetClients(int count) => _idlePolls = IdlePolls / Math.Max(1, count);

    /// <summary>Tells the supervisor something unasked.</summary>
    /// <param name="unit">What it concerns.</param>
    protected void Tell<T>(ControlMessage type, in T payload, uint unit = 0)
        where T : unmanaged
        => _channel.Send(Header(type, 0, unit), payload);

    /// <inheritdoc cref="Tell{T}"/>
    protected void TellText(ControlMessage type, string text, uint unit = 0) => _channel.SendText(Header(type, 0, unit), text);

    private Work LookForWork() => _quiet ? Work.None : Poll();

    private void Sleep()
    {
        PrepareToSleep();
        _driver.ArmInterrupts();
        _armed = true;
        // What came between the last poll and arming raised no wake-up: look once more.
        if (LookForWork() == Work.None) Events.RunOnce(Timeout.InfiniteTimeSpan);
        Awake();
        // Awake for another reason than an interrupt: while the loop polls, none is wanted.
        if (_armed) _driver.MaskInterrupts();
        _armed = false;
    }

    private void WatchVector(int vector) => Events.Watch(_interrupts.EventOf(vector), () =>
    {
        _driver.OnInterrupt(vector);
        _interrupts.Acknowledge(vector);
        _armed = false;
        ReportChanges();
    });

    private void OnTimer()
    {
        _driver.OnTimer();
        ReportChanges();
    }

    private void OnMessages()
    {
        while (_running)
        {
            if (!_channel.TryReceive(out ChannelMessage? message))
            {
                // Without a supervisor nobody would make the device quiet later.
                _running = false;
                return;
            }

            if (message is null) return;
            using (message) Answer(message);
        }
    }

    private void Answer(ChannelMessage message)
    {
        uint request = message.Header.Request;
        if (message.Header.Generation != _generation) return;
        try
        {
            switch ((ControlMessage)message.Header.Type)
            {
                case ControlMessage.Ping: break;
                case ControlMessage.Quiesce: Quiesce(); break;
                case ControlMessage.Stop: _running = false; break;
                case ControlMessage.GetStatistics:
                    _driver.OnTimer();
                    _channel.SendBytes(Header(ControlMessage.Statistics, request), ReadStatistics(), default);
                    return;
                default:
                    if (!Obey(message)) throw new ChannelException($"the supervisor sent message {message.Header.Type}, which is unknown here");
                    break;
            }

            _channel.Send(Header(ControlMessage.Done, request));
        }
        catch (Exception exception) when (exception is ArgumentException or RingException or LinuxException)
        {
            _channel.SendText(Header(ControlMessage.Refused, request), exception.Message);
        }
    }

    /// <summary>Nothing more is taken; what was taken is finished and given back. The rings have room for all of it: nobody else fills them.</summary>
    private void Quiesce()
    {
        _quiet = true;
        StopIntake();
        long start = Stopwatch.GetTimestamp();
        while (Drain() && Stopwatch.GetElapsedTime(start) < DrainLimit) _heart.Beat();
        OnDrained();
    }

    private MessageHeader Header(ControlMessage type, uint request, uint unit = 0) => new((uint)type, _generation, request, unit);
}
