using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Manifests;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// A device and the succession of its drivers: starts one, notices its end, makes the device quiet in the one safe order, starts the next.
/// What belongs to a client is in <see cref="NetworkClientSlot"/>.
/// </summary>
internal sealed class ManagedDevice : IDriverObserver, IDisposable
{
    private const uint WorkRegion = 0;
    private const int MaxFailedStarts = 6;

    /// <summary>Lives in a row too short for one look at the counters, each followed by the next at once; from then on with a pause between.</summary>
    private const int MaxShortLives = 8;
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);

    private readonly EventLoop _loop;
    private readonly ILogger _log;
    private readonly LaunchRequest _launch;
    private readonly bool _poll;
    private readonly SharedRegion _work;
    private readonly Iova _workIova;
    private DriverLife? _life;
    private IDisposable? _retry;
    private int _failedStarts;
    private int _shortLives;
    private long _started;
    private Action? _onStopped;

    /// <param name="backend">The opened device; owned from now on.</param>
    /// <param name="launch">How to start the driver's process, without handles.</param>
    /// <param name="name">What clients call the device.</param>
    /// <param name="poll">The driver is to spin.</param>
    public ManagedDevice(EventLoop loop, ILogger log, IDeviceBackend backend, DriverManifest manifest, LaunchRequest launch, string name, bool poll)
    {
        _loop = loop;
        _log = log;
        _launch = launch;
        _poll = poll;
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

        Client = new NetworkClientSlot(this, log);
    }

    public string Name { get; }

    public IDeviceBackend Backend { get; }

    public DriverManifest Manifest { get; }

    public NetworkClientSlot Client { get; }

    public DeviceState State { get; private set; }

    public uint Generation { get; private set; }

    /// <summary>Drivers that followed another one.</summary>
    public uint Restarts { get; private set; }

    public string? LastFault { get; private set; }

    /// <summary>From the start of the process to Ready, of the present driver.</summary>
    public TimeSpan StartTime { get; private set; }

    public NetworkDeviceInfo Info { get; private set; }

    /// <summary>Process id of the driver; null where none runs.</summary>
    public int? Pid => _life?.Pid;

    /// <summary>User that drivers run as; null for the daemon's.</summary>
    public uint? User => _launch.User;

    /// <summary>The driver's descriptor memory, for the status.</summary>
    public (SharedRegion Region, Iova Iova) Work => (_work, _workIova);

    /// <summary>Starts a driver: the next generation.</summary>
    public void Start()
    {
        _retry = null;
        Generation++;
        State = DeviceState.Starting;
        _started = Stopwatch.GetTimestamp();
        try
        {
            _life = DriverLife.Start(_loop, this, _launch, Generation);
        }
        catch (LinuxException exception)
        {
            OnEnded(exception.Message);
            return;
        }

        SafeFileHandle[] handles = [_work.Handle, .. Backend.DriverHandles];
        _life.Ask(ControlMessage.Start, StartMessageFor(), handles, TimeSpan.FromMilliseconds(Manifest.StartLimit), OnReady);
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

    /// <summary>Ends the driver without another one; the device is quiet when <paramref name="onStopped"/> is called.</summary>
    public void Stop(Action onStopped)
    {
        _onStopped = onStopped;
        _retry?.Dispose();
        if (_life is null)
        {
            Finish(DeviceState.Stopped);
            return;
        }

        if (State == DeviceState.Ready) _life.Ask(ControlMessage.Stop, AnswerLimit, _ => { });
        else _life.Kill("stopped while starting");
        DriverLife stopping = _life;
        _loop.After(AnswerLimit, () => stopping.Kill("it did not end when asked"));
    }

    /// <summary>The device has disappeared: its driver ends and none follows.</summary>
    public void Disappear(string reason)
    {
        LastFault = reason;
        State = DeviceState.Gone;
        _retry?.Dispose();
        if (_life is null) Client.CloseForGood(reason);
        else _life.Kill(reason);
    }

    /// <summary>The driver has answered a question that is asked now and then: it works.</summary>
    public void OnSignOfLife() => _shortLives = 0;

    void IDriverObserver.OnLinkChanged(LinkState link)
    {
        if (link == Info.Link) return;
        Info = Info with { Link = link };
        _log.LogInformation("{Device}: link {Link}", Name, link);
        Client.OnLinkChanged(link);
    }

    void IDriverObserver.OnLog(string line) => _log.LogInformation("{Device}: driver says: {Line}", Name, line);

    void IDriverObserver.OnClientFault(string reason)
    {
        _log.LogWarning("{Device}: its client broke the ring protocol: {Reason}", Name, reason);
        Client.OnDropped($"the driver refused its rings: {reason}");
    }

    void IDriverObserver.OnEnded(string reason) => OnEnded(reason);

    /// <summary>Frees everything. The driver is killed first if it still lives.</summary>
    public void Dispose()
    {
        _retry?.Dispose();
        _life?.Dispose();
        _life = null;
        BecomeQuiet();
        Client.Dispose();
        Backend.Unmap(_workIova, _work.Size);
        _work.Dispose();
        Backend.Dispose();
        _launch.Sandbox?.Dispose();
    }

    private TimeSpan AnswerLimit => TimeSpan.FromMilliseconds(Manifest.AnswerLimit);

    private StartMessage StartMessageFor() => new()
    {
        Backend = (uint)Backend.Kind,
        DeviceHandles = (uint)Backend.DriverHandles.Count,
        Work = new RegionMessage(WorkRegion, RegionAccess.ReadWrite, _workIova.Value, (ulong)_work.Size),
        Poll = _poll ? 1u : 0,
        Device = FixedText.From(Backend.Name),
        Driver = FixedText.From(Manifest.Name),
    };

    private void OnReady(ChannelMessage answer)
    {
        if (answer.Header.Type != (uint)ControlMessage.Ready) throw new ChannelException($"answer {answer.Header.Type} to Start");
        Info = answer.Get<NetworkDeviceInfo>();
        State = DeviceState.Ready;
        StartTime = Stopwatch.GetElapsedTime(_started);
        _failedStarts = 0;
        _log.LogInformation(
            "{Device}: driver {Driver} generation {Generation} ready after {StartTime:0.0} ms, process {Pid}, MAC {Mac}, link {Link}",
            Name, Manifest.Name, Generation, StartTime.TotalMilliseconds, Pid, Info.Mac.ToString(), Info.Link);
        Client.OnReady();
    }

    private void OnEnded(string reason)
    {
        bool wasReady = State == DeviceState.Ready;
        _life = null;
        BecomeQuiet();
        if (_onStopped is not null)
        {
            Finish(DeviceState.Stopped);
            return;
        }

        _log.LogWarning("{Device}: driver {Driver} generation {Generation} ended: {Reason}", Name, Manifest.Name, Generation, reason);
        if (State == DeviceState.Gone)
        {
            Client.CloseForGood(LastFault!);
            return;
        }

        LastFault = reason;
        if (!wasReady) RetryLater(reason);
        else if (++_shortLives <= MaxShortLives) Restart();
        else Wait(FirstPause);
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

    private void Restart()
    {
        Restarts++;
        Start();
    }

    private void RetryLater(string reason)
    {
        if (++_failedStarts >= MaxFailedStarts)
        {
            State = DeviceState.Failed;
            _log.LogError("{Device}: given up after {Count} failed starts; the last one: {Reason}", Name, _failedStarts, reason);
            Client.CloseForGood($"its driver failed to start {_failedStarts} times: {reason}");
            return;
        }

        Wait(FirstPause * Math.Pow(2, _failedStarts - 1));
    }

    private void Wait(TimeSpan pause)
    {
        State = DeviceState.Waiting;
        _retry = _loop.After(pause, Restart);
    }

    private void Finish(DeviceState state)
    {
        State = state;
        Action? then = _onStopped;
        _onStopped = null;
        then?.Invoke();
    }
}
