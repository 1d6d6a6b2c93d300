using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// One element of a submission ring, 64 bytes. A request has up to three pieces of memory; one with more goes on in the next element
/// (<see cref="BlockFlags.More"/>), of which only cookie, flags and segments count. Every request is answered exactly once, with its cookie.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct BlockRequest
{
    /// <summary>Pieces of memory in one element.</summary>
    public const int SegmentsPerElement = 3;

    /// <summary>The client's own; returned as it was.</summary>
    public ulong Cookie;

    /// <summary>First logical block.</summary>
    public ulong Lba;

    /// <summary>Logical blocks: of the data, of a discard, of zeroes to write. 0 for Flush and GetId.</summary>
    public uint Count;
    public BlockOperation Operation;
    public BlockFlags Flags;

    /// <summary>Valid entries of <see cref="Segments"/>; their bytes in all elements together are those of the blocks.</summary>
    public ushort SegmentCount;
    public SegmentList Segments;
    private readonly uint _reserved;

    [InlineArray(SegmentsPerElement)]
    public struct SegmentList
    {
        private BlockSegment _first;
    }
}

/// <summary>A piece of granted memory, 12 bytes.</summary>
/// <param name="Grant">Handle of the grant that it lies in.</param>
/// <param name="Offset">Bytes from the start of the grant.</param>
/// <param name="Length">Bytes, not 0.</param>
[StructLayout(LayoutKind.Sequential)]
public record struct BlockSegment(uint Grant, uint Offset, uint Length);

/// <summary>What is asked of a disk.</summary>
public enum BlockOperation : byte
{
    None = 0,
    Read = 1,
    Write = 2,

    /// <summary>Everything whose completion was seen before this was submitted becomes durable.</summary>
    Flush = 3,

    /// <summary>The blocks' contents are not needed any more; what they read as afterwards is undefined.</summary>
    Discard = 4,

    /// <summary>The blocks read as zeroes afterwards.</summary>
    WriteZeroes = 5,

    /// <summary>Writes the serial number to the one segment, of at least <see cref="BlockDeviceInfo.IdBytes"/>; bytes that it does not need stay as they are.</summary>
    GetId = 6,
}

/// <summary>How it is to be done.</summary>
[Flags]
public enum BlockFlags : byte
{
    None = 0,

    /// <summary>The request's memory goes on in the next element.</summary>
    More = 1,

    /// <summary>Write, WriteZeroes: durable when completed (force unit access). Needs <see cref="BlockFeatures.Fua"/>.</summary>
    Fua = 2,

    /// <summary>WriteZeroes: the device may unmap the blocks. Needs <see cref="BlockFeatures.ZeroesMayUnmap"/>.</summary>
    MayUnmap = 4,
}

/// <summary>What became of a request, 32 bytes.</summary>
/// <param name="Cookie">The request's.</param>
/// <param name="FailedLba">The first block that failed, with <paramref name="FailedCount"/>.</param>
/// <param name="FailedCount">Blocks from there that are not done; 0 where the device does not say which.</param>
/// <param name="DeviceCode">What the device itself said, for the log.</param>
[StructLayout(LayoutKind.Sequential)]
public record struct BlockCompletion(ulong Cookie, BlockStatus Status, uint FailedCount, ulong FailedLba, uint DeviceCode = 0, uint Reserved = 0)
{
    public BlockCompletion(ulong cookie, BlockStatus status)
        : this(cookie, status, 0, 0)
    {
    }
}

/// <summary>How a request ended.</summary>
public enum BlockStatus : uint
{
    Ok = 0,

    /// <summary>The device could not do it.</summary>
    IoError = 1,

    /// <summary>Blocks behind the end of the disk.</summary>
    OutOfRange = 2,

    /// <summary>The disk takes no writes.</summary>
    ReadOnly = 3,

    /// <summary>The device has no such operation.</summary>
    Unsupported = 4,

    /// <summary>No operation, no blocks, more than the device's limits, or memory that is not as long as the blocks.</summary>
    BadRequest = 5,

    /// <summary>Memory that was not granted, not for this, or not aligned.</summary>
    BadGrant = 6,

    /// <summary>A removable device without its medium.</summary>
    NoMedium = 7,
}

