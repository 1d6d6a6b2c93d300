using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Drivers.Network;

/// <summary>
/// A pair of a NIC's queues. The four verbs of the data path move buffers between the client's rings and the device:
/// <c>Provide</c> takes buffers from a ring and hands them to the device, <c>Return</c> takes finished ones from the device to a ring.
/// None of them reads a register, makes a system call or allocates; each rings the device at most once a call.
/// </summary>
public interface INetworkPair
{
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
}
