using System.Buffers.Binary;
using Xinim.Ipc.Protocols;

namespace Xinim.Net.Ip;

/// <summary>An ARP packet for IPv4 over Ethernet (RFC 826).</summary>
public readonly record struct ArpPacket(ArpOperation Operation, MacAddress SenderMac, Ipv4Address Sender, MacAddress TargetMac, Ipv4Address Target)
{
    public const int Bytes = 28;

    // Hardware type 1 (Ethernet), protocol 0x0800, address lengths 6 and 4.
    private const ulong Kind = 0x0001_0800_06_04;

    /// <returns>False for anything but ARP for IPv4 over Ethernet.</returns>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out ArpPacket packet)
    {
        packet = default;
        if (bytes.Length < Bytes || BinaryPrimitives.ReadUInt64BigEndian(bytes) >> 16 != Kind) return false;
        packet = new ArpPacket(
            (ArpOperation)BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]),
            MacAddress.From(bytes[8..]),
            new Ipv4Address(BinaryPrimitives.ReadUInt32BigEndian(bytes[14..])),
            MacAddress.From(bytes[18..]),
            new Ipv4Address(BinaryPrimitives.ReadUInt32BigEndian(bytes[24..])));
        return true;
    }

    public void Write(Span<byte> into)
    {
        BinaryPrimitives.WriteUInt64BigEndian(into, (Kind << 16) | (ushort)Operation);
        SenderMac.CopyTo(into[8..]);
        BinaryPrimitives.WriteUInt32BigEndian(into[14..], Sender.Value);
        TargetMac.CopyTo(into[18..]);
        BinaryPrimitives.WriteUInt32BigEndian(into[24..], Target.Value);
    }
}

/// <summary>What an ARP packet is (RFC 826).</summary>
public enum ArpOperation : ushort
{
    Request = 1,
    Reply = 2,
}
