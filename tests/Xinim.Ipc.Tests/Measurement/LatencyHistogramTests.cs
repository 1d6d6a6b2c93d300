using System.Diagnostics;
using CsCheck;
using Xinim.Ipc.Measurement;
using Xunit;

namespace Xinim.Ipc.Tests.Measurement;

public sealed class LatencyHistogramTests
{
    [Fact]
    public void An_empty_one_says_nothing()
    {
        LatencyHistogram empty = new();
        Assert.Equal((0ul, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero), (empty.Count, empty.Min, empty.Max, empty.Percentile(0.99)));
    }

    [Fact]
    public void Percentiles_are_within_one_in_128() => Gen.Long[0, 10_000_000_000].Array[1, 300].Sample(nanoseconds =>
    {
        LatencyHistogram histogram = new();
        foreach (long value in nanoseconds) histogram.Add((long)(value / 1e9 * Stopwatch.Frequency));
        long[] sorted = [.. nanoseconds.Order()];
        foreach (double share in (double[])[0.01, 0.5, 0.99, 1])
        {
            double exact = sorted[Math.Max(0, (int)Math.Ceiling(share * sorted.Length) - 1)];
            double got = histogram.Percentile(share).TotalNanoseconds;
            Assert.InRange(got, exact - 300, (exact * (1 + (1 / 128.0))) + 300);
        }

        Assert.Equal(sorted[0], histogram.Min.TotalNanoseconds, 200.0);
        Assert.Equal(sorted[^1], histogram.Max.TotalNanoseconds, 200.0);
        Assert.Equal(nanoseconds.Average(), histogram.Mean.TotalNanoseconds, 300.0);
    });
}
