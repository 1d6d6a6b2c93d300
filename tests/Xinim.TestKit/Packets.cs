using System.Buffers.Binary;

namespace Xinim.TestKit;

/// <summary>Frames for tests, without FCS. Addresses are fixed; the payload is a pattern that a receiver can check.</summary>
public static class Packets
{
    /// <summary>The station address of the device models.</summary>
    public static ReadOnlySpan<byte> Station => [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

    /// <summary>Where frames of a test come from.</summary>
    public static ReadOnlySpan<byte> Peer => [0x02, 0x00, 0x00, 0x00, 0x00, 0x01];

    public static ReadOnlySpan<byte> Broadcast => [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

    /// <summary>A frame of <paramref name="bytes"/> bytes with a pattern that depends on <paramref name="seed"/>.</summary>
    public static byte[] Plain(int bytes, int seed = 0, ReadOnlySpan<byte> to = default, ushort type = 0x88b5)
    {
        byte[] frame = new byte[bytes];
        (to.IsEmpty ? Station : to).CopyTo(frame);
        Peer.CopyTo(frame.AsSpan(6));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), type);
        for (int i = 14; i < bytes; i++) frame[i] = (byte)((i * 7) + seed);
        if (bytes >= 18) BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(14), seed);
        return frame;
    }

    /// <summary>A frame with an 802.1Q tag.</summary>
    public static byte[] Tagged(ushort tag, int bytes, int seed = 0)
    {
        byte[] inner = Plain(bytes - 4, seed);
        byte[] frame = new byte[bytes];
        inner.AsSpan(0, 12).CopyTo(frame);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), 0x8100);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(14), tag);
        inner.AsSpan(12).CopyTo(frame.AsSpan(16));
        return frame;
    }

    /// <summary>
    /// TCP or UDP in IPv4 or IPv6. <paramref name="complete"/>: all checksums right. Otherwise as a sender hands it to a NIC: IPv4
    /// checksum 0, transport checksum the pseudo-header's sum, without the length where <paramref name="segment"/>.
    /// </summary>
    public static byte[] Ip(int payload, bool udp = false, bool ipv6 = false, bool complete = true, bool segment = false, int seed = 0)
    {
        int network = ipv6 ? 40 : 20;
        int transport = udp ? 8 : 20;
        byte[] frame = Plain(14 + network + transport + payload, seed, type: ipv6 ? (ushort)0x86dd : (ushort)0x0800);
        Span<byte> ip = frame.AsSpan(14);
        Span<byte> body = ip[network..];
        byte protocol = udp ? (byte)17 : (byte)6;
        ip[..(network + transport)].Clear();
        if (ipv6) WriteIpv6(ip, body.Length, protocol, segment);
        else WriteIpv4(ip, body.Length, protocol, segment);
        WriteTransport(body, udp);
        ushort pseudo = Sum(ipv6 ? ip[8..40] : ip[12..20], protocol + (segment ? 0u : (uint)body.Length));
        int field = udp ? 6 : 16;
        BinaryPrimitives.WriteUInt16BigEndian(body[field..], complete ? (ushort)0 : pseudo);
        if (!complete) return frame;
        BinaryPrimitives.WriteUInt16BigEndian(body[field..], (ushort)~Sum(body, pseudo));
        if (!ipv6) BinaryPrimitives.WriteUInt16BigEndian(ip[10..], (ushort)~Sum(ip[..20]));
        return frame;
    }

    /// <summary>The Internet checksum's sum (RFC 1071), not complemented.</summary>
    public static ushort Sum(ReadOnlySpan<byte> bytes, uint start = 0)
    {
        uint sum = start;
        for (int i = 0; i < bytes.Length; i++) sum += i % 2 == 0 ? (uint)bytes[i] << 8 : bytes[i];
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)sum;
    }

    private static void WriteIpv4(Span<byte> ip, int body, byte protocol, bool segment)
    {
        ip[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], segment ? (ushort)0 : (ushort)(20 + body));
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], 0x1234);
        ip[8] = 64;
        ip[9] = protocol;
        ((ReadOnlySpan<byte>)[10, 0, 2, 15]).CopyTo(ip[12..]);
        ((ReadOnlySpan<byte>)[10, 0, 2, 2]).CopyTo(ip[16..]);
    }

    private static void WriteIpv6(Span<byte> ip, int body, byte protocol, bool segment)
    {
        ip[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], segment ? (ushort)0 : (ushort)body);
        ip[6] = protocol;
        ip[7] = 64;
        ip[8] = ip[24] = 0xfd;
        ip[23] = 1;
        ip[39] = 2;
    }

    private static void WriteTransport(Span<byte> body, bool udp)
    {
        BinaryPrimitives.WriteUInt16BigEndian(body, 4000);
        BinaryPrimitives.WriteUInt16BigEndian(body[2..], 80);
        if (udp)
        {
            BinaryPrimitives.WriteUInt16BigEndian(body[4..], (ushort)body.Length);
            return;
        }

        BinaryPrimitives.WriteUInt32BigEndian(body[4..], 0x1000_0000);
        body[12] = 0x50;
        body[13] = 0x19; // ACK, PSH, FIN
        BinaryPrimitives.WriteUInt16BigEndian(body[14..], 0xffff);
    }
}
