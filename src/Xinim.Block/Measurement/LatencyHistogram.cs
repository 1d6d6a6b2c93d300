using System.Numerics;

namespace Xinim.Block.Measurement;

/// <summary>Counts times in buckets that are 1/64 of their value wide: percentiles within 2 %, from 1 ns to a century. Nothing is allocated while it counts.</summary>
public sealed class LatencyHistogram
{
    private const int SubBits = 6;
    private const int SubBuckets = 1 << SubBits;
    private readonly ulong[] _counts = new ulong[(64 - SubBits + 1) * SubBuckets];

    public ulong Count { get; private set; }

    /// <summary>The longest, ns.</summary>
    public ulong Max { get; private set; }

    public void Add(ulong nanoseconds)
    {
        _counts[IndexOf(nanoseconds)]++;
        Count++;
        Max = Math.Max(Max, nanoseconds);
    }

    /// <summary>The time that so much of all did not exceed, ns; 0 where nothing was counted.</summary>
    /// <param name="share">0 to 1.</param>
    public ulong Percentile(double share)
    {
        ulong rank = (ulong)Math.Ceiling(share * Count), seen = 0;
        for (int i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= rank && seen != 0) return Math.Min(UpperEnd(i), Max);
        }

        return 0;
    }

    private static int IndexOf(ulong value)
    {
        int shift = Math.Max(0, BitOperations.Log2(value | 1) - SubBits);
        return (shift * SubBuckets) + (int)(value >> shift);
    }

    private static ulong UpperEnd(int index)
    {
        int shift = Math.Max(0, (index / SubBuckets) - 1);
        return (((ulong)(index - (shift * SubBuckets)) + 1) << shift) - 1;
    }
}
