using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Xinim.TestKit.Block;

/// <summary>A command of <see cref="DiskModel"/>'s queue, as it lies in memory.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct DiskEntry
{
    public const int MaxSegments = 16;
    public const int StateOffset = 0, StatusOffset = 4;
    public const uint Idle = 0, Submitted = 1, Done = 2;

    public uint State;
    public uint Status;
    public ulong FailedLba;
    public ulong Lba;
    public uint Count;
    public uint Operation;
    public uint Segments;
    private readonly uint _reserved;
    public SegmentList List;

    [InlineArray(MaxSegments)]
    public struct SegmentList
    {
        private DiskSegment _first;
    }
}

/// <summary>A piece of memory of a command.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct DiskSegment(ulong Iova, uint Length, uint Reserved = 0);
