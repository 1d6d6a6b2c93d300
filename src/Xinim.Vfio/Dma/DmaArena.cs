using System.Numerics;
using System.Runtime.CompilerServices;

namespace Xinim.Vfio.Dma;

/// <summary>
/// Carves a driver's work region into aligned, zeroed blocks, front to back. Blocks are not freed one by one: the device may still write
/// to them, so the whole arena goes back when the device is quiet (<see cref="Reset"/>).
/// </summary>
public sealed class DmaArena
{
    private readonly DmaRegion _region;
    private long _used;

    /// <param name="region">A region that this process has mapped.</param>
    public DmaArena(DmaRegion region)
    {
        if (region.Memory is null) throw new ArgumentException($"region {region.Id} is not mapped into this process", nameof(region));
        _region = region;
    }

    /// <summary>Bytes that are left.</summary>
    public long Free => _region.Size - _used;

    /// <summary>Takes a table of <paramref name="count"/> elements.</summary>
    /// <param name="count">A power of two: indices are masked.</param>
    /// <param name="alignment">Bytes, a power of two, of the IOVA.</param>
    /// <exception cref="InvalidOperationException">The region is too small; the driver's manifest says how big it is.</exception>
    public DmaBuffer<T> Allocate<T>(uint count, uint alignment)
        where T : unmanaged
    {
        if (!BitOperations.IsPow2(count)) throw new ArgumentException($"a count of {count} is not a power of two", nameof(count));
        long start = Take((long)count * Unsafe.SizeOf<T>(), alignment);
        return new DmaBuffer<T>(_region.Memory!, start, _region.Iova + (ulong)start, count);
    }

    /// <summary>Takes memory for what a device wants in one piece and is no table: a ring with a head and a tail of its own.</summary>
    /// <param name="bytes">Not 0.</param>
    /// <param name="alignment">Bytes, a power of two, of the IOVA.</param>
    /// <exception cref="InvalidOperationException">As for a table.</exception>
    public DmaBlock AllocateBlock(uint bytes, uint alignment)
    {
        ArgumentOutOfRangeException.ThrowIfZero(bytes);
        long start = Take(bytes, alignment);
        return new DmaBlock(_region.Memory!, start, _region.Iova + (ulong)start, bytes);
    }

    /// <summary>Takes a table with what its memory holds: what a driver notes there is its successor's to read.</summary>
    /// <inheritdoc cref="Allocate"/>
    public DmaBuffer<T> AllocateKept<T>(uint count, uint alignment)
        where T : unmanaged
    {
        if (!BitOperations.IsPow2(count)) throw new ArgumentException($"a count of {count} is not a power of two", nameof(count));
        long start = Take((long)count * Unsafe.SizeOf<T>(), alignment, clear: false);
        return new DmaBuffer<T>(_region.Memory!, start, _region.Iova + (ulong)start, count);
    }

    /// <summary>Leaves memory out, with what it holds.</summary>
    public void Skip(long bytes) => Take(bytes, 1, clear: false);

    /// <summary>A private copy of what the region holds.</summary>
    /// <param name="offset">Bytes from its start.</param>
    public byte[] Copy(long offset, int bytes) => _region.Memory!.Slice(offset, bytes).ToArray();

    /// <summary>Bytes that were taken, for <see cref="Reset"/>.</summary>
    public long Used => _used;

    /// <summary>Takes back what was taken since then. Only when the device does not touch it any more.</summary>
    /// <param name="used">A former <see cref="Used"/>; 0 for everything.</param>
    public void Reset(long used = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)used, (ulong)_used, nameof(used));
        _used = used;
    }

    private long Take(long length, uint alignment, bool clear = true)
    {
        if (!BitOperations.IsPow2(alignment)) throw new ArgumentException($"an alignment of {alignment} bytes is not a power of two", nameof(alignment));
        // Aligned as the device sees it: the IOVA of the region itself is page-aligned only.
        long start = (long)(((_region.Iova.Value + (ulong)_used + alignment - 1) & ~((ulong)alignment - 1)) - _region.Iova.Value);
        if (length > _region.Size - start)
            throw new InvalidOperationException($"the work region of {_region.Size} bytes has {Free} left, {length} are needed; raise 'dmaBytes' in the driver's manifest");
        _used = start + length;
        if (clear) _region.Memory!.Slice(start, checked((int)length)).Clear();
        return start;
    }
}
