using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Status;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// What a device is to those who use it: who they are, what they hold, what they are told of its drivers; and the sum of all drivers' counters.
/// Most classes have one client at a time for each unit of a device (<see cref="UnitsSlot"/>).
/// </summary>
/// <param name="counters">Names of the words of the class's statistics.</param>
internal abstract class DeviceSlot(ManagedDevice device, IReadOnlyList<string> counters) : IDisposable
{
    /// <summary>Counters of all drivers of this device.</summary>
    public DeviceCounters Counters { get; } = new(device, counters);

    /// <summary>Who holds it, for people; null for nobody.</summary>
    public abstract string? Occupants { get; }

    /// <summary>Memory of clients that the device reaches.</summary>
    public abstract IReadOnlyList<ClientPool> Pools { get; }

    /// <summary>Parts of the device have names of their own: its name, a dot and a number.</summary>
    public virtual bool HasPorts => false;

    protected ManagedDevice Device { get; } = device;

    /// <summary>Gives the device to a client, which hears of it by <see cref="IDeviceClient.OnAttached"/> or <see cref="IDeviceClient.OnClosed"/>.</summary>
    /// <param name="message">The wish.</param>
    /// <param name="port">The part that its name means; null for the device.</param>
    /// <returns>Why not; null where it is on its way.</returns>
    public string? Open(IDeviceClient client, ChannelMessage message, uint? port) =>
        message.Header.Type != (uint)Device.Class.Open.Type ? $"{Device.Name} is a {Device.Class.Name} device, and not to be opened as another one"
        : Device.State is DeviceState.Failed or DeviceState.Gone ? $"{Device.Name} has no driver: {Device.LastFault}"
        : Device.State == DeviceState.Stopped ? $"{Device.Name} is stopped; 'xinim start {Device.Name}' starts its driver"
        : TryOpen(client, message, port);

    /// <summary>Takes the device back from a client, whatever state it is in.</summary>
    public abstract void Release(IDeviceClient client);

    /// <summary>Answers what only this class's clients ask.</summary>
    /// <param name="answer">Gets the reason where it was refused; null where it is done.</param>
    /// <exception cref="ChannelException">No client of this class asks that.</exception>
    public abstract void Answer(IDeviceClient client, ChannelMessage question, Action<string?> answer);

    /// <summary>Does what an operator can have done to devices of this class only.</summary>
    /// <param name="port">The part that is meant; null for the device.</param>
    /// <param name="onDone">Null where it is done, otherwise why not.</param>
    /// <returns>False where the class has no such verb.</returns>
    public virtual bool TryRun(string verb, uint? port, Action<string?> onDone) => false;

    /// <summary>The unit that a client holds.</summary>
    public virtual int UnitOf(IDeviceClient client) => 0;

    /// <summary>Fills in what a report says of this class.</summary>
    public abstract DeviceReport Describe(DeviceReport report);

    /// <summary>Frees all memory. Only when the device is quiet.</summary>
    public abstract void Dispose();

    /// <inheritdoc cref="Open"/>
    protected abstract string? TryOpen(IDeviceClient client, ChannelMessage message, uint? port);

    /// <summary>A driver is about to be started.</summary>
    /// <returns>The filters that a NIC's driver starts with.</returns>
    internal virtual NetworkFilters OnStarting() => default;

    /// <summary>What Ready says of the device.</summary>
    /// <returns>The same for the log.</returns>
    internal abstract string Adopt(ChannelMessage ready);

    /// <summary>What only a driver of this class says unasked.</summary>
    /// <exception cref="ChannelException">None of this class says that.</exception>
    internal abstract void OnDriverNews(ChannelMessage news);

    /// <summary>A driver serves: it gets what there is for it.</summary>
    internal abstract void OnReady();

    /// <summary>The driver finds the rings of a unit's client broken.</summary>
    /// <param name="memory">How long a first time is remembered.</param>
    /// <returns>True where that is not the first time: then it was not the driver of then.</returns>
    internal abstract bool BreaksAgain(uint unit, TimeSpan memory);

    /// <summary>The driver gave the buffers of a unit's client up because of what that wrote.</summary>
    internal abstract void OnDropped(uint unit, string reason);

    /// <summary>The driver is over: clients are to post nothing more to it.</summary>
    internal abstract void StopIntake();

    /// <summary>The device is quiet: what clients gave up while it was not can go.</summary>
    internal abstract void OnQuiet();

    /// <summary>There will be no driver any more.</summary>
    internal abstract void CloseForGood(string reason);
}
