using System.Buffers.Binary;

namespace Xinim.Net.Ip;

/// <summary>The ones' complement checksum of IP, ICMP, UDP and TCP (RFC 1071).</summary>
internal static class InternetChecksum
{
    /// <summary>Over data whose checksum field is zero: what to write there. Over data that carries its checksum: 0 where it is right.</summary>
    /// <param name="data">Big-endian 16-bit words; an odd last byte is padded with zero.</param>
    /// <param name="start">Sum of a pseudo-header, from <see cref="Add"/>.</param>
    public static ushort Compute(ReadOnlySpan<byte> data, uint start = 0)
    {
        uint sum = Add(data, start);
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~sum;
    }

    /// <summary>Adds words without folding; holds for the 64 KiB that a packet has at the most.</summary>
    public static uint Add(ReadOnlySpan<byte> data, uint sum)
    {
        int i = 0;
        for (; i + 1 < data.Length; i += 2) sum += BinaryPrimitives.ReadUInt16BigEndian(data[i..]);
        return i < data.Length ? sum + ((uint)data[i] << 8) : sum;
    }
}
