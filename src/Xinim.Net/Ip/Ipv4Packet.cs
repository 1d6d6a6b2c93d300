using System.Buffers.Binary;

namespace Xinim.Net.Ip;

/// <summary>A whole IPv4 packet (RFC 791), as a window on received bytes. Fragments are not put together: they do not parse.</summary>
public readonly ref struct Ipv4Packet
{
    public const int HeaderBytes = 20;
    private const byte VersionAndLength = 0x45;
    private const ushort DontFragment = 0x4000;
    private const ushort FragmentMask = 0xbfff;
    private const byte TimeToLive = 64;

    private Ipv4Packet(ReadOnlySpan<byte> header, ReadOnlySpan<byte> payload)
    {
        Protocol = (IpProtocol)header[9];
        Hops = header[8];
        Source = new Ipv4Address(BinaryPrimitives.ReadUInt32BigEndian(header[12..]));
        Destination = new Ipv4Address(BinaryPrimitives.ReadUInt32BigEndian(header[16..]));
        Payload = payload;
    }

    public IpProtocol Protocol { get; }

    /// <summary>Time to live that is left.</summary>
    public byte Hops { get; }

    public Ipv4Address Source { get; }

    public Ipv4Address Destination { get; }

    public ReadOnlySpan<byte> Payload { get; }

    /// <returns>False where lengths contradict each other, the header's checksum is wrong, or the packet is a fragment.</returns>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out Ipv4Packet packet)
    {
        packet = default;
        if (bytes.Length < HeaderBytes || bytes[0] >> 4 != 4) return false;
        int header = (bytes[0] & 0xf) * 4;
        int total = BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]);
        if (header < HeaderBytes || total < header || total > bytes.Length) return false;
        if (InternetChecksum.Compute(bytes[..header]) != 0) return false;
        if ((BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]) & FragmentMask) != 0) return false;
        packet = new Ipv4Packet(bytes[..header], bytes[header..total]);
        return true;
    }

    /// <summary>Writes a header.</summary>
    /// <param name="payload">Bytes that follow it.</param>
    /// <returns>The room behind it, of just that size.</returns>
    public static Span<byte> Write(Span<byte> into, IpProtocol protocol, Ipv4Address source, Ipv4Address destination, int payload)
    {
        Span<byte> header = into[..HeaderBytes];
        header.Clear();
        header[0] = VersionAndLength;
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], checked((ushort)(HeaderBytes + payload)));
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], DontFragment);
        header[8] = TimeToLive;
        header[9] = (byte)protocol;
        BinaryPrimitives.WriteUInt32BigEndian(header[12..], source.Value);
        BinaryPrimitives.WriteUInt32BigEndian(header[16..], destination.Value);
        BinaryPrimitives.WriteUInt16BigEndian(header[10..], InternetChecksum.Compute(header));
        return into.Slice(HeaderBytes, payload);
    }
}

/// <summary>Protocols above IP (IANA, Protocol Numbers).</summary>
public enum IpProtocol : byte
{
    Icmp = 1,
    Udp = 17,
}
