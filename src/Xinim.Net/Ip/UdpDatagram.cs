using System.Buffers.Binary;

namespace Xinim.Net.Ip;

/// <summary>A UDP datagram (RFC 768), as a window on received bytes.</summary>
public readonly ref struct UdpDatagram
{
    public const int HeaderBytes = 8;

    private UdpDatagram(ReadOnlySpan<byte> bytes)
    {
        SourcePort = BinaryPrimitives.ReadUInt16BigEndian(bytes);
        DestinationPort = BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]);
        Payload = bytes[HeaderBytes..];
    }

    public ushort SourcePort { get; }

    public ushort DestinationPort { get; }

    public ReadOnlySpan<byte> Payload { get; }

    /// <returns>False where the length or the checksum is wrong.</returns>
    public static bool TryParse(in Ipv4Packet packet, out UdpDatagram datagram)
    {
        datagram = default;
        ReadOnlySpan<byte> bytes = packet.Payload;
        if (packet.Protocol != IpProtocol.Udp || bytes.Length < HeaderBytes) return false;
        int length = BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]);
        if (length < HeaderBytes || length > bytes.Length) return false;
        bytes = bytes[..length];
        // A checksum of 0 says that there is none.
        bool summed = bytes[6] != 0 || bytes[7] != 0;
        if (summed && InternetChecksum.Compute(bytes, PseudoHeader(packet.Source, packet.Destination, length)) != 0) return false;
        datagram = new UdpDatagram(bytes);
        return true;
    }

    /// <summary>Writes a header around data that stands behind it already.</summary>
    /// <param name="datagram">Header and data, the whole datagram.</param>
    public static void Write(Span<byte> datagram, Ipv4Address source, ushort sourcePort, Ipv4Address destination, ushort destinationPort)
    {
        BinaryPrimitives.WriteUInt16BigEndian(datagram, sourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[2..], destinationPort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[4..], checked((ushort)datagram.Length));
        BinaryPrimitives.WriteUInt16BigEndian(datagram[6..], 0);
        ushort sum = InternetChecksum.Compute(datagram, PseudoHeader(source, destination, datagram.Length));
        BinaryPrimitives.WriteUInt16BigEndian(datagram[6..], sum == 0 ? ushort.MaxValue : sum);
    }

    private static uint PseudoHeader(Ipv4Address source, Ipv4Address destination, int length)
        => (source.Value >> 16) + (source.Value & 0xffff) + (destination.Value >> 16) + (destination.Value & 0xffff) + (uint)IpProtocol.Udp + (uint)length;
}
