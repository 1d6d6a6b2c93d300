using PacketDotNet;
using Xinim.Drivers.Network.E1000;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>Checksums and TCP segmentation, judged by PacketDotNet.</summary>
public sealed class E1000OffloadTests
{
    [Theory]
    [MemberData(nameof(Kinds.AllAndQemu), MemberType = typeof(Kinds))]
    public void Checksum_offload_on_transmit(E1000ModelKind kind, E1000Misbehaviour misbehaviour)
    {
        using E1000Bench bench = new E1000Bench(kind, misbehaviour: misbehaviour).Started();
        foreach (int payload in (int[])[0, 1, 100, 1400])
        {
            foreach ((bool udp, bool ipv6) in (ReadOnlySpan<(bool, bool)>)[(false, false), (true, false), (false, true), (true, true)])
            {
                byte[] expected = Packets.Ip(payload, udp, ipv6, seed: payload);
                bench.Client.Send(Packets.Ip(payload, udp, ipv6, complete: false, seed: payload), Request(udp, ipv6), pieces: 333);
                bench.Poll();
                Assert.Equal(expected, bench.Model.Sent[^1][..expected.Length]);
            }
        }

        Assert.All(bench.Client.TakeCompleted(), buffer => Assert.Equal(NetFlags.None, buffer.Flags));
        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void An_unchanged_context_is_not_written_again()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started();
        for (int i = 0; i < 10; i++) bench.Client.Send(Packets.Ip(50 + i, complete: false), Request(false, false));
        bench.Client.Send(Packets.Ip(50, udp: true, complete: false), Request(true, false));
        bench.Client.Send(Packets.Plain(60));
        bench.Client.Send(Packets.Ip(50, udp: true, complete: false), Request(true, false));
        bench.Poll();
        Assert.Equal(2, bench.Model.Contexts);
        Assert.Equal(13, bench.Model.Sent.Count);
        Assert.Equal(13, bench.Client.TakeCompleted().Count);
    }

    [Theory]
    [MemberData(nameof(Kinds.AllAndQemu), MemberType = typeof(Kinds))]
    public void Tso_cuts_ipv4_and_ipv6(E1000ModelKind kind, E1000Misbehaviour misbehaviour)
    {
        using E1000Bench bench = new E1000Bench(kind, misbehaviour: misbehaviour).Started();
        foreach (bool ipv6 in (bool[])[false, true])
        {
            foreach (int payload in (int[])[1, 1399, 1400, 1401, 14000, 60000])
            {
                bench.Model.Sent.Clear();
                byte[] frame = Packets.Ip(payload, ipv6: ipv6, complete: false, segment: true, seed: payload);
                bench.Client.Send(frame, Segments(ipv6, 1400));
                bench.Poll();
                CheckSegments(bench.Model.Sent, frame, ipv6, payload, 1400);
                _ = bench.Client.TakeCompleted();
            }
        }

        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void Tso_and_checksums_in_turn_each_have_their_context()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574, misbehaviour: E1000Misbehaviour.LikeQemu).Started();
        for (int i = 0; i < 5; i++)
        {
            bench.Client.Send(Packets.Ip(3000, complete: false, segment: true), Segments(false, 1000));
            bench.Client.Send(Packets.Ip(100, udp: true, complete: false), Request(true, false));
        }

