using System.Buffers.Binary;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Network.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>What stands in the header for each request [V §5.1.6.2], and what becomes of wrong ones.</summary>
public sealed class VirtioNetOffloadTests
{
    [Theory]
    [InlineData(false, false, 34, 16)]
    [InlineData(true, false, 34, 6)]
    [InlineData(false, true, 54, 16)]
    [InlineData(true, true, 54, 6)]
    public void A_checksum_is_asked_for_by_start_and_offset(bool udp, bool ipv6, ushort start, ushort offset)
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        byte[] frame = Packets.Ip(200, udp, ipv6, complete: false);
        bench.Client.Send(frame, Sum(udp, ipv6), pieces: 77);
        bench.Poll();
        Assert.Equal(Header(1, 0, 0, 0, start, offset), Assert.Single(bench.Sent).Header);
        Assert.Equal(frame, bench.Sent[0].Frame);
        // What the device does with them makes a right checksum.
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(start + offset), (ushort)~Packets.Sum(frame.AsSpan(start)));
        Assert.Equal(Packets.Ip(200, udp, ipv6)[start..], frame[start..]);
        bench.AssertClean();
    }

    [Theory]
    [InlineData(false, false, 1, 34, 16, 54)]
    [InlineData(false, true, 4, 54, 16, 74)]
    [InlineData(true, false, 5, 34, 6, 42)]
    public void Segmentation_says_kind_size_and_header(bool udp, bool ipv6, byte kind, ushort start, ushort offset, ushort header)
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        byte[] frame = Packets.Ip(20_000, udp, ipv6, complete: false);
        bench.Client.Send(frame, Cut(udp, ipv6), pieces: 1000);
        bench.Poll();
        Assert.Equal(Header(1, kind, header, 1400, start, offset), Assert.Single(bench.Sent).Header);
        Assert.Equal(frame, bench.Sent[0].Frame);
        bench.AssertClean();
    }

    [Fact]
    public void Headers_come_back_and_plain_frames_keep_the_empty_one()
    {
        using VirtioNetBench bench = new VirtioNetBench(options: new VirtioNetOptions { TxDescriptors = 16 }).Started();
        for (int i = 0; i < 200; i++)
        {
            bench.Client.Send(Packets.Ip(60 + i, complete: false), Sum(false, false));
            bench.Client.Send(Packets.Plain(60, i));
            bench.Poll();
            _ = bench.Client.TakeCompleted();
        }

        Assert.Equal(400, bench.Sent.Count);
        Assert.All(bench.Sent.Where((_, i) => i % 2 == 1), sent => Assert.Equal(new byte[VirtioNetBench.HeaderBytes], sent.Header));
        Assert.All(bench.Sent.Where((_, i) => i % 2 == 0), sent => Assert.Equal(Header(1, 0, 0, 0, 34, 16), sent.Header));
        bench.AssertClean();
    }

    [Theory]
    [InlineData(0)] // CSUM
    [InlineData(11)] // HOST_TSO4
    [InlineData(12)] // HOST_TSO6
    [InlineData(56)] // HOST_USO
    public void What_was_not_negotiated_is_never_asked_of_the_device(int missing)
    {
        using VirtioNetBench bench = new VirtioNetBench(VirtioNetBench.Everything & (VirtioFeatures)~(1ul << missing)).Started();
        bench.Client.Send(Packets.Ip(100, complete: false), Sum(false, false));
        bench.Client.Send(Packets.Ip(9000, complete: false), Cut(false, false), pieces: 1000);
        bench.Client.Send(Packets.Ip(9000, ipv6: true, complete: false), Cut(false, true), pieces: 1000);
        bench.Client.Send(Packets.Ip(9000, udp: true, complete: false), Cut(true, false), pieces: 1000);
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        (bool sum, bool tcp, bool udp) = missing switch
        {
            0 => (false, false, false),
            56 => (true, true, false),
            _ => (true, false, false),
        };
        Assert.Equal(1 + (sum ? 1 : 0) + (tcp ? 2 : 0) + (udp ? 1 : 0), bench.Sent.Count);
        Assert.Equal(tcp, bench.Sent.Any(sent => sent.Header[1] is 1 or 4));
        Assert.DoesNotContain(bench.Sent, sent => sent.Header[1] == 5);
        Assert.Equal(Packets.Plain(60), bench.Sent[^1].Frame);
        bench.AssertClean();
    }

    public static TheoryData<string> WrongRequests =>
    [
        "grant", "pool", "offset", "no length", "short", "long", "vlan", "unknown flag", "both sums", "no link header", "no network header", "field outside", "flags behind",
        "segment without sum", "segment without size", "segment larger than a frame", "header longer than the packet", "short transport header", "ip checksum",
    ];

    [Theory]
    [MemberData(nameof(WrongRequests))]
    public void A_wrong_request_comes_back_rejected_and_the_next_one_is_sent(string wrong)
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        NetBuffer[] request = Wrong(bench, wrong);
        bench.Client.SendRaw(request);
        bench.Client.Send(Packets.Plain(60, 9));
        bench.Poll();
        Assert.Equal(Packets.Plain(60, 9), Assert.Single(bench.Sent).Frame);
        List<NetBuffer> completed = bench.Client.TakeCompleted();
        Assert.Equal(request.Select(buffer => buffer.Cookie), completed.Where(buffer => buffer.Flags == NetFlags.Rejected).Select(buffer => buffer.Cookie));
        Assert.Equal(request.Length + 1, completed.Count);
        Assert.Equal((ulong)request.Length, bench.Driver.Statistics.TxRejected);
        bench.AssertClean();
    }

    [Fact]
    public void Of_a_frame_with_too_many_buffers_the_rest_is_rejected_too()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        NetBuffer[] buffers = [.. Enumerable.Range(0, 100).Select(i => Good(bench) with { Length = 4, Cookie = 1000 + (ulong)i, Flags = i == 99 ? NetFlags.None : NetFlags.More })];
        bench.Client.SendRaw(buffers.AsSpan(0, 70));
        bench.Poll();
        bench.Client.SendRaw(buffers.AsSpan(70));
        bench.Client.Send(Packets.Plain(60, 9));
        bench.Poll();
        Assert.Equal(Packets.Plain(60, 9), Assert.Single(bench.Sent).Frame);
        Assert.Equal(buffers.Select(buffer => buffer.Cookie), bench.Client.TakeCompleted().Where(buffer => buffer.Flags == NetFlags.Rejected).Select(buffer => buffer.Cookie));
        bench.AssertClean();
    }

    [Fact]
    public void A_frame_of_as_many_buffers_as_are_allowed_is_sent()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        bench.Client.Send(Packets.Plain((int)VirtioNetTx.MaxBuffers * 2), pieces: 2);
        bench.Poll();
        Assert.Equal(Packets.Plain((int)VirtioNetTx.MaxBuffers * 2), Assert.Single(bench.Sent).Frame);
        Assert.Equal((int)VirtioNetTx.MaxBuffers, bench.Client.TakeCompleted().Count);
    }

    [Fact]
    public void A_frame_whose_rest_is_still_missing_waits()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        bench.Client.SendRaw(Good(bench) with { Length = 30, Flags = NetFlags.More, Cookie = 500 });
        bench.Poll();
        Assert.Empty(bench.Sent);
        bench.Client.SendRaw(Good(bench) with { Offset = 30, Length = 30, Cookie = 501 });
        bench.Poll();
        Assert.Equal(60, Assert.Single(bench.Sent).Frame.Length);
    }

    private static NetBuffer[] Wrong(VirtioNetBench bench, string what)
    {
        NetBuffer good = Good(bench);
        NetBuffer sum = good with { Length = 254, Flags = NetFlags.TcpChecksum, LinkHeader = 14, NetworkHeader = 20 };
        NetBuffer cut = sum with { Length = 2000, Flags = NetFlags.TcpChecksum | NetFlags.Segment, TransportHeader = 20, SegmentSize = 1400 };
        return what switch
        {
            "grant" => [good with { Grant = 0xdead_0001 }],
            "pool" => [good with { Grant = bench.Client.RxGrant.Handle }],
            "offset" => [good with { Offset = uint.MaxValue - 30 }],
            "no length" => [good with { Length = 0 }],
            "short" => [good with { Length = 13 }],
            "long" => [good with { Length = 1519 }],
            "vlan" => [good with { Flags = NetFlags.Vlan, VlanTag = 5 }],
            "unknown flag" => [good with { Flags = (NetFlags)(1 << 20) }],
            "both sums" => [sum with { Flags = NetFlags.TcpChecksum | NetFlags.UdpChecksum }],
            "no link header" => [sum with { LinkHeader = 13 }],
            "no network header" => [sum with { NetworkHeader = 19 }],
            "field outside" => [sum with { Length = 51 }],
            "flags behind" => [good with { Flags = NetFlags.More, Cookie = 900 }, good with { Flags = NetFlags.TcpChecksum, Cookie = 901 }],
            "segment without sum" => [cut with { Flags = NetFlags.Segment }],
            "segment without size" => [cut with { SegmentSize = 0 }],
            "segment larger than a frame" => [cut with { SegmentSize = 1465 }],
            "header longer than the packet" => [cut with { Length = 54 }],
            "short transport header" => [cut with { TransportHeader = 19 }],
            "ip checksum" => [sum with { Flags = NetFlags.TcpChecksum | NetFlags.Ipv4Checksum }],
            _ => throw new ArgumentOutOfRangeException(nameof(what), what, "no such request"),
        };
    }

    private static NetBuffer Good(VirtioNetBench bench) => new() { Grant = bench.Client.TxGrant.Handle, Length = 60, Cookie = 800 };

    private static NetBuffer Sum(bool udp, bool ipv6) => new() { Flags = udp ? NetFlags.UdpChecksum : NetFlags.TcpChecksum, LinkHeader = 14, NetworkHeader = ipv6 ? (byte)40 : (byte)20 };

    private static NetBuffer Cut(bool udp, bool ipv6)
    {
        NetBuffer sum = Sum(udp, ipv6);
        return sum with { Flags = sum.Flags | NetFlags.Segment | (ipv6 ? NetFlags.Ipv6 : 0), SegmentSize = 1400, TransportHeader = udp ? (byte)8 : (byte)20 };
    }

    /// <summary>struct virtio_net_hdr [V §5.1.6].</summary>
    private static byte[] Header(byte flags, byte kind, ushort length, ushort size, ushort start, ushort offset)
    {
        byte[] header = new byte[VirtioNetBench.HeaderBytes];
        (header[0], header[1]) = (flags, kind);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(2), length);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(4), size);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(6), start);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(8), offset);
        return header;
    }
}
