using System.Net;
using System.Net.NetworkInformation;
using CsCheck;
using PacketDotNet;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ip;
using ArpPacket = Xinim.Net.Ip.ArpPacket;

namespace Xinim.Net.Tests.Ip;

/// <summary>Our builders against another parser, another builder against our parsers, and garbage against all.</summary>
public sealed class PacketTests
{
    private static readonly MacAddress Own = MacAddress.From([2, 0, 0, 0, 0, 1]);
    private static readonly MacAddress Peer = MacAddress.From([2, 0, 0, 0, 0, 2]);
    private static readonly Ipv4Address OwnAddress = new(0x0a00020f);
    private static readonly Ipv4Address PeerAddress = new(0x0a000202);

    [Fact]
    public void An_echo_request_is_read_by_another_parser()
    {
        byte[] frame = new byte[14 + 20 + 8 + 5];
        Span<byte> message = Ipv4Packet.Write(EthernetFrame.Write(frame, Peer, Own, EtherType.Ipv4), IpProtocol.Icmp, OwnAddress, PeerAddress, 13);
        "hello"u8.CopyTo(message[8..]);
        IcmpEcho.Write(message, isReply: false, 0x1234, 0xfffe);
        EthernetPacket ethernet = Assert.IsType<EthernetPacket>(Packet.ParsePacket(LinkLayers.Ethernet, frame));
        IPv4Packet ip = ethernet.Extract<IPv4Packet>();
        IcmpV4Packet icmp = ethernet.Extract<IcmpV4Packet>();
        Assert.True(ip.ValidChecksum);
        Assert.True(icmp.ValidIcmpChecksum);
        Assert.Equal(("10.0.2.15", "10.0.2.2"), (ip.SourceAddress.ToString(), ip.DestinationAddress.ToString()));
        Assert.Equal((0x1234, 0xfffe), (icmp.Id, icmp.Sequence));
        Assert.Equal("hello"u8, icmp.Data);
    }

    [Fact]
    public void An_echo_reply_of_another_builder_is_read()
    {
        IcmpV4Packet icmp = new(new PacketDotNet.Utils.ByteArraySegment(new byte[8])) { TypeCode = IcmpV4TypeCode.EchoReply, Id = 7, Sequence = 9, PayloadData = [1, 2, 3] };
        icmp.UpdateIcmpChecksum();
        IPv4Packet ip = new(IPAddress.Parse("10.0.2.2"), IPAddress.Parse("10.0.2.15")) { PayloadPacket = icmp };
        ip.UpdateIPChecksum();
        Assert.True(Ipv4Packet.TryParse([.. ip.Bytes, 0, 0, 0], out Ipv4Packet packet));
        Assert.True(IcmpEcho.TryParse(packet.Payload, out IcmpEcho echo));
        Assert.True(echo.IsReply);
        Assert.Equal((7, 9), (echo.Identifier, echo.Sequence));
        Assert.Equal([1, 2, 3], echo.Data.ToArray());
    }

    [Fact]
    public void Arp_is_what_another_builder_makes()
    {
        ArpPacket ours = new(Net.Ip.ArpOperation.Reply, Own, OwnAddress, Peer, PeerAddress);
        byte[] bytes = new byte[ArpPacket.Bytes];
        ours.Write(bytes);
        PacketDotNet.ArpPacket theirs = new(
            PacketDotNet.ArpOperation.Response, new PhysicalAddress([2, 0, 0, 0, 0, 2]), IPAddress.Parse("10.0.2.2"), new PhysicalAddress([2, 0, 0, 0, 0, 1]), IPAddress.Parse("10.0.2.15"));
        Assert.Equal(theirs.Bytes, bytes);
        Assert.True(ArpPacket.TryParse(theirs.Bytes, out ArpPacket read));
        Assert.Equal((ours.Operation, ours.Sender, ours.Target), (read.Operation, read.Sender, read.Target));
        Assert.Equal((ours.SenderMac.ToString(), ours.TargetMac.ToString()), (read.SenderMac.ToString(), read.TargetMac.ToString()));
    }

    [Fact]
    public void Udp_checksums_hold_over_any_data() => Gen.Byte.Array[0, 200].Sample(data =>
    {
        byte[] bytes = new byte[20 + 8 + data.Length];
        Span<byte> datagram = Ipv4Packet.Write(bytes, IpProtocol.Udp, OwnAddress, PeerAddress, 8 + data.Length);
        data.CopyTo(datagram[8..]);
        Net.Ip.UdpDatagram.Write(datagram, OwnAddress, 68, PeerAddress, 67);
        Assert.True(Ipv4Packet.TryParse(bytes, out Ipv4Packet packet));
        Assert.True(Net.Ip.UdpDatagram.TryParse(packet, out Net.Ip.UdpDatagram read));
        Assert.Equal(data, read.Payload.ToArray());
        UdpPacket theirs = new IPv4Packet(new PacketDotNet.Utils.ByteArraySegment(bytes)).Extract<UdpPacket>();
        Assert.True(theirs.ValidUdpChecksum);
    });

