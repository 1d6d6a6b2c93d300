using System.Numerics;
using System.Runtime.CompilerServices;
using Xinim.Ipc.Memory;

namespace Xinim.Vfio.Dma;

/// <summary>Memory that a device takes in one piece, seen through a <see cref="DmaBuffer{T}"/> for each of its parts.</summary>
public readonly struct DmaBlock
{
    private readonly SharedRegion _memory;
    private readonly long _offset;

    internal DmaBlock(SharedRegion memory, long offset, Iova iova, uint bytes) => (_memory, _offset, Iova, Bytes) = (memory, offset, iova, bytes);

    /// <summary>Where the device sees the first byte.</summary>
    public Iova Iova { get; }

    public uint Bytes { get; }

    /// <summary>A table inside the block.</summary>
    /// <param name="offset">Bytes from the block's start.</param>
    /// <param name="count">Elements, a power of two: indices are masked.</param>
    public DmaBuffer<T> View<T>(uint offset, uint count)
        where T : unmanaged
    {
        if (!BitOperations.IsPow2(count)) throw new ArgumentException($"a count of {count} is not a power of two", nameof(count));
        if (offset + ((ulong)count * (uint)Unsafe.SizeOf<T>()) > Bytes)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{count} elements there leave a block of {Bytes} bytes");
        return new DmaBuffer<T>(_memory, _offset + offset, Iova + offset, count);
    }
}