        bench.Poll();
        Assert.Equal(20, bench.Model.Sent.Count);
        Assert.Equal(10, bench.Model.Contexts);
        for (int i = 3; i < 20; i += 4) Assert.Equal(Packets.Ip(100, udp: true), bench.Model.Sent[i]);
    }

    [Fact]
    public void Tso_can_be_withheld()
    {
        using E1000Bench bench = new(E1000ModelKind.I82574, new E1000Options { Segmentation = false });
        Assert.Equal(NetFlags.None, bench.Driver.Start().Offloads & (NetFlags.Segment | NetFlags.Ipv6));
        bench.Driver.Attach(bench.Client.Buffers);
        bench.Client.Send(Packets.Ip(2500, complete: false, segment: true), Segments(false, 1000));
        bench.Poll();
        Assert.All(bench.Client.TakeCompleted(), buffer => Assert.Equal(NetFlags.Rejected, buffer.Flags));
        Assert.Empty(bench.Model.Sent);
    }

    [Fact]
    public void Tso_with_a_vlan_tag()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started();
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.VlanStrip });
        bench.Client.Send(Packets.Ip(2500, complete: false, segment: true), Segments(false, 1000) with { VlanTag = 42, Flags = Segments(false, 1000).Flags | NetFlags.Vlan });
        bench.Poll();
        Assert.Equal(3, bench.Model.Sent.Count);
        Assert.All(bench.Model.Sent, frame => Assert.Equal([0x81, 0x00, 0x00, 42], frame[12..16]));
        Assert.Empty(bench.Model.Violations);
    }

    [Theory]
    [InlineData(E1000ModelKind.I82540)]
    [InlineData(E1000ModelKind.I82574)]
    public void Checksum_offload_on_receive(E1000ModelKind kind)
    {
        using E1000Bench bench = new E1000Bench(kind).Started(post: 32);
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.RxChecksum });
        byte[] badTransport = Packets.Ip(100);
        badTransport[80] ^= 1;
        byte[] badHeader = Packets.Ip(100);
        badHeader[22] ^= 1; // time to live: in the header's sum, not in the pseudo-header's
        foreach (byte[] frame in (byte[][])[Packets.Ip(100), Packets.Ip(100, udp: true), badTransport, badHeader, Packets.Plain(60)]) Assert.True(bench.Model.Receive(frame));
        bench.Poll();
        NetFlags[] flags = [.. bench.Client.TakeReceived().Select(entry => entry.Last.Flags)];
        const NetFlags good = NetFlags.Ipv4Checksum | NetFlags.TransportChecksum;
        Assert.Equal([good, good, NetFlags.Ipv4Checksum | NetFlags.ChecksumBad, NetFlags.TransportChecksum | NetFlags.ChecksumBad, NetFlags.None], flags);

        bench.Driver.SetFilters(default);
        Assert.True(bench.Model.Receive(badTransport));
        bench.Poll();
        Assert.Equal(NetFlags.None, Assert.Single(bench.Client.TakeReceived()).Last.Flags);
        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void A_device_that_did_not_look_gives_no_verdict()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, misbehaviour: E1000Misbehaviour.LikeQemu).Started(post: 8);
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.RxChecksum });
        Assert.True(bench.Model.Receive(Packets.Ip(100)));
        bench.Poll();
        Assert.Equal(NetFlags.None, Assert.Single(bench.Client.TakeReceived()).Last.Flags);
    }

    private static NetBuffer Request(bool udp, bool ipv6) => new()
    {
        Flags = (udp ? NetFlags.UdpChecksum : NetFlags.TcpChecksum) | (ipv6 ? NetFlags.None : NetFlags.Ipv4Checksum),
        LinkHeader = 14,
        NetworkHeader = ipv6 ? (byte)40 : (byte)20,
    };

    private static NetBuffer Segments(bool ipv6, ushort size) => new()
    {
        Flags = NetFlags.Segment | NetFlags.TcpChecksum | (ipv6 ? NetFlags.Ipv6 : NetFlags.Ipv4Checksum),
        LinkHeader = 14,
        NetworkHeader = ipv6 ? (byte)40 : (byte)20,
        TransportHeader = 20,
        SegmentSize = size,
    };

    private static void CheckSegments(List<byte[]> sent, byte[] frame, bool ipv6, int payload, int size)
    {
        int header = ipv6 ? 74 : 54;
        Assert.Equal((payload + size - 1) / size, sent.Count);
        List<byte> joined = [];
        for (int i = 0; i < sent.Count; i++)
        {
            int bytes = Math.Min(size, payload - (i * size));
            byte[] wire = sent[i][..(header + bytes)];
            IPPacket ip = Packet.ParsePacket(LinkLayers.Ethernet, wire).Extract<IPPacket>();
            TcpPacket tcp = ip.Extract<TcpPacket>();
            Assert.True(tcp.ValidTcpChecksum, $"segment {i}");
            Assert.Equal(0x1000_0000u + (uint)(i * size), tcp.SequenceNumber);
            bool last = i == sent.Count - 1;
            Assert.Equal((last, last), (tcp.Finished, tcp.Push));
            if (ip is IPv4Packet v4)
            {
                Assert.True(v4.ValidIPChecksum);
                Assert.Equal(wire.Length - 14, v4.TotalLength);
                Assert.Equal(0x1234 + i, v4.Id);
            }

            joined.AddRange(wire[header..]);
        }

        Assert.Equal(frame[header..], joined);
    }
}
