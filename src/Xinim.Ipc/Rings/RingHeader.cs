using System.Runtime.InteropServices;

namespace Xinim.Ipc.Rings;

/// <summary>
/// The shared part of a ring, in front of its elements. Each word that one side writes stands on lines of its own: 128 bytes, because
/// the adjacent-line prefetcher of x86-64 fetches pairs of 64-byte lines.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal struct RingHeader
{
    public const int Bytes = 384;
    public const uint ExpectedMagic = 0x474e5258; // "XRNG"
    public const uint ExpectedVersion = 1;
    public const int MaxCapacity = 1 << 20;

    [FieldOffset(0)] public uint Magic;
    [FieldOffset(4)] public uint Version;
    [FieldOffset(8)] public uint ElementSize;
    [FieldOffset(12)] public uint Capacity;
    [FieldOffset(16)] public uint Generation;

    /// <summary>Free-running count of elements ever published; written by the producer alone.</summary>
    [FieldOffset(128)] public uint Tail;

    /// <summary>Free-running count of elements ever released; written by the consumer alone.</summary>
    [FieldOffset(256)] public uint Head;
}
