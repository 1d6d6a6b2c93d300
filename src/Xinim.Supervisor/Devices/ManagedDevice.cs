using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Manifests;
using Xinim.Supervisor.Policy;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// A device and the succession of its drivers: starts one, notices its end, makes the device quiet in the one safe order, starts the next.
/// What belongs to a client is in <see cref="DeviceSlot"/>, what an operator asks for in <see cref="DeviceVerbs"/>, what follows a failure in <see cref="Succession"/>.
/// </summary>
internal sealed partial class ManagedDevice : IDriverObserver, IDisposable
{
    private const uint WorkRegion = 0;

    private readonly EventLoop _loop;
    private readonly ILogger _log;
    private readonly DeviceSettings _settings;
    private readonly Standby _standby;
    private readonly Succession _succession;
    private readonly SharedRegion _work;
    private readonly Iova _workIova;
    private DriverLife? _life;
    private Action? _planned;
    private Action<string?>? _onOutcome;
    private long _started;
    private long _ready;

    /// <param name="backend">The opened device; owned from now on.</param>
    /// <param name="launch">How to start the driver's process, without handles.</param>
    /// <param name="name">What clients call the device.</param>
    public ManagedDevice(EventLoop loop, ILogger log, EventLog events, IDeviceBackend backend, DriverManifest manifest, LaunchRequest launch, string name, DeviceSettings settings)
    {
        _loop = loop;
        _log = log;
        _settings = settings;
        _succession = new Succession(this, loop, log, settings.Restart);
        Class = DeviceClass.Find(manifest.Class)!;
        Launch = launch;
        Backend = backend;
        Manifest = manifest;
        Name = name;
        _work = SharedRegion.Create($"xinim-work-{name}", manifest.DmaBytes);
        if (_work.FallbackReason is { } reason) log.LogWarning("{Device}: {Reason}", name, reason);
        try
        {
            _workIova = backend.Map(_work, RegionAccess.ReadWrite);
        }
        catch
        {
            _work.Dispose();
            throw;
        }

        Events = new DeviceEvents(this, events);
        _standby = new Standby(loop, settings.Standby);
        Client = Class.MakeSlot(this, log);
        Verbs = new DeviceVerbs(this, loop);
        _lost = backend.Lost is { } lost ? loop.Watch(lost, OnLost) : null;
    }

    public string Name { get; }

    /// <summary>How long broken rings are remembered, too: those that break again within it are the client's doing.</summary>
    public TimeSpan QuietPeriod => TimeSpan.FromMilliseconds(_settings.Restart.QuietPeriod);

    public IDeviceBackend Backend { get; }

    public DriverManifest Manifest { get; }

    /// <summary>The manifest names one that exists.</summary>
    public DeviceClass Class { get; }

    public DeviceSlot Client { get; }

    public DeviceEvents Events { get; }

    /// <summary>For what has to come in time.</summary>
    public EventLoop Loop => _loop;

    /// <summary>What an operator can have done to it.</summary>
    public DeviceVerbs Verbs { get; }

    /// <summary>How its drivers' processes are started; a new version of the driver changes it.</summary>
    public LaunchRequest Launch { get; private set; }

    public DeviceState State { get; private set; }

    public uint Generation { get; private set; }

    /// <summary>Drivers that followed another one.</summary>
    public uint Restarts { get; private set; }

    public string? LastFault { get; private set; }

    public FaultKind LastFaultKind { get; private set; }

    /// <summary>How long the steps of the last start took.</summary>
    public StartTimes Times { get; private set; }

    /// <summary>Process id of the driver; null where none runs.</summary>
    public int? Pid => _life?.Pid;

    /// <summary>What the driver says of its way to the device and back; null where none runs.</summary>
    public LatencySummary? Latency => _life?.Latency;

    /// <summary>Process id of the driver that waits to take over; null where none does.</summary>
    public int? StandbyPid => _standby.Pid;

    /// <summary>The driver's descriptor memory, for the status.</summary>
    public (SharedRegion Region, Iova Iova) Work => (_work, _workIova);

    /// <summary>From a question to its answer, or from Stop to the end, at the most.</summary>
    public TimeSpan AnswerLimit => TimeSpan.FromMilliseconds(Manifest.AnswerLimit);

    /// <summary>From the start of the process to Ready at the most.</summary>
    public TimeSpan StartLimit => TimeSpan.FromMilliseconds(Manifest.StartLimit);

