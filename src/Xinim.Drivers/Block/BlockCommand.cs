using Xinim.Ipc.Protocols;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Block;

/// <summary>A request that was read once and checked: whatever the client writes to its ring now, this stays as it is.</summary>
public readonly ref struct BlockCommand
{
    internal BlockCommand(BlockRequest request, ReadOnlySpan<DmaSegment> segments)
    {
        Cookie = request.Cookie;
        Operation = request.Operation;
        Flags = request.Flags & ~BlockFlags.More;
        Lba = request.Lba;
        Count = request.Count;
        Segments = segments;
    }

    /// <summary>For the completion.</summary>
    public ulong Cookie { get; }

    public BlockOperation Operation { get; }

    public BlockFlags Flags { get; }

    /// <summary>First logical block; on the disk with all of <see cref="Count"/>.</summary>
    public ulong Lba { get; }

    /// <summary>Logical blocks.</summary>
    public uint Count { get; }

    /// <summary>Where the device finds the data; together as long as the blocks. Valid until the intake's next call.</summary>
    public ReadOnlySpan<DmaSegment> Segments { get; }

    /// <summary>What the device does with the segments' memory.</summary>
    public bool DeviceWrites => Operation is BlockOperation.Read or BlockOperation.GetId;
}

/// <summary>A piece of memory as the device sees it.</summary>
/// <param name="Length">Bytes.</param>
public readonly record struct DmaSegment(Iova Iova, uint Length);
