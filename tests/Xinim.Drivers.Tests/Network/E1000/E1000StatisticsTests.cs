using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>Port statistics: counted by the device, added up by the driver.</summary>
public sealed class E1000StatisticsTests
{
    [Theory]
    [MemberData(nameof(Kinds.AllAndQemu), MemberType = typeof(Kinds))]
    public void Port_stats_count_frames_and_bytes_without_fcs(E1000ModelKind kind, E1000Misbehaviour misbehaviour)
    {
        using E1000Bench bench = new E1000Bench(kind, misbehaviour: misbehaviour).Started(post: 64);
        for (int i = 0; i < 3; i++)
        {
            bench.Client.Send(Packets.Plain(100));
            Assert.True(bench.Model.Receive(Packets.Plain(200)));
            Assert.True(bench.Model.Receive(Packets.Plain(60, to: Packets.Broadcast)));
            bench.Poll();
            bench.Driver.OnTimer();
        }

        NetworkStatistics statistics = bench.Driver.Statistics;
        Assert.Equal((3ul, 300ul), (statistics.TxFrames, statistics.TxBytes));
        Assert.Equal((6ul, 780ul), (statistics.RxFrames, statistics.RxBytes));
        Assert.Equal((3ul, 0ul), (statistics.RxBroadcast, statistics.RxMulticast));
    }

    [Theory]
    [InlineData(E1000Misbehaviour.None)]
    [InlineData(E1000Misbehaviour.LikeQemu)]
    public void Error_counters_are_right_whether_a_read_clears_them_or_not(E1000Misbehaviour misbehaviour)
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, misbehaviour: misbehaviour).Started();
        ulong before = bench.Driver.Statistics.RxMissed;
        ulong expected = 0;
        foreach (int missed in (int[])[3, 0, 1, 2000, 0, 0, 5])
        {
            for (int i = 0; i < missed; i++) Assert.False(bench.Model.Receive(Packets.Plain(60)));
            expected += (ulong)missed;
            bench.Driver.OnTimer();
            Assert.Equal(expected, bench.Driver.Statistics.RxMissed - before);
        }
    }

    [Fact]
    public void Counters_go_on_in_64_bits_and_over_a_restart()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started();
        for (int i = 0; i < 3; i++)
        {
            bench.Model.Poke(0x4080, uint.MaxValue);
            bench.Model.Poke(0x4090, 0);
            bench.Model.Poke(0x4094, 100);
            if (i == 1) bench.Driver.Detach();
            else bench.Driver.OnTimer();
        }

        Assert.Equal(3ul * uint.MaxValue, bench.Driver.Statistics.TxFrames);
        Assert.Equal(3ul * ((100ul << 32) - (4ul * uint.MaxValue)), bench.Driver.Statistics.TxBytes);
    }

    [Fact]
    public void What_the_counters_held_before_the_start_is_not_counted()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574).Started();
        bench.Driver.OnTimer();
        NetworkStatistics statistics = bench.Driver.Statistics;
        Assert.Equal(0ul, statistics.RxFrames + statistics.TxFrames + statistics.RxBytes + statistics.TxBytes + statistics.RxMissed + statistics.RxCrcErrors + statistics.TxErrors);
    }

    [Fact]
    public void Interrupts_and_doorbells_are_counted()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started(post: 64);
        ulong before = bench.Driver.Statistics.Doorbells;
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        bench.Driver.OnInterrupt(0);
        Assert.Equal(before + 1, bench.Driver.Statistics.Doorbells);
        Assert.Equal(1ul, bench.Driver.Statistics.Interrupts);
    }
}
