using System.Net;
using System.Net.NetworkInformation;
using PacketDotNet;
using PacketDotNet.Utils;

namespace Xinim.TestKit.Net;

/// <summary>
/// The host 10.0.2.2 behind a fake NIC: answers ARP, ICMP echo and DHCP. Built with another library than the tools are, so that a
/// misunderstanding is not on both sides.
/// </summary>
public sealed class FakeHost
{
    public static readonly IPAddress Address = IPAddress.Parse("10.0.2.2");
    private static readonly PhysicalAddress Mac = new([0x52, 0x55, 10, 0, 2, 2]);

    /// <summary>Frames that came, in order.</summary>
    public List<byte[]> Frames { get; } = [];

    /// <summary>Copies of each echo reply; 0 for a host that is silent.</summary>
    public int Replies { get; set; } = 1;

    /// <summary>Every n-th echo request is not answered; 0 for none.</summary>
    public int DropEvery { get; set; }

    /// <summary>Damages the data of echo replies, and sums them up again.</summary>
    public bool Damage { get; set; }

    /// <summary>Answers DHCP.</summary>
    public bool HasDhcp { get; set; } = true;

    /// <summary>Sent before the first answer.</summary>
    public Queue<byte[]> Unasked { get; } = [];

    private int _echoes;

    public IEnumerable<byte[]> Answer(byte[] frame)
    {
        Frames.Add(frame);
        List<byte[]> answers = [];
        while (Unasked.TryDequeue(out byte[]? unasked)) answers.Add(unasked);
        EthernetPacket ethernet = (EthernetPacket)Packet.ParsePacket(LinkLayers.Ethernet, frame);
        if (ethernet.Extract<ArpPacket>() is { } arp) answers.AddRange(AnswerArp(ethernet, arp));
        else if (ethernet.Extract<IcmpV4Packet>() is { } icmp) answers.AddRange(AnswerEcho(ethernet, icmp));
        else if (ethernet.Extract<UdpPacket>() is { DestinationPort: 67 } udp && HasDhcp) answers.Add(AnswerDhcp(ethernet, udp));
        return answers;
    }

    /// <summary>A question who has an address.</summary>
    public static byte[] ArpRequest(string target) => new EthernetPacket(Mac, PhysicalAddress.Parse("FF-FF-FF-FF-FF-FF"), EthernetType.Arp)
    {
        PayloadPacket = new ArpPacket(ArpOperation.Request, new PhysicalAddress(new byte[6]), IPAddress.Parse(target), Mac, Address),
    }.Bytes;

    private static IEnumerable<byte[]> AnswerArp(EthernetPacket asked, ArpPacket arp)
    {
        if (arp.Operation != ArpOperation.Request || !arp.TargetProtocolAddress.Equals(Address)) yield break;
        yield return new EthernetPacket(Mac, asked.SourceHardwareAddress, EthernetType.Arp)
        {
            PayloadPacket = new ArpPacket(ArpOperation.Response, arp.SenderHardwareAddress, arp.SenderProtocolAddress, Mac, Address),
        }.Bytes;
    }

    private IEnumerable<byte[]> AnswerEcho(EthernetPacket asked, IcmpV4Packet request)
    {
        if (request.TypeCode != IcmpV4TypeCode.EchoRequest) yield break;
        if (DropEvery != 0 && ++_echoes % DropEvery == 0) yield break;
        IPv4Packet question = asked.Extract<IPv4Packet>();
        byte[] data = [.. request.Data];
        if (Damage && data.Length != 0) data[^1] ^= 1;
        IcmpV4Packet icmp = new(new ByteArraySegment(new byte[8]))
        {
            TypeCode = IcmpV4TypeCode.EchoReply, Id = request.Id, Sequence = request.Sequence, PayloadData = data,
        };
        icmp.UpdateIcmpChecksum();
        IPv4Packet ip = new(Address, question.SourceAddress) { PayloadPacket = icmp, TimeToLive = 63 };
        ip.UpdateIPChecksum();
        byte[] frame = new EthernetPacket(Mac, asked.SourceHardwareAddress, EthernetType.IPv4) { PayloadPacket = ip }.Bytes;
        for (int i = 0; i < Replies; i++) yield return frame;
    }

    private static byte[] AnswerDhcp(EthernetPacket asked, UdpPacket udp)
    {
        byte[] question = udp.PayloadPacket?.Bytes ?? udp.PayloadData;
        uint transaction = ((uint)question[4] << 24) | ((uint)question[5] << 16) | ((uint)question[6] << 8) | question[7];
        // Option 53 comes first: 1 is answered with an offer, 3 with an acknowledgement.
        byte type = question[242] == 1 ? (byte)2 : (byte)5;
        UdpPacket answer = new(67, 68) { PayloadData = DhcpServer.Message(type, transaction, question.AsSpan(28, 6)) };
        IPv4Packet ip = new(Address, IPAddress.Broadcast) { PayloadPacket = answer };
        ip.UpdateIPChecksum();
        answer.UpdateUdpChecksum();
        return new EthernetPacket(Mac, asked.SourceHardwareAddress, EthernetType.IPv4) { PayloadPacket = ip }.Bytes;
    }
}
