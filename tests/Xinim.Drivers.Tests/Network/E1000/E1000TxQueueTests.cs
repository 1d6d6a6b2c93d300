using Xinim.Drivers.Network.E1000;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xinim.TestKit.Fakes;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>The transmit ring: batches, reports, refusals, and what is never trusted.</summary>
public sealed class E1000TxQueueTests
{
    private static readonly E1000Options s_small = new() { TxDescriptors = 64, RxDescriptors = 64 };

    [Theory]
    [MemberData(nameof(Kinds.All), MemberType = typeof(Kinds))]
    public void A_batch_costs_one_doorbell_one_report_and_no_register_read(E1000ModelKind kind)
    {
        using E1000Bench bench = new E1000Bench(kind).Started();
        bench.Model.ForgetAccesses();
        for (int i = 0; i < 32; i++) bench.Client.Send(Packets.Plain(60, i));
        bench.Poll();
        Assert.Equal(32, bench.Model.Sent.Count);
        Assert.Equal(0, bench.Model.Reads);
        Assert.Equal(1, bench.Model.Writes);
        Assert.Equal(1, bench.Model.Doorbells);
        Assert.Equal(1, bench.Model.StatusReports);
        Assert.Equal(32, bench.Client.TakeCompleted().Count);
        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void Long_batches_report_every_eighth_of_the_ring()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, s_small).Started();
        bench.Model.TransmitAtOnce = false;
        for (int i = 0; i < 60; i++) bench.Client.Send(Packets.Plain(60, i));
        bench.Poll();
        bench.Model.ProcessTransmit(9);
        bench.Poll();
        Assert.Equal(8, bench.Client.TakeCompleted().Count);
        Assert.True(bench.Driver.TxBusy);
        bench.Model.ProcessTransmit();
        bench.Poll();
        Assert.Equal(52, bench.Client.TakeCompleted().Count);
        Assert.False(bench.Driver.TxBusy);
    }

    [Fact]
    public void A_full_ring_keeps_one_descriptor_empty_and_goes_on_when_there_is_room()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82545, s_small).Started();
        bench.Model.TransmitAtOnce = false;
        for (int i = 0; i < 100; i++) bench.Client.Send(Packets.Plain(60, i));
        bench.Poll();
        Assert.Equal(63u, bench.Model.TransmitPending);
        bench.Model.ProcessTransmit();
        bench.Poll();
        bench.Poll();
        bench.Model.ProcessTransmit();
        bench.Poll();
        Assert.Equal(100, bench.Model.Sent.Count);
        Assert.Equal(Enumerable.Range(0, 100).Select(i => Packets.Plain(60, i)), bench.Model.Sent);
        Assert.Equal(100, bench.Client.TakeCompleted().Count);
        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void Completions_wait_for_room_in_the_clients_ring()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, buffers: 16).Started();
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 5; i++) bench.Client.Send(Packets.Plain(60));
            bench.Poll();
        }

        Assert.Equal(15, bench.Client.TakeCompleted().Count);
        for (int i = 0; i < 16; i++) bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        Assert.Equal(16u, bench.Client.Client.Completed.Peek(100));
        bench.Client.SendRaw(Raw(bench) with { Cookie = 77 });
        bench.Poll();
        Assert.Equal(16u, bench.Client.Client.Completed.Peek(100));
        Assert.Equal(16, bench.Client.TakeCompleted().Count);
        bench.Poll();
        Assert.Equal(77ul, Assert.Single(bench.Client.TakeCompleted()).Cookie);
    }

    [Fact]
    public void Cookies_come_back_in_order_and_untouched()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574).Started();
        NetBuffer[] buffers = [.. Enumerable.Range(0, 40).Select(i => Raw(bench) with { Cookie = ulong.MaxValue - (ulong)i, Flags = i % 4 == 3 ? NetFlags.None : NetFlags.More })];
        bench.Client.SendRaw(buffers);
        bench.Poll();
        Assert.Equal(buffers.Select(buffer => buffer.Cookie), bench.Client.TakeCompleted().Select(buffer => buffer.Cookie));
    }

    [Theory]
    [MemberData(nameof(Kinds.All), MemberType = typeof(Kinds))]
    public void Buffer_scatter_sends_a_frame_from_several_buffers(E1000ModelKind kind)
    {
        using E1000Bench bench = new E1000Bench(kind).Started();
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        byte[] frame = Packets.Plain(9018, 3);
        bench.Client.Send(frame, pieces: 300);
        bench.Client.Send(Packets.Plain(61), pieces: 1);
        bench.Poll();
        Assert.Equal(frame, bench.Model.Sent[0]);
        Assert.Equal(Packets.Plain(61), bench.Model.Sent[1]);
        Assert.All(bench.Client.TakeCompleted(), buffer => Assert.Equal(NetFlags.None, buffer.Flags));
        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void A_frame_whose_rest_is_not_there_yet_waits()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started();
        bench.Client.SendRaw(Raw(bench) with { Flags = NetFlags.More }, Raw(bench) with { Flags = NetFlags.More });
        bench.Poll();
        Assert.Empty(bench.Model.Sent);
        Assert.Empty(bench.Client.TakeCompleted());
        bench.Client.SendRaw(Raw(bench));
        bench.Poll();
        Assert.Equal(300, Assert.Single(bench.Model.Sent).Length);
        Assert.Equal(3, bench.Client.TakeCompleted().Count);
    }

    [Fact]
    public void Short_frames_are_padded()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started();
        bench.Client.Send(Packets.Plain(14));
        bench.Poll();
        Assert.Equal(60, Assert.Single(bench.Model.Sent).Length);
    }

    public static TheoryData<string, NetBuffer> Wrong => new()
    {
        { "unknown grant", new NetBuffer { Grant = 0xdead0001, Length = 60 } },
        { "grant of the receive pool", new NetBuffer { Grant = 0xffff_ffff, Length = 60 } },
        { "no bytes", new NetBuffer { Length = 0 } },
        { "shorter than a header", new NetBuffer { Length = 13 } },
        { "longer than a frame", new NetBuffer { Length = 1519 } },
        { "outside the pool", new NetBuffer { Length = 100, Offset = (1024 * FakeNetworkClient.Stride) - 99 } },
        { "offset that wraps", new NetBuffer { Length = 100, Offset = uint.MaxValue } },
        { "length that wraps", new NetBuffer { Length = uint.MaxValue } },
        { "unknown flag", new NetBuffer { Length = 60, Flags = (NetFlags)(1 << 27) } },
        { "result flag", new NetBuffer { Length = 60, Flags = NetFlags.Rejected } },
        { "tag without VLAN offload", new NetBuffer { Length = 60, Flags = NetFlags.Vlan } },
        { "IPv6 without an offload", new NetBuffer { Length = 60, Flags = NetFlags.Ipv6 } },
        { "two transport checksums", new NetBuffer { Length = 100, Flags = NetFlags.TcpChecksum | NetFlags.UdpChecksum, LinkHeader = 14, NetworkHeader = 20 } },
        { "no link header", new NetBuffer { Length = 100, Flags = NetFlags.TcpChecksum, LinkHeader = 0, NetworkHeader = 20 } },
        { "short network header", new NetBuffer { Length = 100, Flags = NetFlags.TcpChecksum, LinkHeader = 14, NetworkHeader = 19 } },
        { "checksum field outside", new NetBuffer { Length = 51, Flags = NetFlags.TcpChecksum, LinkHeader = 14, NetworkHeader = 20 } },
        { "offsets beyond eight bits", new NetBuffer { Length = 1000, Flags = NetFlags.TcpChecksum, LinkHeader = 200, NetworkHeader = 60 } },
        { "IPv4 checksum of IPv6", new NetBuffer { Length = 100, Flags = NetFlags.Ipv4Checksum | NetFlags.Ipv6, LinkHeader = 14, NetworkHeader = 40 } },
        { "segments without a size", Segment(100, 0) },
        { "segments without payload", Segment(54, 100) },
        { "segments larger than a frame", Segment(1400, 1465) },
        { "segments of UDP", Segment(1400, 500) with { Flags = NetFlags.Segment | NetFlags.UdpChecksum } },
        { "short TCP header", Segment(1400, 500) with { TransportHeader = 19 } },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void Wrong_requests_come_back_rejected_and_a_good_one_still_works(string what, NetBuffer wrong)
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started();
        if (wrong.Grant == 0) wrong.Grant = bench.Client.TxGrant.Handle;
        if (wrong.Grant == 0xffff_ffff) wrong.Grant = bench.Client.RxGrant.Handle;
        wrong.Cookie = 99;
        bench.Client.SendRaw(Raw(bench) with { Cookie = 1 }, wrong, Raw(bench) with { Cookie = 2 });
        bench.Poll();
        List<NetBuffer> completed = bench.Client.TakeCompleted();
        Assert.Equal([1ul, 99ul, 2ul], completed.Select(buffer => buffer.Cookie));
        Assert.True(completed[1].Flags == NetFlags.Rejected, what);
        Assert.Equal(NetFlags.None, completed[0].Flags | completed[2].Flags);
        Assert.Equal(2, bench.Model.Sent.Count);
        Assert.Equal(1ul, bench.Driver.Statistics.TxRejected);
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }

    [Fact]
    public void A_wrong_buffer_anywhere_in_a_frame_rejects_the_whole_frame()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574).Started();
        bench.Client.SendRaw(Raw(bench) with { Flags = NetFlags.More }, Raw(bench) with { Grant = 5, Flags = NetFlags.More }, Raw(bench), Raw(bench));
        bench.Poll();
        Assert.Equal([NetFlags.Rejected, NetFlags.Rejected, NetFlags.Rejected, NetFlags.None], bench.Client.TakeCompleted().Select(buffer => buffer.Flags));
        Assert.Single(bench.Model.Sent);
    }

    [Fact]
    public void A_frame_of_too_many_buffers_is_rejected_to_its_end_and_not_beyond()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started();
        for (int i = 0; i < 149; i++) bench.Client.SendRaw(Raw(bench, 4) with { Flags = NetFlags.More });
        bench.Poll();
        bench.Client.SendRaw(Raw(bench, 4), Raw(bench));
        bench.Poll();
        List<NetBuffer> completed = bench.Client.TakeCompleted();
        Assert.Equal(151, completed.Count);
        Assert.All(completed.Take(150), buffer => Assert.Equal(NetFlags.Rejected, buffer.Flags));
        Assert.Equal(NetFlags.None, completed[150].Flags);
        Assert.Single(bench.Model.Sent);
    }

    [Fact]
    public void A_frame_that_fills_the_clients_ring_without_end_is_rejected()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, buffers: 32).Started();
        for (int i = 0; i < 32; i++) bench.Client.SendRaw(Raw(bench, 20) with { Flags = NetFlags.More });
        bench.Poll();
        Assert.All(bench.Client.TakeCompleted(), buffer => Assert.Equal(NetFlags.Rejected, buffer.Flags));
        bench.Client.SendRaw(Raw(bench, 20), Raw(bench));
        bench.Poll();
        Assert.Equal([NetFlags.Rejected, NetFlags.None], bench.Client.TakeCompleted().Select(buffer => buffer.Flags));
    }

    [Fact]
    public void Done_bits_of_descriptors_that_were_not_given_are_not_seen()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, s_small, E1000Misbehaviour.DoneEverywhere).Started();
        for (int round = 0; round < 10; round++)
        {
            for (int i = 0; i < 50; i++) bench.Client.Send(Packets.Plain(60, i));
            bench.Poll();
            Assert.Equal(50, bench.Client.TakeCompleted().Count);
        }

        Assert.Equal(0, bench.Client.TxOutstanding);
    }

    [Fact]
    public void Nothing_is_taken_before_a_client_is_attached()
    {
        using E1000Bench bench = new(E1000ModelKind.I82540);
        _ = bench.Driver.Start();
        bench.Client.Send(Packets.Plain(60));
        bench.Client.Post(4);
        bench.Poll();
        Assert.Empty(bench.Model.Sent);
        Assert.Equal(0u, bench.Model.ReceiveAvailable);
    }

    private static NetBuffer Segment(uint length, ushort size) => new()
    {
        Length = length, SegmentSize = size, Flags = NetFlags.Segment | NetFlags.TcpChecksum, LinkHeader = 14, NetworkHeader = 20, TransportHeader = 20,
    };

    private static NetBuffer Raw(E1000Bench bench, uint length = 100) => new() { Grant = bench.Client.TxGrant.Handle, Length = length, Cookie = 1 };
}