    /// <summary>Starts a driver: the next generation.</summary>
    /// <param name="version">Another version of the driver from now on, with a process of it if there is one already.</param>
    /// <param name="onOutcome">
    /// Called once: null when the driver is Ready, otherwise why it will not be. The device is quiet and stopped then; if it still is
    /// afterwards, the restart policy decides.
    /// </param>
    public void Start((LaunchRequest Launch, SpawnedDriver? Process)? version = null, Action<string?>? onOutcome = null)
    {
        _succession.Cancel();
        if (Awaits(version, onOutcome)) return;
        Generation++;
        State = DeviceState.Starting;
        _onOutcome = onOutcome;
        _started = Stopwatch.GetTimestamp();
        try
        {
            Launch = version?.Launch ?? Launch;
            _life = new DriverLife(_loop, this, version?.Process ?? _standby.Take() ?? SpawnedDriver.Spawn(Launch), Generation);
        }
        catch (LinuxException exception)
        {
            OnEnded(new DriverEnd(FaultKind.Start, exception.Message));
            return;
        }

        Times = Times with { Spawn = Stopwatch.GetElapsedTime(_started) };
        _life.Ask(ControlMessage.Start, StartMessageFor(), [_work.Handle, _life.Vital, .. Backend.DriverHandles], StartLimit, OnReady);
    }

    /// <summary>Asks the driver, if it is Ready.</summary>
    /// <param name="unit">What the question is about.</param>
    /// <returns>False where no driver is ready; <paramref name="onAnswer"/> is not called then, nor after the driver's death.</returns>
    public bool TryAsk<T>(ControlMessage type, in T payload, ReadOnlySpan<SafeFileHandle> handles, Action<ChannelMessage> onAnswer, uint unit = 0)
        where T : unmanaged
    {
        if (_life is null || State != DeviceState.Ready) return false;
        _life.Ask(type, payload, handles, AnswerLimit, onAnswer, unit);
        return true;
    }

    /// <inheritdoc cref="TryAsk{T}"/>
    public bool TryAsk(ControlMessage type, Action<ChannelMessage> onAnswer, uint unit = 0)
    {
        if (_life is null || State != DeviceState.Ready) return false;
        _life.Ask(type, AnswerLimit, onAnswer, unit);
        return true;
    }

    /// <summary>
    /// Ends the driver without another one: it takes no more work, finishes what it has, and stops. One that does not do so in time is killed.
    /// The device is quiet and stopped when <paramref name="onStopped"/> is called.
    /// </summary>
    public void Stop(Action onStopped)
    {
        _succession.Cancel();
        _standby.Drop();
        if (_life is not { } stopping)
        {
            if (State != DeviceState.Gone) State = DeviceState.Stopped;
            onStopped();
            return;
        }

        _planned += onStopped;
        if (State == DeviceState.Stopping) return;
        if (State != DeviceState.Ready)
        {
            stopping.Kill(FaultKind.Asked, "stopped while starting");
            return;
        }

        State = DeviceState.Stopping;
        stopping.Ask(ControlMessage.Quiesce, AnswerLimit, _ => stopping.Ask(ControlMessage.Stop, AnswerLimit, _ => { }));
        _loop.After(2 * AnswerLimit, () => stopping.Kill(FaultKind.Hang, "it did not end when asked"));
    }

    /// <summary>A client says that its driver returned nonsense. One that reports without cause restarts its own driver only.</summary>
    /// <param name="generation">The driver that it means; reports of former ones are void.</param>
    public void OnReported(uint generation, string reason)
    {
        if (generation == Generation && State == DeviceState.Ready) _life?.Kill(FaultKind.Client, $"its client reports: {reason}");
    }

    /// <summary>An operator wants it to go on: failures so far are forgotten.</summary>
    public void ForgetFailures() => _succession.Forget();

    /// <summary>A failure is followed by the next driver.</summary>
    internal void Restart()
    {
        Restarts++;
        Start();
    }

    /// <summary>A failure will be followed by the next driver later.</summary>
    internal void Await() => State = DeviceState.Waiting;

    /// <summary>A failure is followed by none.</summary>
    internal void Rest(DeviceState state, EventKind kind, string why)
    {
        State = state;
        Events.Add(kind, why);
    }

    void IDriverObserver.OnNews(ChannelMessage news) => Client.OnDriverNews(news);

    void IDriverObserver.OnLog(string line) => _log.LogInformation("{Device}: driver says: {Line}", Name, line);

    void IDriverObserver.OnClientFault(uint unit, string reason)
    {
        // Both can write the rings: a driver that has gone mad may have broken them itself. The first time both start anew.
        if (Client.BreaksAgain(unit, QuietPeriod)) Client.OnDropped(unit, $"the driver refused its rings: {reason}");
        else _life?.Kill(FaultKind.Client, $"the rings between it and its client are broken: {reason}");
    }

    void IDriverObserver.OnEnded(DriverEnd end) => OnEnded(end);

