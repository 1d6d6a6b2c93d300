using System.Runtime.InteropServices;

namespace Xinim.Ipc.Memory;

/// <summary>
/// The right to use a part of a region, made and revoked by the region's owner. Peers name it by its <see cref="Handle"/>; a handle of
/// a revoked grant stays invalid when its slot is used again, because the generation in it differs.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct Grant(uint Handle, uint Region, ulong Offset, ulong Length, RegionAccess Access, uint Reserved = 0)
{
    /// <summary>Slots that a table can have: the low 16 bits of a handle.</summary>
    public const int MaxSlots = 1 << 16;

    /// <summary>The slot of a handle.</summary>
    public static int SlotOf(uint handle) => (int)(handle & 0xffff);

    /// <summary>The generation of a handle; 0 is never valid, so that zeroed memory names no grant.</summary>
    public static uint GenerationOf(uint handle) => handle >> 16;

    /// <summary>Joins slot and generation.</summary>
    public static uint HandleOf(int slot, uint generation) => (generation << 16) | (uint)slot;
}
