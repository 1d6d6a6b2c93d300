using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Xinim.Drivers.Virtio.Queues;

/// <summary>A descriptor, split [V §2.7.5] or packed [V §2.8.13]. Two 64-bit stores fill it.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct VirtDescriptor
{
    /// <summary>addr: where the device sees the part, or the indirect table.</summary>
    [FieldOffset(0)] public ulong Address;

    /// <summary>Split: len, flags, next from the lowest bit on [V §2.7.5]. Packed: len, id, flags [V §2.8.13].</summary>
    [FieldOffset(8)] public ulong Control;

    public const uint Next = 1; // VIRTQ_DESC_F_NEXT [V §2.7.5, §2.8.6]
    public const uint Write = 2; // VIRTQ_DESC_F_WRITE [V §2.7.5, §2.8.3]
    public const uint Indirect = 4; // VIRTQ_DESC_F_INDIRECT [V §2.7.5.3, §2.8.7]
    public const uint Available = 1 << 7; // VIRTQ_DESC_F_AVAIL [V §2.8.1]
    public const uint Used = 1 << 15; // VIRTQ_DESC_F_USED [V §2.8.1]

    /// <summary>The control word of a split descriptor [V §2.7.5].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Split(uint length, uint flags, uint next = 0) => length | ((ulong)flags << 32) | ((ulong)next << 48);

    /// <summary>The control word of a packed descriptor [V §2.8.13].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Packed(uint length, uint id, uint flags) => length | ((ulong)id << 32) | ((ulong)flags << 48);
}

/// <summary>struct virtq_used_elem [V §2.7.8]. Both fields are the device's: read once, checked, used.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
internal struct UsedElement
{
    /// <summary>id: the head of the chain that was used.</summary>
    [FieldOffset(0)] public uint Id;

    /// <summary>len: bytes written to the chain's writable parts.</summary>
    [FieldOffset(4)] public uint Length;
}