    /// <summary>Frees everything. The driver is killed first if it still lives.</summary>
    public void Dispose()
    {
        _succession.Cancel();
        _lost?.Dispose();
        _standby.Dispose();
        _life?.Dispose();
        _life = null;
        BecomeQuiet();
        Client.Dispose();
        Backend.Unmap(_workIova, _work.Size);
        _work.Dispose();
        Backend.Dispose();
        Launch.Sandbox?.Dispose();
    }

    private StartMessage StartMessageFor() => new()
    {
        Backend = (uint)Backend.Kind,
        DeviceHandles = (uint)Backend.DriverHandles.Count,
        Work = new RegionMessage(WorkRegion, RegionAccess.ReadWrite, _workIova.Value, (ulong)_work.Size),
        Poll = _settings.Poll ? 1u : 0,
        HeartbeatPeriod = (uint)Manifest.Heartbeat.Period,
        Device = FixedText.Abbreviate(Backend.Name),
        Driver = FixedText.From(Manifest.Name),
        Options = _settings.Options,
        Filters = Client.OnStarting(),
    };

    private void OnReady(ChannelMessage answer)
    {
        if (answer.Header.Type != (uint)ControlMessage.Ready) throw new ChannelException($"answer {answer.Header.Type} to Start");
        string device = Client.Adopt(answer);
        State = DeviceState.Ready;
        _ready = Stopwatch.GetTimestamp();
        Times = Times with { BringUp = Stopwatch.GetElapsedTime(_started) - Times.Spawn };
        _life!.WatchHeart(TimeSpan.FromMilliseconds(Manifest.Heartbeat.Period), TimeSpan.FromMilliseconds(Manifest.Heartbeat.Limit));
        string took = string.Create(CultureInfo.InvariantCulture, $"ready after {Times.Start.TotalMilliseconds:0.0} ms");
        Events.Add(EventKind.Ready, $"generation {Generation} {took}, process {Pid}, {device}", Times.Quiet + Times.Start);
        Client.OnReady();
        Interlocked.Exchange(ref _onOutcome, null)?.Invoke(null);
        _standby.Prepare(Launch);
    }

    private void OnEnded(DriverEnd end)
    {
        if (IsLost) end = end with { Kind = FaultKind.Gone };
        DeviceState before = State;
        long noticed = Stopwatch.GetTimestamp();
        _life = null;
        BecomeQuiet();
        Times = new StartTimes(Stopwatch.GetElapsedTime(noticed), default, default);
        Action? planned = Interlocked.Exchange(ref _planned, null);
        Action<string?>? outcome = Interlocked.Exchange(ref _onOutcome, null);
        if (planned is null && before != DeviceState.Gone) Record(end, before);
        else if (before != DeviceState.Gone) Events.Add(EventKind.Stopped, $"generation {Generation} stopped, as asked");
        if (before == DeviceState.Gone) Client.CloseForGood(LastFault!);
        else State = DeviceState.Stopped;
        planned?.Invoke();
        outcome?.Invoke(end.Reason);
        if (planned is null && State == DeviceState.Stopped) _succession.Decide(end with { Kind = LastFaultKind }, before == DeviceState.Ready ? Stopwatch.GetElapsedTime(_ready) : null);
    }

    private void Record(DriverEnd end, DeviceState before)
    {
        LastFault = end.Reason;
        LastFaultKind = before == DeviceState.Starting && end.Kind is FaultKind.Exit or FaultKind.Hang ? FaultKind.Start : end.Kind;
        Events.AddFailure(LastFaultKind, end.Reason);
    }

    /// <summary>
    /// Invariant: memory comes back only when the device is quiet. The driver's process is dead and reaped. In this order: intake stops,
    /// the device's interrupts are disabled, it can start no DMA any more, it is reset where it can be. What the dead driver's client
    /// gave up is freed after that, never before. The next generation's rings are new memory, and its driver resets the device itself
    /// before it sets bus mastering again.
    /// </summary>
    private void BecomeQuiet()
    {
        Client.StopIntake();
        if (State != DeviceState.Gone)
        {
            TryTo("interrupts cannot be disabled", Backend.DisableInterrupts);
            TryTo("bus mastering cannot be cleared", Backend.ClearBusMaster);
            TryTo("it cannot be reset", () => Backend.Reset());
        }

        Client.OnQuiet();
    }

    /// <summary>
    /// A step that fails does not keep the next ones from being taken. A device that answers none of them has been pulled or is about to be;
    /// the IOMMU's mappings go all the same.
    /// </summary>
    private void TryTo(string failure, Action step)
    {
        try
        {
            step();
        }
        catch (Exception exception) when (exception is LinuxException or DeviceFaultException)
        {
            _log.LogError("{Device}: {Failure}: {Reason}", Name, failure, exception.Message);
        }
    }
}
