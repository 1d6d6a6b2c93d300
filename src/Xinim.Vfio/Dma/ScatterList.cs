using System.Numerics;

namespace Xinim.Vfio.Dma;

/// <summary>A piece of memory as a device is told of it.</summary>
/// <param name="Start">Where the device sees its first byte.</param>
/// <param name="Length">Bytes, not 0.</param>
public readonly record struct ScatterSegment(Iova Start, uint Length);

/// <summary>
/// A list of segments for one request, cut to what a device can take. Neighbouring pieces are joined, those that are too long or cross
/// a boundary are split. Made once and used again for each request: it allocates nothing.
/// </summary>
public sealed class ScatterList
{
    private readonly ScatterSegment[] _segments;
    private readonly uint _maxSegment;
    private readonly ulong _boundary;

    /// <param name="capacity">Segments that the device's list holds.</param>
    /// <param name="maxSegment">Bytes that one segment may have: 4 MiB for AHCI, for example.</param>
    /// <param name="boundary">Bytes, a power of two: no segment crosses a multiple of it; 0 where the device does not mind.</param>
    public ScatterList(int capacity, uint maxSegment = uint.MaxValue, ulong boundary = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        ArgumentOutOfRangeException.ThrowIfZero(maxSegment);
        if (boundary != 0 && !BitOperations.IsPow2(boundary)) throw new ArgumentException($"a boundary of {boundary} bytes is not a power of two", nameof(boundary));
        _segments = new ScatterSegment[capacity];
        _maxSegment = maxSegment;
        _boundary = boundary;
    }

    /// <summary>Segments in the list.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of all segments.</summary>
    public ulong TotalBytes { get; private set; }

    /// <summary>The segments, in the order of the data.</summary>
    public ReadOnlySpan<ScatterSegment> Segments => _segments.AsSpan(0, Count);

    /// <summary>Empties the list for the next request.</summary>
    public void Clear()
    {
        Count = 0;
        TotalBytes = 0;
    }

    /// <summary>Adds a part of a region.</summary>
    /// <param name="region">Mapped for the device.</param>
    /// <param name="offset">Bytes from the region's start.</param>
    /// <param name="length">Bytes, not 0.</param>
    /// <returns>False where the part leaves the region or the list has no room; then the list is as it was.</returns>
    public bool TryAdd(DmaRegion region, ulong offset, ulong length)
    {
        ulong size = (ulong)region.Size;
        return offset <= size && length <= size - offset && TryAdd(new Iova(region.Iova.Value + offset), length);
    }

    /// <summary>Adds memory that the caller has checked.</summary>
    /// <returns>False for no bytes, an address that wraps, or a list without room; then the list is as it was.</returns>
    public bool TryAdd(Iova start, ulong length)
    {
        if (length == 0 || start.Value > ulong.MaxValue - (length - 1)) return false;
        (int count, ScatterSegment last) = (Count, Count > 0 ? _segments[Count - 1] : default);
        ulong left = length;
        ulong at = start.Value;
        if (count > 0 && at != 0 && last.Start.Value + last.Length == at)
        {
            ulong taken = Math.Min(left, Room(last.Start.Value) - last.Length);
            _segments[count - 1] = last with { Length = last.Length + (uint)taken };
            at += taken;
            left -= taken;
        }

        while (left != 0)
        {
            if (Count == _segments.Length)
            {
                Count = count;
                if (count > 0) _segments[count - 1] = last;
                return false;
            }

            ulong taken = Math.Min(left, Room(at));
            _segments[Count++] = new ScatterSegment(new Iova(at), (uint)taken);
            at += taken;
            left -= taken;
        }

        TotalBytes += length;
        return true;
    }

    /// <summary>The longest segment that may start at an address.</summary>
    private ulong Room(ulong at) => _boundary == 0 ? _maxSegment : Math.Min(_maxSegment, _boundary - (at & (_boundary - 1)));
}
