using System.Buffers.Binary;
using System.Numerics;

namespace Xinim.Faults.Traffic;

/// <summary>What a block of a disk is to a client that remembers what it wrote there last.</summary>
internal enum DiskVerdict
{
    Good,

    /// <summary>Its checksum is wrong, or it is another block, or an old version of this one: caught.</summary>
    Damaged,

    /// <summary>Checksum, place and version are right, and its bytes are not what was written: it would be believed.</summary>
    Forged,
}

/// <summary>A block that can be told from all others: its place, its version and a CRC-32C over everything else; the rest follows from place and version.</summary>
internal static class TestBlock
{
    private const int VersionAt = 8, CheckAt = 12, FillAt = 16;

    public static void Fill(Span<byte> block, ulong lba, uint version)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(block, lba);
        BinaryPrimitives.WriteUInt32LittleEndian(block[VersionAt..], version);
        for (int at = FillAt; at < block.Length; at += sizeof(ulong))
            BinaryPrimitives.WriteUInt64LittleEndian(block[at..], unchecked(((lba << 32) + version + (ulong)at) * 0x9e37_79b9_7f4a_7c15));
        Seal(block);
    }

    /// <summary>Gives it the checksum of what it holds.</summary>
    public static void Seal(Span<byte> block) => BinaryPrimitives.WriteUInt32LittleEndian(block[CheckAt..], Checksum(block));

    /// <param name="expected">As long as the block; overwritten.</param>
    public static DiskVerdict Check(ReadOnlySpan<byte> block, ulong lba, uint version, Span<byte> expected)
    {
        bool right = BinaryPrimitives.ReadUInt32LittleEndian(block[CheckAt..]) == Checksum(block)
            && BinaryPrimitives.ReadUInt64LittleEndian(block) == lba && BinaryPrimitives.ReadUInt32LittleEndian(block[VersionAt..]) == version;
        if (!right) return DiskVerdict.Damaged;
        Fill(expected, lba, version);
        return block.SequenceEqual(expected) ? DiskVerdict.Good : DiskVerdict.Forged;
    }

    private static uint Checksum(ReadOnlySpan<byte> block) => Add(Add(uint.MaxValue, block[..CheckAt]), block[FillAt..]);

    private static uint Add(uint crc, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..]) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (byte value in bytes) crc = BitOperations.Crc32C(crc, value);
        return crc;
    }
}
