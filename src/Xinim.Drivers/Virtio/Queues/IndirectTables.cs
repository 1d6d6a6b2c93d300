using System.Numerics;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Virtio.Queues;

/// <summary>A table of descriptors for each number of a queue, for buffers of many parts [V §2.7.5.3, §2.8.7].</summary>
internal readonly struct IndirectTables
{
    /// <summary>
    /// Parts that a buffer has at the least to go into a table. A header and its data stay two descriptors: a table would cost the device one
    /// more access to memory.
    /// </summary>
    public const uint MinParts = 3;

    private readonly DmaBuffer<VirtDescriptor> _tables;
    private readonly uint _each;

    /// <param name="parts">Parts that a table has room for, rounded up; no more than the queue has entries [V §2.7.5.3.1]. 0: no tables.</param>
    public IndirectTables(VirtioFeatures features, DmaArena arena, uint size, uint parts)
    {
        if ((features & VirtioFeatures.IndirectDescriptors) == 0 || Math.Min(parts, size) < MinParts) return;
        _each = Math.Min(BitOperations.RoundUpToPowerOf2(parts), size);
        _tables = arena.Allocate<VirtDescriptor>(size * _each, VirtQueueLayout.DescriptorBytes);
    }

    /// <summary>True where a buffer of so many parts goes into a table.</summary>
    public bool Takes(int parts) => parts >= MinParts && (uint)parts <= _each;

    /// <summary>Where the device finds the table of a number.</summary>
    public ulong Address(uint id) => _tables.Iova.Value + ((ulong)id * _each * VirtQueueLayout.DescriptorBytes);

    /// <summary>Entry of the table of a number.</summary>
    public ref VirtDescriptor this[uint id, uint entry] => ref _tables[(id * _each) + entry];
}
