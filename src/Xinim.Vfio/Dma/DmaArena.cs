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
        if (!BitOperations.IsPow2(count) || !BitOperations.IsPow2(alignment))
            throw new ArgumentException($"count {count} and alignment {alignment} must be powers of two");
        long length = (long)count * Unsafe.SizeOf<T>();
        // Aligned as the device sees it: the IOVA of the region itself is page-aligned only.
        long start = (long)(((_region.Iova.Value + (ulong)_used + alignment - 1) & ~((ulong)alignment - 1)) - _region.Iova.Value);
        if (length > _region.Size - start)
            throw new InvalidOperationException($"the work region of {_region.Size} bytes has {Free} left, {length} are needed; raise 'dmaBytes' in the driver's manifest");
        _used = start + length;
        _region.Memory!.Slice(start, checked((int)length)).Clear();
        return new DmaBuffer<T>(_region.Memory, start, _region.Iova + (ulong)start, count);
    }

    /// <summary>Takes everything back. Only when the device is quiet.</summary>
    public void Reset() => _used = 0;
}
