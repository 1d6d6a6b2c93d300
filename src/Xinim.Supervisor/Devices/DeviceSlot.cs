using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Status;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// What a device is to those who use it: who they are, what they hold, what they are told of its drivers; and the sum of all drivers' counters.
/// Most classes have one client at a time (<see cref="ClientSlot"/>).
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

    protected ManagedDevice Device { get; } = device;

    /// <summary>Gives the device to a client, which hears of it by <see cref="IDeviceClient.OnAttached"/> or <see cref="IDeviceClient.OnClosed"/>.</summary>
    /// <param name="message">The wish.</param>
    /// <returns>Why not; null where it is on its way.</returns>
    public abstract string? Open(IDeviceClient client, ChannelMessage message);

    /// <summary>Takes the device back from a client, whatever state it is in.</summary>
    public abstract void Release(IDeviceClient client);

    /// <summary>Answers what only this class's clients ask.</summary>
    /// <param name="answer">Gets the reason where it was refused; null where it is done.</param>
    /// <exception cref="ChannelException">No client of this class asks that.</exception>
    public abstract void Answer(ChannelMessage question, Action<string?> answer);

    /// <summary>Fills in what a report says of this class.</summary>
    public abstract DeviceReport Describe(DeviceReport report);

    /// <summary>Frees all memory. Only when the device is quiet.</summary>
    public abstract void Dispose();

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

    /// <summary>The driver finds its client's rings broken.</summary>
    /// <param name="memory">How long a first time is remembered.</param>
    /// <returns>True where that is not the first time: then it was not the driver of then.</returns>
    internal abstract bool BreaksAgain(TimeSpan memory);

    /// <summary>The driver gave the client's buffers up because of what the client wrote.</summary>
    internal abstract void OnDropped(string reason);

    /// <summary>The driver is over: clients are to post nothing more to it.</summary>
    internal abstract void StopIntake();

    /// <summary>The device is quiet: what clients gave up while it was not can go.</summary>
    internal abstract void OnQuiet();

    /// <summary>There will be no driver any more.</summary>
    internal abstract void CloseForGood(string reason);
}
