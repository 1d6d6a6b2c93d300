using Xinim.Drivers.Network.E1000;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>Masks, causes and moderation with INTx, MSI and MSI-X.</summary>
public sealed class E1000InterruptsTests
{
    public static TheoryData<E1000ModelKind, InterruptKind> KindsOfBoth => new()
    {
        { E1000ModelKind.I82540, InterruptKind.Intx },
        { E1000ModelKind.I82545, InterruptKind.Intx },
        { E1000ModelKind.I82544, InterruptKind.Intx },
        { E1000ModelKind.I82574, InterruptKind.Intx },
        { E1000ModelKind.I82574, InterruptKind.Msi },
        { E1000ModelKind.I82574, InterruptKind.MsiX },
    };

    [Theory]
    [MemberData(nameof(KindsOfBoth))]
    public void Rx_interrupt_comes_once_armed_and_not_while_polling(E1000ModelKind kind, InterruptKind interrupts)
    {
        using E1000Bench bench = new E1000Bench(kind, interrupts: interrupts).Started(post: 64);
        Assert.True(bench.Model.Receive(Packets.Plain(60)));
        Assert.Equal(0, bench.Interrupts.Raised[0]);
        bench.Driver.OnInterrupt(0);
        bench.Poll();
        bench.Driver.ArmInterrupts();
        Assert.Equal(0, bench.Interrupts.Raised[0]);
        Assert.True(bench.Model.Receive(Packets.Plain(60)));
        Assert.Equal(1, bench.Interrupts.Raised[0]);
        Assert.True(bench.Interrupts.Take(0));
        bench.Driver.OnInterrupt(0);
        bench.Interrupts.Acknowledge(0);
        for (int i = 0; i < 10; i++) Assert.True(bench.Model.Receive(Packets.Plain(60)));
        Assert.Equal(1, bench.Interrupts.Raised[0]);
        Assert.Empty(bench.Model.Violations);
    }

    [Theory]
    [MemberData(nameof(KindsOfBoth))]
    public void Tx_interrupt_comes_only_while_frames_are_out(E1000ModelKind kind, InterruptKind interrupts)
    {
        using E1000Bench bench = new E1000Bench(kind, interrupts: interrupts).Started();
        bench.Driver.ArmInterrupts();
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        Assert.Equal(0, bench.Interrupts.Raised[0]);
        bench.Driver.OnInterrupt(0);
        bench.Model.TransmitAtOnce = false;
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        Assert.True(bench.Driver.TxBusy);
        bench.Driver.ArmInterrupts();
        Assert.Equal(0, bench.Interrupts.Raised[0]);
        bench.Model.ProcessTransmit();
        Assert.Equal(1, bench.Interrupts.Raised[0]);
    }

    [Theory]
    [MemberData(nameof(KindsOfBoth))]
    public void Link_event_wakes_every_kind(E1000ModelKind kind, InterruptKind interrupts)
    {
        using E1000Bench bench = new E1000Bench(kind, interrupts: interrupts).Started();
        bench.Driver.ArmInterrupts();
        bench.Model.SetLink(null);
        Assert.Equal(1, bench.Interrupts.Raised[0]);
        bench.Driver.OnInterrupt(0);
        Assert.Equal(0u, bench.Driver.Link.Up);
        bench.Interrupts.Acknowledge(0);
        bench.Driver.ArmInterrupts();
        bench.Model.SetLink(1000);
        Assert.Equal(2, bench.Interrupts.Raised[0]);
    }

    [Fact]
    public void Causes_of_frames_that_polling_found_do_not_end_the_sleep()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started(post: 64);
        for (int i = 0; i < 5; i++)
        {
            Assert.True(bench.Model.Receive(Packets.Plain(60)));
            bench.Poll();
        }

        bench.Driver.ArmInterrupts();
        Assert.Equal(0, bench.Interrupts.Raised[0]);
        Assert.True(bench.Model.Receive(Packets.Plain(60)));
        Assert.Equal(1, bench.Interrupts.Raised[0]);
    }

    [Fact]
    public void A_link_change_while_polling_is_not_lost_when_causes_are_cleared()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started(post: 64);
        for (int i = 0; i < 5; i++)
        {
            Assert.True(bench.Model.Receive(Packets.Plain(60)));
            bench.Poll();
        }

        bench.Model.SetLink(100);
        bench.Driver.ArmInterrupts();
        Assert.Equal(100u, bench.Driver.Link.MegabitsPerSecond);
    }

    [Fact]
    public void A_frame_between_the_last_poll_and_the_arming_is_not_lost()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started(post: 64);
        Assert.True(bench.Model.Receive(Packets.Plain(60)));
        bench.Driver.ArmInterrupts();
        Assert.Equal(1, bench.Interrupts.Raised[0]);
    }

    [Fact]
    public void Arming_is_one_write_and_idempotent()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82545).Started();
        bench.Model.ForgetAccesses();
        bench.Driver.ArmInterrupts();
        Assert.Equal((0, 1), (bench.Model.Reads, bench.Model.Writes));
        bench.Driver.ArmInterrupts();
        Assert.Equal(0, bench.Interrupts.Raised[0]);
    }

    [Theory]
    [InlineData(E1000ModelKind.I82540)]
    [InlineData(E1000ModelKind.I82574)]
    public void Moderation_follows_the_load_step_by_step(E1000ModelKind kind)
    {
        using E1000Bench bench = new E1000Bench(kind).Started(post: 512);
        uint latency = bench.Model.Throttle;
        Round(100);
        uint low = bench.Model.Throttle;
        Round(100);
        uint bulk = bench.Model.Throttle;
        Assert.True(latency < low && low < bulk, $"{latency} {low} {bulk}");
        Round(1);
        Assert.Equal(low, bench.Model.Throttle);
        Round(1);
        Assert.Equal(latency, bench.Model.Throttle);
        bench.Model.ForgetAccesses();
        bench.Driver.OnInterrupt(0);
        Assert.Equal(1, bench.Model.Writes);
        if (kind == E1000ModelKind.I82574) Assert.Equal(latency, bench.Model.Peek(0xe8));

        void Round(int frames)
        {
            for (int i = 0; i < frames; i++) Assert.True(bench.Model.Receive(Packets.Plain(60)));
            bench.Poll();
            _ = bench.Client.TakeReceived();
            bench.Poll();
            bench.Driver.OnInterrupt(0);
        }
    }

    [Fact]
    public void Moderation_can_be_fixed()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, new E1000Options { ThrottleInterval = 0 }).Started(post: 8);
        Assert.Equal(0u, bench.Model.Throttle);
        bench.Driver.OnInterrupt(0);
        Assert.Equal(0u, bench.Model.Throttle);
    }
}
