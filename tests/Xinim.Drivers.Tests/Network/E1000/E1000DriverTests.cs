using Xinim.Drivers.Network.E1000;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>Life of a driver: bring-up, transfers, detaching, dying and being followed.</summary>
public sealed class E1000DriverTests
{
    [Theory]
    [MemberData(nameof(Kinds.AllAndQemu), MemberType = typeof(Kinds))]
    public void Init_brings_the_device_up_by_the_manual(E1000ModelKind kind, E1000Misbehaviour misbehaviour)
    {
        using E1000Bench bench = new(kind, misbehaviour: misbehaviour);
        NetworkDeviceInfo info = bench.Driver.Start();
        Assert.Equal("52:54:00:12:34:56", info.Mac.ToString());
        Assert.Equal(new LinkState(1, 1000, 1), info.Link);
        Assert.Equal(9018u, info.MaxFrame);
        Assert.Equal(1, info.VectorsUsed);
        Assert.True(bench.Model.Running);
        Assert.Equal(0u, bench.Model.Mask);
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }

    [Theory]
    [InlineData(0x8086, 0x100e, true)]
    [InlineData(0x8086, 0x100f, true)]
    [InlineData(0x8086, 0x100c, true)]
    [InlineData(0x8086, 0x10d3, true)]
    [InlineData(0x8086, 0x1008, false)]
    [InlineData(0x8086, 0x10c9, false)]
    [InlineData(0x1af4, 0x100e, false)]
    public void Matches_its_devices_and_no_others(ushort vendor, ushort device, bool expected) => Assert.Equal(expected, E1000Driver.Matches(vendor, device));

    [Theory]
    [MemberData(nameof(Kinds.AllAndQemu), MemberType = typeof(Kinds))]
    public void Tx_and_rx_move_one_frame_each(E1000ModelKind kind, E1000Misbehaviour misbehaviour)
    {
        using E1000Bench bench = new E1000Bench(kind, misbehaviour: misbehaviour).Started(post: 16);
        byte[] frame = Packets.Plain(100, 7);
        bench.Client.Send(frame);
        bench.Poll();
        Assert.Equal(frame, Assert.Single(bench.Model.Sent));
        NetBuffer sent = Assert.Single(bench.Client.TakeCompleted());
        Assert.Equal(NetFlags.None, sent.Flags);
        Assert.True(bench.Model.Receive(frame));
        bench.Poll();
        (NetBuffer last, byte[] received) = Assert.Single(bench.Client.TakeReceived());
        Assert.Equal(frame, received);
        Assert.Equal(NetFlags.None, last.Flags & ~(NetFlags.Ipv4Checksum | NetFlags.TransportChecksum));
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }

    [Theory]
    [MemberData(nameof(Kinds.All), MemberType = typeof(Kinds))]
    public void Multiple_transfers_4096_each_way(E1000ModelKind kind)
    {
        using E1000Bench bench = new E1000Bench(kind, new E1000Options { TxDescriptors = 64, RxDescriptors = 64 }, buffers: 128).Started(post: 128);
        for (int i = 0; i < 4096; i++)
        {
            byte[] frame = Packets.Plain(60 + (i % 1400), i);
            bench.Client.Send(frame);
            bench.Poll();
            Assert.Equal(frame, Assert.Single(bench.Model.Sent));
            bench.Model.Sent.Clear();
            Assert.Single(bench.Client.TakeCompleted());
            Assert.True(bench.Model.Receive(frame));
            bench.Poll();
            Assert.Equal(frame, Assert.Single(bench.Client.TakeReceived()).Frame);
        }

        bench.Driver.OnTimer();
        Assert.Equal(4096ul, bench.Driver.Statistics.TxFrames);
        Assert.Equal(4096ul, bench.Driver.Statistics.RxFrames);
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }

    [Theory]
    [MemberData(nameof(Kinds.AllAndQemu), MemberType = typeof(Kinds))]
    public void A_successor_finds_its_way_whatever_its_predecessor_left(E1000ModelKind kind, E1000Misbehaviour misbehaviour)
    {
        using E1000Bench bench = new E1000Bench(kind, misbehaviour: misbehaviour).Started(post: 100);
        bench.Driver.ArmInterrupts();
        bench.Model.TransmitAtOnce = false;
        for (int i = 0; i < 10; i++) bench.Client.Send(Packets.Plain(80, i));
        bench.Poll();
        _ = bench.Model.Receive(Packets.Plain(80));
        Assert.Equal(10u, bench.Model.TransmitPending);

        bench.Reincarnate();
        bench.Model.TransmitAtOnce = true;
        bench.Started(post: 10);
        bench.Model.Sent.Clear();
        bench.Client.Send(Packets.Plain(90, 5));
        bench.Poll();
        Assert.Equal(Packets.Plain(90, 5), Assert.Single(bench.Model.Sent));
        Assert.True(bench.Model.Receive(Packets.Plain(70, 1)));
        bench.Poll();
        Assert.Equal(Packets.Plain(70, 1), Assert.Single(bench.Client.TakeReceived()).Frame);
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }

    [Theory]
    [MemberData(nameof(Kinds.All), MemberType = typeof(Kinds))]
    public void Port_restart_keeps_the_configuration_and_forgets_the_buffers(E1000ModelKind kind)
    {
        using E1000Bench bench = new E1000Bench(kind).Started(post: 64);
        NetworkFilters filters = new() { Flags = NetworkFilterFlags.Promiscuous | NetworkFilterFlags.VlanStrip, MaxFrame = 9018 };
        bench.Driver.SetFilters(filters);
        bench.Model.TransmitAtOnce = false;
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        Assert.True(bench.Driver.TxBusy);

        bench.Driver.Detach();
        Assert.False(bench.Driver.TxBusy);
        Assert.Equal(0u, bench.Driver.TxReturn(bench.Client.Driver.Completed));
        Assert.Equal(0u, bench.Driver.RxProvide(bench.Client.Driver.Free));
        Assert.Equal(0u, bench.Model.ReceiveAvailable);
        Assert.False(bench.Model.Receive(Packets.Plain(60)));

        bench.Model.TransmitAtOnce = true;
        bench.Driver.Attach(bench.Client.Buffers);
        bench.Client.Post(16);
        bench.Poll();
        byte[] jumbo = Packets.Plain(5000, 3, to: Packets.Peer);
        Assert.True(bench.Model.Receive(jumbo));
        bench.Poll();
        Assert.Equal(jumbo, Assert.Single(bench.Client.TakeReceived()).Frame);
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }

    [Fact]
    public void Queue_stop_leaves_a_quiet_device()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574).Started(post: 64);
        bench.Driver.ArmInterrupts();
        bench.Driver.Stop();
        Assert.False(bench.Model.Running);
        Assert.False(bench.Model.Dma.Enabled);
        Assert.Equal(0u, bench.Model.Mask);
        Assert.False(bench.Model.Receive(Packets.Plain(60)));
        Assert.Empty(bench.Model.Dma.Faults);
        bench.Driver.Dispose();
        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void Bring_up_logs_one_line_with_the_address()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82545).Started();
        Assert.Equal("82545EM, 52:54:00:12:34:56, link up 1000 Mbit/s full duplex", Assert.Single(bench.Log));
    }

    [Theory]
    [InlineData(63, 64)]
    [InlineData(32, 64)]
    [InlineData(64, 8192)]
    [InlineData(96, 128)]
    public void Dynamic_queue_configuration_refuses_ring_sizes_that_no_mask_fits(uint tx, uint rx)
    {
        E1000Options options = new() { TxDescriptors = tx, RxDescriptors = rx };
        Assert.Throws<ArgumentException>(() => new E1000Bench(E1000ModelKind.I82540, options));
    }

    [Theory]
    [InlineData(64, 64)]
    [InlineData(4096, 4096)]
    [InlineData(128, 2048)]
    public void Dynamic_queue_configuration_takes_rings_of_64_to_4096(uint tx, uint rx)
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, new E1000Options { TxDescriptors = tx, RxDescriptors = rx }).Started(post: 60);
        Assert.Equal(tx * 16, bench.Model.Peek(0x3808));
        Assert.Equal(rx * 16, bench.Model.Peek(0x2808));
        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void Link_status_follows_speed_and_duplex()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started();
        bench.Driver.ArmInterrupts();
        bench.Model.SetLink(null);
        Assert.Equal(1, bench.Interrupts.Raised[0]);
        bench.Driver.OnInterrupt(0);
        bench.Interrupts.Acknowledge(0);
        Assert.Equal(LinkState.Down, bench.Driver.Link);
        bench.Driver.ArmInterrupts();
        bench.Model.SetLink(100, fullDuplex: false);
        bench.Driver.OnInterrupt(0);
        Assert.Equal(new LinkState(1, 100, 0), bench.Driver.Link);
        bench.Model.SetLinkSilently(10);
        bench.Driver.OnTimer();
        Assert.Equal(new LinkState(1, 10, 1), bench.Driver.Link);
    }
}
