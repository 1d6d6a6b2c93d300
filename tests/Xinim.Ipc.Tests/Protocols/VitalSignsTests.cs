using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xunit;

namespace Xinim.Ipc.Tests.Protocols;

public sealed class VitalSignsTests
{
    [Fact]
    public void Latencies_become_percentiles_of_their_bucket()
    {
        using SharedRegion page = VitalSigns.Create();
        VitalSigns driver = new(page), supervisor = new(page);
        Assert.Equal(default, supervisor.Latency);
        for (int i = 0; i < 98; i++) driver.AddLatency(1500);
        driver.AddLatency(70_000);
        driver.AddLatency(90_000);

        LatencySummary found = supervisor.Latency;

        Assert.Equal((100ul, 90_000.0), (found.Samples, found.Max));
        // 1024 to 2047 and 65536 to 131071, where a percentile above the largest sample is that sample.
        Assert.Equal(1024 * (1 + (50 / 98.0)), found.P50);
        Assert.Equal(90_000, found.P99);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-5)]
    [InlineData(long.MaxValue)]
    public void Impossible_times_fall_into_the_last_buckets(long nanoseconds)
    {
        using SharedRegion page = VitalSigns.Create();
        VitalSigns signs = new(page);
        signs.AddLatency(nanoseconds);
        Assert.Equal((1ul, Math.Max(nanoseconds, 0)), (signs.Latency.Samples, signs.Latency.Max));
    }

    [Fact]
    public void Whatever_a_driver_writes_gives_finite_numbers()
    {
        using SharedRegion page = VitalSigns.Create();
        Random random = new(4711);
        for (int round = 0; round < 1000; round++)
        {
            for (int at = 0; at < VitalSigns.Bytes; at += sizeof(uint)) page.At<uint>(at) = round == 0 ? uint.MaxValue : (uint)random.NextInt64(1L << 32);
            LatencySummary found = new VitalSigns(page).Latency;
            Assert.True(double.IsFinite(found.P50) && found.P50 >= 0 && found.P50 <= found.P99 && found.P99 <= found.Max && double.IsFinite(found.Max), $"round {round}, seed 4711: {found}");
        }
    }

    [Fact]
    public void Beats_and_latencies_do_not_mix()
    {
        using SharedRegion page = VitalSigns.Create();
        VitalSigns signs = new(page);
        signs.Beat();
        signs.AddLatency(1);
        signs.Beat();
        Assert.Equal((2u, 1ul), (signs.Beats, signs.Latency.Samples));
    }
}
