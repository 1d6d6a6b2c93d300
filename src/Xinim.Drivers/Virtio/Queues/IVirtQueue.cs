using Xinim.Drivers.Virtio.Transports;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Virtio.Queues;

/// <summary>
/// The driver's side of a virtqueue, split or packed. Implemented by structs, so that a data path which is generic over it is compiled for
/// each layout with every call inlined. One thread. What the device can write is read once, checked against what the driver remembers of its
/// own, and never believed: the descriptors are written and not read back.
/// </summary>
/// <remarks>
/// A buffer is known by the number that the queue gave it when it was added, from 0 to <see cref="Size"/> - 1, so that a driver can
/// keep what belongs to it in arrays. Nothing here allocates, and <see cref="Publish"/> alone makes additions visible to the device: one
/// for a batch, and one doorbell where it says so.
/// </remarks>
public interface IVirtQueue
{
    /// <summary>Entries.</summary>
    uint Size { get; }

    /// <summary>Descriptors that are free. A buffer takes as many as it has parts, or one where it goes into an indirect table.</summary>
    uint Free { get; }

    /// <summary>Buffers with the device.</summary>
    uint Outstanding { get; }

    /// <summary>For the transport.</summary>
    VirtQueueMemory Memory { get; }

    /// <summary>Adds a buffer of one part.</summary>
    /// <param name="deviceWrites">Otherwise the device reads it.</param>
    /// <returns>The buffer's number; -1 where there is no room.</returns>
    int Add(Iova at, uint length, bool deviceWrites);

    /// <summary>Adds a buffer of two parts, a header and its data: two descriptors, never an indirect table.</summary>
    /// <param name="readable">How many the device reads, the first ones.</param>
    /// <returns>The buffer's number; -1 where there is no room for the whole of it.</returns>
    int Add(VirtSegment first, VirtSegment second, int readable);

    /// <summary>Adds a buffer of several parts.</summary>
    /// <param name="parts">Those that the device reads first, then those that it writes.</param>
    /// <param name="readable">How many the device reads.</param>
    /// <returns>The buffer's number; -1 where there is no room for the whole of it.</returns>
    int Add(ReadOnlySpan<VirtSegment> parts, int readable);

    /// <summary>Shows the device what was added since the last time.</summary>
    /// <returns>True where it wants its doorbell rung.</returns>
    bool Publish();

    /// <summary>Takes the next buffer that the device is done with.</summary>
    /// <param name="written">Bytes that the device says it wrote, at most as many as the buffer has room for.</param>
    /// <returns>The buffer's number; -1 where there is none.</returns>
    /// <exception cref="Vfio.DeviceFaultException">The device returned a buffer that it does not have, or more bytes than fit, or an index that cannot be.</exception>
    int Take(out uint written);

    /// <summary>Asks for an interrupt when the next buffer is used.</summary>
    /// <param name="late">Where EVENT_IDX is negotiated: when half of the buffers that are with the device are used.</param>
    /// <returns>False where one is used already: then look again before sleeping.</returns>
    bool EnableInterrupts(bool late = false);

    /// <summary>Asks for none. A device may send one all the same.</summary>
    void DisableInterrupts();

    /// <summary>The state of a new queue, without interrupts; only when the device has let go of it.</summary>
    void Reset();
}

/// <summary>One part of a buffer.</summary>
public readonly record struct VirtSegment(Iova At, uint Length);
