using System.Buffers.Binary;
using System.Numerics;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ip;

namespace Xinim.Net.Traffic;

/// <summary>
/// The frames that <c>xinim net send</c> makes: Local Experimental EtherType, then magic, run, sequence number and a CRC-32C over everything
/// behind the header, little-endian. A frame that is not stamped has another magic and nothing more to check.
/// </summary>
public static class TestFrame
{
    public const int MinBytes = EthernetFrame.MinBytes;
    public const int MaxBytes = 1514;
    private const uint StampedMagic = 0x4d_49_4e_58; // "XNIM"
    private const uint FixedMagic = 0x46_49_4e_58; // "XNIF"
    private const int MagicAt = EthernetFrame.HeaderBytes;
    private const int RunAt = MagicAt + 4;
    private const int SequenceAt = RunAt + 4;
    private const int CheckAt = SequenceAt + 8;
    private const int FillAt = CheckAt + 4;

    /// <summary>Where test frames go unless told otherwise: a locally administered address that no station has, so that they wake nobody up.</summary>
    public static MacAddress DefaultDestination => MacAddress.From("\x02XINIM"u8);

    /// <summary>Writes a whole frame, not stamped.</summary>
    public static void Prepare(Span<byte> frame, in MacAddress destination, in MacAddress source, uint run)
    {
        EthernetFrame.Write(frame, destination, source, EtherType.LocalExperimental);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[MagicAt..], FixedMagic);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[RunAt..], run);
        frame[SequenceAt..FillAt].Clear();
        for (int i = FillAt; i < frame.Length; i++) frame[i] = (byte)i;
    }

    /// <summary>Turns a prepared frame into one that can be told from all others.</summary>
    public static void Stamp(Span<byte> frame, ulong sequence)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(frame[MagicAt..], StampedMagic);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[SequenceAt..], sequence);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[CheckAt..], Checksum(frame));
    }

    /// <summary>What a received frame is.</summary>
    /// <param name="run">Of a stamped frame.</param>
    /// <param name="sequence">Of a stamped frame.</param>
    public static TestFrameKind Read(ReadOnlySpan<byte> frame, out uint run, out ulong sequence)
    {
        run = 0;
        sequence = 0;
        if (frame.Length < FillAt || BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) != (ushort)EtherType.LocalExperimental) return TestFrameKind.Other;
        uint magic = BinaryPrimitives.ReadUInt32LittleEndian(frame[MagicAt..]);
        if (magic == FixedMagic) return TestFrameKind.Unstamped;
        if (magic != StampedMagic) return TestFrameKind.Other;
        run = BinaryPrimitives.ReadUInt32LittleEndian(frame[RunAt..]);
        sequence = BinaryPrimitives.ReadUInt64LittleEndian(frame[SequenceAt..]);
        return BinaryPrimitives.ReadUInt32LittleEndian(frame[CheckAt..]) == Checksum(frame) ? TestFrameKind.Stamped : TestFrameKind.Damaged;
    }

    private static uint Checksum(ReadOnlySpan<byte> frame) => Add(Add(uint.MaxValue, frame[MagicAt..CheckAt]), frame[FillAt..]);

    private static uint Add(uint crc, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..]) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (byte value in bytes) crc = BitOperations.Crc32C(crc, value);
        return crc;
    }
}

/// <summary>What a frame is to a receiver of test frames.</summary>
public enum TestFrameKind
{
    /// <summary>Not a test frame.</summary>
    Other,
    Unstamped,
    Stamped,

    /// <summary>Its checksum is wrong.</summary>
    Damaged,
}
