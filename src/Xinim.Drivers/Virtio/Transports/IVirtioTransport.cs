using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Virtio.Transports;

/// <summary>
/// How a driver talks to a virtio device, whatever carries it: PCI registers, a vhost-user socket, a model in a test. Control path only, but
/// for <see cref="VirtioDoorbell"/>. [V] = Virtual I/O Device (VIRTIO) Version 1.2, OASIS Committee Specification.
/// </summary>
/// <remarks>Whatever the device does that [V] forbids, or does not do in time, is a <see cref="Vfio.DeviceFaultException"/>.</remarks>
public interface IVirtioTransport : IDisposable
{
    /// <summary>For messages.</summary>
    string Name { get; }

    /// <summary>What the device is [V §5].</summary>
    VirtioDeviceType Type { get; }

    /// <summary>True where the device reaches memory only as an IOMMU, or its like, lets it: then ACCESS_PLATFORM must be accepted [V §6.1].</summary>
    bool NeedsAccessPlatform { get; }

    /// <summary>Queues that the device has, or can be asked for.</summary>
    ushort QueueCount { get; }

    /// <summary>True where a NIC's pairs of queues are enabled by being set up, without a command and without a word of how many there are: over vhost-user.</summary>
    bool PairsNeedNoCommand => false;

    /// <summary>Interrupt vectors for <see cref="SetUpQueue"/> and <see cref="SetConfigVector"/>.</summary>
    int Vectors { get; }

    /// <summary>Status 0, and waits until the device shows that its reset is done [V §2.4.1, §4.1.4.3.2].</summary>
    void Reset();

    /// <summary>Device status [V §2.1]. Writing never clears bits; <see cref="Reset"/> does.</summary>
    VirtioStatus Status { get; set; }

    /// <summary>What the device offers [V §2.2].</summary>
    VirtioFeatures ReadFeatures();

    /// <summary>What the driver accepts.</summary>
    void WriteFeatures(VirtioFeatures features);

    /// <summary>Entries that a queue can have at the most; 0 where there is no such queue [V §4.1.4.3].</summary>
    uint MaxQueueSize(ushort queue);

    /// <summary>Gives a queue its memory and its vector, and enables it.</summary>
    /// <param name="vector">Below <see cref="Vectors"/>; null for no interrupts.</param>
    /// <exception cref="Vfio.DeviceFaultException">The device refuses the vector, or has no such queue.</exception>
    VirtioDoorbell SetUpQueue(ushort queue, in VirtQueueMemory memory, int? vector);

    /// <summary>Resets one queue, where RING_RESET is negotiated, and waits until the device has let go of it [V §2.6.1].</summary>
    void ResetQueue(ushort queue);

    /// <summary>The vector of configuration changes; null for none.</summary>
    void SetConfigVector(int? vector);

    /// <summary>Bytes of the device's configuration [V §2.5].</summary>
    int ConfigLength { get; }

    /// <summary>
    /// Copies configuration fields, in accesses of the fields' own widths [V §4.1.3.1], and again as long as the generation changes
    /// meanwhile [V §2.5.3].
    /// </summary>
    /// <param name="offset">Bytes from the start.</param>
    /// <param name="into">Filled; fields beyond <see cref="ConfigLength"/> are a fault.</param>
    /// <param name="width">Of one access: 1, 2, 4 bytes.</param>
    void ReadConfig(int offset, Span<byte> into, int width);

    /// <summary>Writes one field.</summary>
    void WriteConfig(int offset, ReadOnlySpan<byte> value);

    /// <summary>With INTx only: reads and clears the ISR [V §4.1.4.5]. Transports whose vectors tell everything answer both.</summary>
    VirtioInterrupts TakeInterrupts();

    /// <summary>Returns when the device has taken notice of every region that was mapped for it so far. Before the first buffer of a client.</summary>
    void Synchronize();
}

/// <summary>Where a queue's three parts are, as the device sees them [V §2.7, §2.8].</summary>
/// <param name="Size">Entries.</param>
/// <param name="Descriptors">Descriptor table, or packed ring.</param>
/// <param name="Driver">Available ring, or the driver's event suppression.</param>
/// <param name="Device">Used ring, or the device's event suppression.</param>
public readonly record struct VirtQueueMemory(uint Size, Iova Descriptors, Iova Driver, Iova Device);

/// <summary>Tells the device that a queue has new buffers. One access; no reads.</summary>
public abstract class VirtioDoorbell
{
    public abstract void Ring();
}

/// <summary>ISR status [V §4.1.4.5].</summary>
[Flags]
public enum VirtioInterrupts : byte
{
    None = 0,
    Queue = 1,
    Configuration = 2,
}

/// <summary>Device types [V §5].</summary>
public enum VirtioDeviceType : uint
{
    Network = 1,
    Block = 2,
    Console = 3,
}
