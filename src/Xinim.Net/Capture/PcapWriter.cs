using System.Buffers.Binary;

namespace Xinim.Net.Capture;

/// <summary>
/// Writes frames as a classic capture file with nanoseconds (draft-ietf-opsawg-pcap), which tcpdump and Wireshark read. The stream stays the
/// caller's.
/// </summary>
public sealed class PcapWriter
{
    private const uint NanosecondMagic = 0xa1b23c4d;
    private const ushort MajorVersion = 2;
    private const ushort MinorVersion = 4;
    private const uint LinkTypeEthernet = 1;

    /// <summary>Bytes of a frame that are kept; readers allocate this much.</summary>
    public const int SnapLength = 262_144;

    private readonly Stream _stream;

    /// <summary>Writes the file's header.</summary>
    public PcapWriter(Stream stream)
    {
        _stream = stream;
        Span<byte> header = stackalloc byte[24];
        header.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header, NanosecondMagic);
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], MajorVersion);
        BinaryPrimitives.WriteUInt16LittleEndian(header[6..], MinorVersion);
        BinaryPrimitives.WriteUInt32LittleEndian(header[16..], SnapLength);
        BinaryPrimitives.WriteUInt32LittleEndian(header[20..], LinkTypeEthernet);
        _stream.Write(header);
    }

    /// <summary>Adds a frame without FCS.</summary>
    /// <param name="time">When it was received.</param>
    public void Write(ReadOnlySpan<byte> frame, DateTimeOffset time)
    {
        ReadOnlySpan<byte> kept = frame[..Math.Min(frame.Length, SnapLength)];
        long ticks = time.UtcTicks - DateTimeOffset.UnixEpoch.Ticks;
        Span<byte> header = stackalloc byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(header, (uint)(ticks / TimeSpan.TicksPerSecond));
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], (uint)(ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick));
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], (uint)kept.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], (uint)frame.Length);
        _stream.Write(header);
        _stream.Write(kept);
    }
}
