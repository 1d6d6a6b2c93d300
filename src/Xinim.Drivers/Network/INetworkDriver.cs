using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Drivers.Network;

/// <summary>
/// A NIC driver. The four verbs of the data path move buffers between the client's rings and the device:
/// <c>Provide</c> takes buffers from a ring and hands them to the device, <c>Return</c> takes finished ones from the device to a ring.
/// None of them reads a register, makes a system call or allocates; each rings the device at most once a call.
/// </summary>
public interface INetworkDriver : IDeviceDriver
{
    /// <summary>Resets the device and brings it up, interrupts off, receive and transmit on with empty rings.</summary>
    NetworkDeviceInfo Start();

    /// <summary>A client is about to be attached. What the device cannot do is passed over; without a call of this nothing is wished for.</summary>
    void Prepare(NetworkWishes wishes)
    {
    }

    /// <summary>Gives frames to the device as long as there is room for whole ones. Wrong requests are not given; they come back from <see cref="TxReturn"/> with <see cref="NetFlags.Rejected"/>.</summary>
    /// <returns>Buffers taken from the ring.</returns>
    uint TxProvide(RingConsumer<NetBuffer> submitted);

    /// <summary>Gives sent buffers back, as many as the ring has room for; some may wait for others as long as the device has more to send.</summary>
    /// <returns>Buffers put into the ring.</returns>
    uint TxReturn(RingProducer<NetBuffer> completed);

    /// <summary>Gives empty buffers to the device.</summary>
    /// <returns>Buffers taken from the ring.</returns>
    uint RxProvide(RingConsumer<NetBuffer> free);

    /// <summary>Gives received frames back, whole ones, as many as the ring has room for; rejected buffers too.</summary>
    /// <returns>Buffers put into the ring.</returns>
    uint RxReturn(RingProducer<NetBuffer> received);

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

    /// <summary>Lets no further frame in; those that are in come back from <see cref="RxReturn"/>. <see cref="IDriver.Stop"/> or <see cref="IClientSide.Detach"/> follows.</summary>
    void StopReceiving();
}
