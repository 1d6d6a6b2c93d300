using System.Numerics;
using Xinim.Ipc;

namespace Xinim.Vfio.Dma;

/// <summary>
/// Hands out I/O virtual addresses, lowest first, inside the ranges that the IOMMU reports (which leave out the window that interrupt
/// messages are written to). Address 0 is never used: many devices take it for "none". After each block a gap stays free, so that
/// a device that runs over the end of a region hits nothing, and the IOMMU stops it. Not thread-safe; control path only.
/// </summary>
public sealed class IovaAllocator
{
    private readonly IovaRange[] _ranges;
    private readonly SortedList<ulong, ulong> _used = [];

    /// <param name="ranges">Usable addresses. Sorted here; overlaps are refused.</param>
    /// <param name="granule">Bytes, a power of two: the IOMMU's smallest page, and the least gap between blocks.</param>
    public IovaAllocator(IEnumerable<IovaRange> ranges, ulong granule)
    {
        if (!BitOperations.IsPow2(granule)) throw new ArgumentException($"a granule of {granule} bytes is not a power of two", nameof(granule));
        _ranges = [.. ranges.OrderBy(range => range.First)];
        Granule = granule;
        for (int i = 0; i < _ranges.Length; i++)
        {
            if (_ranges[i].First > _ranges[i].Last || (i > 0 && _ranges[i].First <= _ranges[i - 1].Last))
                throw new ArgumentException($"the address range {_ranges[i]} is empty or overlaps its neighbour", nameof(ranges));
        }
    }

    /// <summary>Bytes: sizes and addresses are multiples of it.</summary>
    public ulong Granule { get; }

    /// <summary>Blocks that are out.</summary>
    public int Count => _used.Count;

    /// <summary>Takes a block.</summary>
    /// <param name="size">Bytes, not 0; rounded up to the granule.</param>
    /// <param name="alignment">Bytes, a power of two: the region's page size lets the IOMMU use large pages.</param>
    /// <exception cref="LinuxException">No gap is large enough.</exception>
    public Iova Allocate(ulong size, ulong alignment)
    {
        ArgumentOutOfRangeException.ThrowIfZero(size);
        if (!BitOperations.IsPow2(alignment)) throw new ArgumentException($"an alignment of {alignment} bytes is not a power of two", nameof(alignment));
        if (size > ulong.MaxValue - Granule + 1) throw new LinuxException($"no address space for a region of {size} bytes");
        ulong rounded = (size + Granule - 1) & ~(Granule - 1);
        ulong step = Math.Max(alignment, Granule);
        foreach (IovaRange range in _ranges)
        {
            if (TryPlace(range, rounded, step) is not { } start) continue;
            _used.Add(start, rounded);
            return new Iova(start);
        }

        throw new LinuxException($"no I/O address space left for {size} bytes aligned to {alignment}: {_used.Count} blocks are mapped in "
            + $"{string.Join(", ", _ranges)}; map fewer or smaller regions");
    }

    /// <summary>Gives a block back.</summary>
    /// <param name="start">As <see cref="Allocate"/> returned it.</param>
    /// <param name="size">As it was asked for.</param>
    /// <exception cref="ArgumentException">No such block is out.</exception>
    public void Free(Iova start, ulong size)
    {
        ulong rounded = (size + Granule - 1) & ~(Granule - 1);
        if (!Contains(start, size)) throw new ArgumentException($"no block of {rounded} bytes at {start} is in use", nameof(start));
        _used.Remove(start.Value);
    }

    /// <summary>True where exactly this block is out.</summary>
    public bool Contains(Iova start, ulong size) => _used.TryGetValue(start.Value, out ulong used) && used == ((size + Granule - 1) & ~(Granule - 1));

    /// <summary>The lowest fitting place in a range, or null. Sums cannot wrap: each is compared by subtraction first.</summary>
    private ulong? TryPlace(IovaRange range, ulong size, ulong step)
    {
        ulong from = Math.Max(range.First, Granule);
        foreach ((ulong start, ulong length) in _used)
        {
            if (start > range.Last) break;
            if (start < range.First) continue;
            if (AlignUp(from, step) is not { } place) return null;
            // The gap before the next block as well as the one behind the last.
            if (place < start && start - place >= size && start - place - size >= Granule) return place;
            ulong last = start + (length - 1);
            if (ulong.MaxValue - last <= Granule) return null;
            from = Math.Max(from, last + 1 + Granule);
        }

        return AlignUp(from, step) is { } end && end <= range.Last && range.Last - end >= size - 1 ? end : null;
    }

    private static ulong? AlignUp(ulong value, ulong step) => value > ulong.MaxValue - (step - 1) ? null : (value + step - 1) & ~(step - 1);
}