    [Fact]
    public void A_changed_bit_is_noticed()
    {
        byte[] bytes = new byte[20 + 8 + 16];
        IcmpEcho.Write(Ipv4Packet.Write(bytes, IpProtocol.Icmp, OwnAddress, PeerAddress, 24), isReply: true, 1, 2);
        Gen.Int[0, (bytes.Length * 8) - 1].Sample(bit =>
        {
            byte[] changed = [.. bytes];
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(Ipv4Packet.TryParse(changed, out Ipv4Packet packet) && IcmpEcho.TryParse(packet.Payload, out _));
        });
    }

    [Fact]
    public void Fragments_are_not_taken_for_packets()
    {
        byte[] bytes = new byte[20 + 8];
        Ipv4Packet.Write(bytes, IpProtocol.Udp, OwnAddress, PeerAddress, 8);
        bytes[6] = 0x20;
        bytes[10] = bytes[11] = 0;
        ushort sum = InternetChecksumOf(bytes.AsSpan(0, 20));
        (bytes[10], bytes[11]) = ((byte)(sum >> 8), (byte)sum);
        Assert.False(Ipv4Packet.TryParse(bytes, out _));
    }

    [Fact]
    public void Garbage_is_refused_and_nothing_worse() => Gen.Byte.Array[0, 400].Sample(bytes =>
    {
        _ = EthernetFrame.TryParse(bytes, out _);
        _ = ArpPacket.TryParse(bytes, out _);
        _ = IcmpEcho.TryParse(bytes, out _);
        _ = DhcpMessage.TryParse(bytes);
        _ = Ipv4Packet.TryParse(bytes, out Ipv4Packet packet) && Net.Ip.UdpDatagram.TryParse(packet, out _);
    });

    /// <summary>Headers that look right around lengths that are not.</summary>
    [Fact]
    public void Lengths_that_lie_stay_inside() => Gen.Select(Gen.Byte.Array[28, 64], Gen.Byte[4, 15], Gen.UShort).Sample((bytes, words, total) =>
    {
        bytes[0] = (byte)(0x40 | words);
        (bytes[2], bytes[3]) = ((byte)(total >> 8), (byte)total);
        bytes[6] = bytes[7] = 0;
        bytes[9] = 17;
        bytes[10] = bytes[11] = 0;
        int header = Math.Min(words * 4, bytes.Length);
        ushort sum = InternetChecksumOf(bytes.AsSpan(0, header));
        (bytes[10], bytes[11]) = ((byte)(sum >> 8), (byte)sum);
        if (!Ipv4Packet.TryParse(bytes, out Ipv4Packet packet)) return;
        Assert.True(total <= bytes.Length && words >= 5);
        Assert.Equal(total - (words * 4), packet.Payload.Length);
        _ = Net.Ip.UdpDatagram.TryParse(packet, out _);
    });

    [Theory]
    [InlineData("10.0.2.2", "10.0.2.2")]
    [InlineData("255.255.255.255", "255.255.255.255")]
    [InlineData("0.0.0.0", "0.0.0.0")]
    [InlineData("10.0.2", null)]
    [InlineData("10.0.2.256", null)]
    [InlineData("10.0.2.02", null)]
    [InlineData("10.0.2.+2", null)]
    [InlineData("10.0.2.2.", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void Addresses_are_four_decimal_numbers(string? text, string? expected)
        => Assert.Equal(expected, Ipv4Address.TryParse(text, out Ipv4Address address) ? address.ToString() : null);

    [Fact]
    public void The_next_hop_is_the_host_or_the_gateway()
    {
        Assert.True(Ipv4Configuration.TryParse("10.0.2.15/24", out Ipv4Configuration own));
        Assert.Equal(PeerAddress, own.NextHop(PeerAddress));
        Assert.Null(own.NextHop(new Ipv4Address(0x08080808)));
        Assert.Equal(PeerAddress, (own with { Gateway = PeerAddress }).NextHop(new Ipv4Address(0x08080808)));
        Assert.Equal(new Ipv4Address(0x08080808), (own with { PrefixLength = 0 }).NextHop(new Ipv4Address(0x08080808)));
        Assert.Null((own with { PrefixLength = 32 }).NextHop(PeerAddress));
        Assert.False(Ipv4Configuration.TryParse("10.0.2.15/33", out _));
        Assert.False(Ipv4Configuration.TryParse("10.0.2.15", out _));
    }

    [Theory]
    [InlineData(0xffffff00u, 24)]
    [InlineData(0xffffffffu, 32)]
    [InlineData(0u, 0)]
    [InlineData(0xff00ff00u, null)]
    public void A_mask_is_a_prefix_or_none(uint mask, int? prefix) => Assert.Equal(prefix, Ipv4Configuration.PrefixOf(new Ipv4Address(mask)));

    private static ushort InternetChecksumOf(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        for (int i = 0; i < bytes.Length; i++) sum += i % 2 == 0 ? (uint)bytes[i] << 8 : bytes[i];
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~sum;
    }
}