/// <summary>What a disk's driver says of it when it is ready, and again when it changes. Control path; travels in messages.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct BlockDeviceInfo
{
    /// <summary>Bytes of a serial number at the most.</summary>
    public const int IdBytes = 64;

    /// <summary>Logical blocks.</summary>
    public ulong Blocks;
    public BlockFeatures Features;

    /// <summary>Bytes that <see cref="BlockRequest.Lba"/> counts in, a power of two from 512 on.</summary>
    public uint LogicalBlockBytes;

    /// <summary>Bytes that the medium is written in; a power of two times the logical ones.</summary>
    public uint PhysicalBlockBytes;

    /// <summary>Logical blocks from the start of a physical block to block 0.</summary>
    public uint AlignmentOffset;

    /// <summary>Logical blocks below which a request costs as much as this one; 0 where unknown.</summary>
    public uint MinimumBlocks;

    /// <summary>Logical blocks that a request best has; 0 where unknown.</summary>
    public uint OptimalBlocks;

    /// <summary>Pieces of memory of one request.</summary>
    public uint MaxSegments;

    /// <summary>Bytes of one piece.</summary>
    public uint MaxSegmentBytes;

    /// <summary>A power of two that offset and length of every piece are multiples of.</summary>
    public uint SegmentAlignment;

    /// <summary>Bytes of one request.</summary>
    public uint MaxRequestBytes;

    /// <summary>Requests that can be in the device at a time.</summary>
    public uint QueueDepth;
    public uint Queues;
    public uint VectorsUsed;

    /// <summary>Blocks of one discard.</summary>
    public uint MaxDiscardBlocks;

    /// <summary>Blocks that a discard best begins and ends at a multiple of; 0 where unknown.</summary>
    public uint DiscardAlignment;

    /// <summary>Blocks of one WriteZeroes.</summary>
    public uint MaxZeroesBlocks;

    /// <summary>Empty where it has none.</summary>
    public FixedText Serial;
    public FixedText Model;

    /// <summary>Bytes of the whole disk.</summary>
    public readonly ulong Bytes => Blocks * LogicalBlockBytes;

    /// <summary>The same disk as another driver found: what a client remembers of it still holds.</summary>
    public readonly bool IsSameDisk(in BlockDeviceInfo other) => IsSameMedium(other) && Blocks == other.Blocks;

    /// <summary>The same disk as the driver that served it found it later: its size may have changed under its eyes.</summary>
    public readonly bool IsSameMedium(in BlockDeviceInfo other)
        => ((ReadOnlySpan<byte>)Serial).SequenceEqual(other.Serial) && LogicalBlockBytes == other.LogicalBlockBytes && (Features & BlockFeatures.Absent) == (other.Features & BlockFeatures.Absent);

    public readonly bool Has(BlockFeatures features) => (Features & features) == features;
}

/// <summary>One unit of a device of disks: Ready tells of all, in the order of the numbers that messages call them by.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct BlockUnitInfo
{
    /// <summary>Units of one device at the most.</summary>
    public const int MostUnits = 32;

    /// <summary>The <see cref="Port"/> of a device that is one disk.</summary>
    public const uint Whole = uint.MaxValue;

    /// <summary>Number of the controller's port, which names the disk; the same in every driver's life.</summary>
    public uint Port;
    private readonly uint _reserved;
    public BlockDeviceInfo Disk;

    public BlockUnitInfo(uint port, in BlockDeviceInfo disk)
    {
        Port = port;
        Disk = disk;
    }
}

/// <summary>What a disk can do and is.</summary>
[Flags]
public enum BlockFeatures : uint
{
    None = 0,
    ReadOnly = 1 << 0,
    Flush = 1 << 1,

    /// <summary>A volatile write cache is in use now: what is not flushed is lost with the power.</summary>
    WriteCache = 1 << 2,

    /// <summary>The write cache can be switched.</summary>
    WriteCacheSwitch = 1 << 3,
    Fua = 1 << 4,
    Discard = 1 << 5,
    WriteZeroes = 1 << 6,
    ZeroesMayUnmap = 1 << 7,
    Rotational = 1 << 8,
    Removable = 1 << 9,
    GetId = 1 << 10,

    /// <summary>A port without a usable disk: nothing else is said.</summary>
    Absent = 1 << 11,
}

/// <summary>Counters since the device was started. Completed requests, and the bytes of those that went well.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct BlockStatistics
{
    public ulong Reads;
    public ulong ReadBytes;
    public ulong Writes;
    public ulong WrittenBytes;
    public ulong Flushes;
    public ulong Discards;
    public ulong WriteZeroes;

    /// <summary>Requests that the device did not do.</summary>
    public ulong Errors;

    /// <summary>Requests that were never given to the device.</summary>
    public ulong Rejected;
    public ulong Interrupts;
    public ulong Doorbells;
}
