using System.Diagnostics;

namespace Xinim.Ipc.Measurement;

/// <summary>Counts durations in buckets that are 1/128 of their value wide, from a nanosecond up: percentiles without keeping every value.</summary>
public sealed class LatencyHistogram
{
    private const int SubBits = 7;
    private readonly ulong[] _counts = new ulong[(64 - SubBits + 1) << SubBits];
    private double _sum;

    public ulong Count { get; private set; }

    public TimeSpan Min => FromNanoseconds(Count == 0 ? 0 : MinNanoseconds);

    public TimeSpan Max => FromNanoseconds(MaxNanoseconds);

    public TimeSpan Mean => FromNanoseconds(Count == 0 ? 0 : _sum / Count);

    private ulong MinNanoseconds { get; set; } = ulong.MaxValue;

    private ulong MaxNanoseconds { get; set; }

    /// <summary>Notes a duration in ticks of <see cref="Stopwatch"/>; a negative one counts as none.</summary>
    public void Add(long stopwatchTicks)
    {
        ulong nanoseconds = (ulong)(Math.Max(stopwatchTicks, 0) * (1e9 / Stopwatch.Frequency));
        _counts[BucketOf(nanoseconds)]++;
        Count++;
        _sum += nanoseconds;
        MinNanoseconds = Math.Min(MinNanoseconds, nanoseconds);
        MaxNanoseconds = Math.Max(MaxNanoseconds, nanoseconds);
    }

    /// <summary>The duration that a share of all do not exceed, at most 1/128 too large.</summary>
    /// <param name="share">0–1.</param>
    public TimeSpan Percentile(double share)
    {
        ulong wanted = Math.Max(1, (ulong)Math.Ceiling(share * Count));
        ulong seen = 0;
        for (int bucket = 0; bucket < _counts.Length; bucket++)
        {
            seen += _counts[bucket];
            if (seen >= wanted && seen != 0) return FromNanoseconds(Math.Clamp(UpperOf(bucket), MinNanoseconds, MaxNanoseconds));
        }

        return TimeSpan.Zero;
    }

    // Values below 128 have a bucket each; above, 128 buckets between two powers of two.
    private static int BucketOf(ulong value)
    {
        int shift = Math.Max(0, (int)ulong.Log2(value | 1) - SubBits);
        return (shift << SubBits) + (int)(value >> shift);
    }

    private static ulong UpperOf(int bucket)
    {
        int shift = Math.Max(0, (bucket >> SubBits) - 1);
        ulong sub = (ulong)(bucket - (shift << SubBits));
        return ((sub + 1) << shift) - 1;
    }

    private static TimeSpan FromNanoseconds(double nanoseconds) => TimeSpan.FromTicks((long)Math.Round(nanoseconds / TimeSpan.NanosecondsPerTick));
}
