using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Network;

/// <summary>
/// A NIC driver. What it is itself is its first pair of queues, of most devices the only one.
/// </summary>
public interface INetworkDriver : IDeviceDriver, INetworkPair
{
    /// <summary>Resets the device and brings it up, interrupts off, receive and transmit on with empty rings.</summary>
    NetworkDeviceInfo Start();

    /// <summary>Those that the client has, valid until the next <see cref="Prepare"/> or <see cref="IClientSide.Detach"/>.</summary>
    IReadOnlyList<INetworkPair> Pairs => [this];

    /// <summary>A client is about to be attached. Without a call of this it has one pair, and wishes for nothing.</summary>
    /// <param name="wishes">What the device cannot do is passed over.</param>
    /// <exception cref="ArgumentException">The device has fewer pairs.</exception>
    void Prepare(int pairs, NetworkWishes wishes)
    {
        if (pairs != 1) throw new ArgumentException($"the device has one pair of queues, not {pairs}; open it with one");
    }

    /// <summary>True while buffers are with the device for transmit: the loop then arms for their completion too.</summary>
    bool TxBusy { get; }

    /// <summary>
    /// True while the device has so much to send that an interrupt comes before it runs dry: the loop sleeps at once instead of polling, which
    /// leaves the processor to a client that waits for buffers, and to a device that is a program.
    /// </summary>
    bool TxBacklog => false;

    /// <summary>As last seen; the loop reports a change to the supervisor.</summary>
    LinkState Link { get; }

    /// <summary>Sets all filters at once. Buffers may be outstanding. Called before <see cref="Start"/> too: they are in the device when that returns.</summary>
    /// <exception cref="ArgumentException">The device cannot do it; the message says what and which values it can.</exception>
    void SetFilters(in NetworkFilters filters);

    /// <summary>Counters since <see cref="Start"/>.</summary>
    NetworkStatistics Statistics { get; }

    /// <summary>Lets no further frame in; those that are in come back from <see cref="INetworkPair.RxReturn"/>. <see cref="IDriver.Stop"/> or <see cref="IClientSide.Detach"/> follows.</summary>
    void StopReceiving();
}
