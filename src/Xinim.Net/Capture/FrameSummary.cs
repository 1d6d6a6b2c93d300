using PacketDotNet;

namespace Xinim.Net.Capture;

/// <summary>A frame in one line, whatever it is.</summary>
public static class FrameSummary
{
    /// <summary>Source, destination, type, length, and what the packet says.</summary>
    public static string Describe(ReadOnlySpan<byte> frame)
    {
        byte[] bytes = frame.ToArray();
        try
        {
            return Packet.ParsePacket(LinkLayers.Ethernet, bytes) is EthernetPacket ethernet ? Describe(ethernet, bytes.Length) : Raw(bytes);
        }
        catch (Exception)
        {
            // The parser takes its input at its word and fails in many ways; the frame came from anybody.
            return Raw(bytes);
        }
    }

    private static string Describe(EthernetPacket ethernet, int length)
    {
        string head = $"{Mac(ethernet.SourceHardwareAddress)} > {Mac(ethernet.DestinationHardwareAddress)}";
        return ethernet.PayloadPacket switch
        {
            ArpPacket arp => $"{head} ARP {length} {Describe(arp)}",
            IPv4Packet ip => $"{head} IPv4 {length} {Describe(ip)}",
            IPv6Packet ip => $"{head} IPv6 {length} {Describe(ip)}",
            _ => $"{head} 0x{(ushort)ethernet.Type:x4} {length}",
        };
    }

    private static string Describe(ArpPacket arp) => arp.Operation switch
    {
        ArpOperation.Request => $"who has {arp.TargetProtocolAddress}? tell {arp.SenderProtocolAddress}",
        ArpOperation.Response => $"{arp.SenderProtocolAddress} is at {Mac(arp.SenderHardwareAddress)}",
        _ => $"operation {(int)arp.Operation}",
    };

    private static string Describe(IPPacket ip) => ip.PayloadPacket switch
    {
        TcpPacket tcp => $"{ip.SourceAddress}:{tcp.SourcePort} > {ip.DestinationAddress}:{tcp.DestinationPort} TCP {Flags(tcp)} seq {tcp.SequenceNumber}",
        UdpPacket udp => $"{ip.SourceAddress}:{udp.SourcePort} > {ip.DestinationAddress}:{udp.DestinationPort} UDP {udp.Length}",
        IcmpV4Packet icmp => $"{ip.SourceAddress} > {ip.DestinationAddress} ICMP {icmp.TypeCode} id {icmp.Id} seq {icmp.Sequence}",
        _ => $"{ip.SourceAddress} > {ip.DestinationAddress} {ip.Protocol}",
    };

    private static string Flags(TcpPacket tcp)
    {
        (bool Set, string Name)[] flags =
        [
            (tcp.Synchronize, "SYN"), (tcp.Finished, "FIN"), (tcp.Reset, "RST"), (tcp.Push, "PSH"), (tcp.Acknowledgment, "ACK"), (tcp.Urgent, "URG"),
        ];
        return string.Join(',', flags.Where(flag => flag.Set).Select(flag => flag.Name));
    }

    private static string Raw(byte[] bytes)
    {
        const int Shown = 32;
        string rest = bytes.Length > Shown ? "…" : "";
        return $"raw {bytes.Length} {Convert.ToHexStringLower(bytes.AsSpan(0, Math.Min(bytes.Length, Shown)))}{rest}";
    }

    private static string Mac(System.Net.NetworkInformation.PhysicalAddress address) => string.Join(':', address.GetAddressBytes().Select(part => $"{part:x2}"));
}
