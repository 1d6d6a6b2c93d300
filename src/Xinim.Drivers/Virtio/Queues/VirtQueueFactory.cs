using System.Numerics;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Virtio.Queues;

/// <summary>Makes queues of the layout that was negotiated. A driver that is generic over it asks <see cref="IsPacked"/> once, where it is made.</summary>
public static class VirtQueueFactory
{
    /// <summary>True where the layout is <see cref="PackedQueue"/>, otherwise it is <see cref="SplitQueue"/>.</summary>
    public static bool IsPacked(VirtioFeatures features) => (features & VirtioFeatures.RingPacked) != 0;

    /// <summary>Entries for a queue.</summary>
    /// <param name="max">What the device says it can have.</param>
    /// <param name="wanted">A power of two.</param>
    /// <param name="name">For messages.</param>
    /// <exception cref="DeviceFaultException">The device has no such queue, or says a number that [V §2.7, §2.8] forbid.</exception>
    public static uint ChooseSize(VirtioFeatures features, uint max, uint wanted, string name)
    {
        if (max == 0) throw new DeviceFaultException($"{name}: the device has no such queue (queue_size is 0) [V §4.1.4.3]");
        if (max > VirtQueueLayout.MaxSize || (!IsPacked(features) && !BitOperations.IsPow2(max)))
            throw new DeviceFaultException($"{name}: a queue size of {max} is not {(IsPacked(features) ? "" : "a power of two ")}up to {VirtQueueLayout.MaxSize} [V §2.7, §2.8]");
        return Math.Min(wanted, BitOperations.RoundUpToPowerOf2(max + 1) / 2);
    }

    /// <summary>Makes a queue.</summary>
    /// <typeparam name="TQueue">The layout of <paramref name="features"/>.</typeparam>
    /// <inheritdoc cref="SplitQueue(VirtioFeatures, DmaArena, uint, string, uint)"/>
    public static TQueue Create<TQueue>(VirtioFeatures features, DmaArena arena, uint size, string name, uint indirectParts = 0)
        where TQueue : struct, IVirtQueue
    {
        if (typeof(TQueue) == typeof(SplitQueue)) return (TQueue)(object)new SplitQueue(features, arena, size, name, indirectParts);
        if (typeof(TQueue) == typeof(PackedQueue)) return (TQueue)(object)new PackedQueue(features, arena, size, name, indirectParts);
        throw new NotSupportedException($"{name}: there is no layout {typeof(TQueue).Name}");
    }
}
