using System.Numerics;

namespace Xinim.Drivers.Virtio.Queues;

/// <summary>One of a queue's three parts.</summary>
/// <param name="Bytes">What the device may touch.</param>
/// <param name="Alignment">Bytes, at the least.</param>
public readonly record struct VirtQueuePart(uint Bytes, uint Alignment);

/// <summary>What a queue's memory looks like [V §2.7, §2.8]. Pure arithmetic. [V] = Virtual I/O Device (VIRTIO) Version 1.2.</summary>
/// <param name="Descriptors">Descriptor table, or packed ring.</param>
/// <param name="Driver">Available ring, or the driver's event suppression.</param>
/// <param name="Device">Used ring, or the device's event suppression.</param>
public readonly record struct VirtQueueLayout(VirtQueuePart Descriptors, VirtQueuePart Driver, VirtQueuePart Device)
{
    /// <summary>Entries at the most [V §2.7, §2.8].</summary>
    public const uint MaxSize = 32768;

    /// <summary>Bytes of a descriptor [V §2.7.5, §2.8.13].</summary>
    public const uint DescriptorBytes = 16;

    /// <summary>flags of the available and of the used ring [V §2.7.6, §2.7.8].</summary>
    public const uint FlagsOffset = 0;

    /// <summary>idx of the available and of the used ring [V §2.7.6, §2.7.8].</summary>
    public const uint IndexOffset = 2;

    /// <summary>ring of the available and of the used ring [V §2.7.6, §2.7.8].</summary>
    public const uint RingOffset = 4;

    private const uint AvailableBytes = 2; // le16 [V §2.7.6]
    private const uint UsedBytes = 8; // struct virtq_used_elem [V §2.7.8]
    private const uint EventBytes = 2; // used_event, avail_event [V §2.7.6, §2.7.8]
    private const uint SuppressionBytes = 4; // struct pvirtq_event_suppress [V §2.8.14]

    /// <summary>used_event, behind the available ring [V §2.7.6].</summary>
    public static uint UsedEventOffset(uint size) => RingOffset + (AvailableBytes * size);

    /// <summary>avail_event, behind the used ring [V §2.7.8].</summary>
    public static uint AvailEventOffset(uint size) => RingOffset + (UsedBytes * size);

    /// <summary>A split queue [V §2.7].</summary>
    /// <param name="size">Entries; a power of two [V §2.7].</param>
    public static VirtQueueLayout Split(uint size)
    {
        Check(size);
        return new VirtQueueLayout(
            new VirtQueuePart(DescriptorBytes * size, 16),
            new VirtQueuePart(UsedEventOffset(size) + EventBytes, 2),
            new VirtQueuePart(AvailEventOffset(size) + EventBytes, 4));
    }

    /// <summary>A packed queue [V §2.8.10.1].</summary>
    /// <param name="size">Entries; a power of two here, though [V §2.8.10.1] takes any number.</param>
    public static VirtQueueLayout Packed(uint size)
    {
        Check(size);
        return new VirtQueueLayout(
            new VirtQueuePart(DescriptorBytes * size, 16),
            new VirtQueuePart(SuppressionBytes, 4),
            new VirtQueuePart(SuppressionBytes, 4));
    }

    private static void Check(uint size)
    {
        if (!BitOperations.IsPow2(size) || size > MaxSize)
            throw new ArgumentOutOfRangeException(nameof(size), size, $"a queue has a power of two of entries, up to {MaxSize}");
    }
}
