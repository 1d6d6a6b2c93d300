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
/// What belongs to a client is in <see cref="NetworkClientSlot"/>, what an operator asks for in <see cref="DeviceVerbs"/>.
/// </summary>
internal sealed class ManagedDevice : IDriverObserver, IDisposable
{
    private const uint WorkRegion = 0;

    private readonly EventLoop _loop;
    private readonly ILogger _log;
    private readonly DeviceSettings _settings;
    private readonly Standby _standby;
    private readonly RestartPolicy _policy;

    /// <summary>For failures that a client has a part in: it must not get its device given up, for itself and everybody after it.</summary>
    private readonly RestartPolicy _clientPolicy;
    private readonly SharedRegion _work;
    private readonly Iova _workIova;
    private DriverLife? _life;
    private IDisposable? _pending;
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
        _policy = new RestartPolicy(settings.Restart);
        _clientPolicy = new RestartPolicy(settings.Restart with { GiveUpAfter = 0 });
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
        Client = new NetworkClientSlot(this, log);
        Verbs = new DeviceVerbs(this, loop);
    }

    public string Name { get; }

    public IDeviceBackend Backend { get; }

    public DriverManifest Manifest { get; }

    public NetworkClientSlot Client { get; }

    public DeviceEvents Events { get; }

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

    public NetworkDeviceInfo Info { get; private set; }

    /// <summary>Process id of the driver; null where none runs.</summary>
    public int? Pid => _life?.Pid;

    /// <summary>What the driver says of its transmit path; null where none runs.</summary>
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
        CancelPending();
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
    /// <returns>False where no driver is ready; <paramref name="onAnswer"/> is not called then, nor after the driver's death.</returns>
    public bool TryAsk<T>(ControlMessage type, in T payload, ReadOnlySpan<SafeFileHandle> handles, Action<ChannelMessage> onAnswer)
        where T : unmanaged
    {
        if (_life is null || State != DeviceState.Ready) return false;
        _life.Ask(type, payload, handles, AnswerLimit, onAnswer);
        return true;
    }

    /// <inheritdoc cref="TryAsk{T}"/>
    public bool TryAsk(ControlMessage type, Action<ChannelMessage> onAnswer)
    {
        if (_life is null || State != DeviceState.Ready) return false;
        _life.Ask(type, AnswerLimit, onAnswer);
        return true;
    }

    /// <summary>
    /// Ends the driver without another one: it takes no more work, finishes what it has, and stops. One that does not do so in time is killed.
    /// The device is quiet and stopped when <paramref name="onStopped"/> is called.
    /// </summary>
    public void Stop(Action onStopped)
    {
        CancelPending();
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

    /// <summary>The device has disappeared: its driver ends and none follows.</summary>
    public void Disappear(string reason)
    {
        LastFault = reason;
        LastFaultKind = FaultKind.Gone;
        State = DeviceState.Gone;
        Events.AddFailure(FaultKind.Gone, reason);
        CancelPending();
        _standby.Drop();
        if (_life is null) Client.CloseForGood(reason);
        else _life.Kill(FaultKind.Gone, reason);
    }

    /// <summary>A client says that its driver returned nonsense. One that reports without cause restarts its own driver only.</summary>
    /// <param name="generation">The driver that it means; reports of former ones are void.</param>
    public void OnReported(uint generation, string reason)
    {
        if (generation == Generation && State == DeviceState.Ready) _life?.Kill(FaultKind.Client, $"its client reports: {reason}");
    }

    /// <summary>An operator wants it to go on: failures so far are forgotten.</summary>
    public void ForgetFailures() => _policy.Forget();

    void IDriverObserver.OnLinkChanged(LinkState link)
    {
        if (link == Info.Link) return;
        Info = Info with { Link = link };
        Events.Add(EventKind.Link, $"link {link}");
        Client.OnLinkChanged(link);
    }

    void IDriverObserver.OnLog(string line) => _log.LogInformation("{Device}: driver says: {Line}", Name, line);

    void IDriverObserver.OnClientFault(string reason)
    {
        // Both can write the rings: a driver that has gone mad may have broken them itself. The first time both start anew.
        if (Client.BreaksAgain(TimeSpan.FromMilliseconds(_settings.Restart.QuietPeriod))) Client.OnDropped($"the driver refused its rings: {reason}");
        else _life?.Kill(FaultKind.Client, $"the rings between it and its client are broken: {reason}");
    }

    void IDriverObserver.OnEnded(DriverEnd end) => OnEnded(end);

    /// <summary>Frees everything. The driver is killed first if it still lives.</summary>
    public void Dispose()
    {
        CancelPending();
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
        Device = FixedText.From(Backend.Name),
        Driver = FixedText.From(Manifest.Name),
        Options = _settings.Options,
        Filters = Client.OnStarting(),
    };

    private void OnReady(ChannelMessage answer)
    {
        if (answer.Header.Type != (uint)ControlMessage.Ready) throw new ChannelException($"answer {answer.Header.Type} to Start");
        Info = answer.Get<NetworkDeviceInfo>();
        State = DeviceState.Ready;
        _ready = Stopwatch.GetTimestamp();
        Times = Times with { BringUp = Stopwatch.GetElapsedTime(_started) - Times.Spawn };
        _life!.WatchHeart(TimeSpan.FromMilliseconds(Manifest.Heartbeat.Period), TimeSpan.FromMilliseconds(Manifest.Heartbeat.Limit));
        string took = string.Create(CultureInfo.InvariantCulture, $"ready after {Times.Start.TotalMilliseconds:0.0} ms");
        Events.Add(EventKind.Ready, $"generation {Generation} {took}, process {Pid}, MAC {Info.Mac}, link {Info.Link}", Times.Quiet + Times.Start);
        Client.OnReady();
        Interlocked.Exchange(ref _onOutcome, null)?.Invoke(null);
        _standby.Prepare(Launch);
    }

    private void OnEnded(DriverEnd end)
    {
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
        if (planned is null && State == DeviceState.Stopped) Decide(end, before == DeviceState.Ready ? Stopwatch.GetElapsedTime(_ready) : null);
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

    /// <summary>What follows a failure: the policy's pause, after the script has agreed where there is one.</summary>
    private void Decide(DriverEnd end, TimeSpan? served)
    {
        if ((LastFaultKind == FaultKind.Client ? _clientPolicy : _policy).OnFailure(served) is not { } pause)
        {
            State = DeviceState.Failed;
            Events.Add(EventKind.GivenUp, $"given up after {_policy.Failures - 1} failures in a row; the last one: {end.Reason}");
            Client.CloseForGood($"its driver failed {_policy.Failures - 1} times in a row: {end.Reason}");
            return;
        }

        if (_settings.Restart.Script is not { } script)
        {
            RestartAfter(pause);
            return;
        }

        State = DeviceState.Waiting;
        _pending = PolicyScript.Ask(_loop, _log, script, Name, end with { Kind = LastFaultKind }, Generation, goOn =>
        {
            if (goOn) RestartAfter(pause);
            else LeaveStopped();
        });
    }

    private void RestartAfter(TimeSpan pause)
    {
        if (pause == TimeSpan.Zero)
        {
            Restart();
            return;
        }

        State = DeviceState.Waiting;
        Events.Add(EventKind.Waiting, $"the next driver follows in {pause.TotalMilliseconds:0} ms", pause);
        _pending = _loop.After(pause, Restart);
    }

    private void LeaveStopped()
    {
        State = DeviceState.Stopped;
        Events.Add(EventKind.Stopped, "left without a driver by the policy script");
    }

    private void Restart()
    {
        Restarts++;
        Start();
    }

    private void CancelPending()
    {
        _pending?.Dispose();
        _pending = null;
    }
}
