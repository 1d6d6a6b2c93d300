using System.Runtime.InteropServices;
using Xinim.Ipc.Protocols;

namespace Xinim.Benchmarks.Isolation;

/// <summary>What the benchmark and its driver process say to each other.</summary>
internal enum HopMessage : uint
{
    /// <summary>→ driver: <see cref="HopRequest"/>; handles: rings, transmit pool, the driver's event, the client's event. Answered by Tally.</summary>
    Attach = 1,

    /// <summary>→ driver: answer with Tally.</summary>
    Count = 2,

    /// <summary>→ driver: leave the rings and sleep. Answered by Tally.</summary>
    Detach = 3,

    /// <summary>← driver: <see cref="HopTally"/>.</summary>
    Tally = 4,
}

/// <summary>The memory that the driver's end works on.</summary>
/// <param name="Grant">Handle of the transmit pool's grant.</param>
/// <param name="Processor">Where to stay; negative for anywhere.</param>
/// <param name="Check">Not 0 to read each frame's number.</param>
[StructLayout(LayoutKind.Sequential)]
internal record struct HopRequest(long RingsBytes, long PoolBytes, RingShape Shape, uint Grant, int Processor, uint Check);

/// <summary>What a driver's end has seen since it was attached.</summary>
/// <param name="Frames">Frames taken.</param>
/// <param name="Bytes">Their lengths.</param>
/// <param name="InOrder">Frames whose number was the one after the last; counted only when checking.</param>
/// <param name="Batches">Polls that found frames.</param>
/// <param name="Refused">Buffers outside their grant.</param>
/// <param name="Allocated">Bytes that the loop allocated since the last answer.</param>
/// <param name="Switches">Times that the loop's thread lost its processor to another, ever.</param>
/// <param name="Process">Where the end is.</param>
[StructLayout(LayoutKind.Sequential)]
internal record struct HopTally(ulong Frames, ulong Bytes, ulong InOrder, ulong Batches, ulong Refused, long Allocated, long Switches, int Process);
