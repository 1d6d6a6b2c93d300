using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Xinim.Vfio.Vfio;

/// <summary>
/// Walks the capability chain that the kernel appends to an answer (linux/vfio.h, "capability chain"). Offsets count from the start of
/// the answer; one that points outside or backwards ends the walk, so that no answer can make it run for ever.
/// </summary>
internal static class VfioCapabilityChain
{
    /// <summary>The bytes of the first capability with this id, up to the end of the answer; empty where there is none.</summary>
    public static ReadOnlySpan<byte> Find(ReadOnlySpan<byte> answer, uint first, ushort id)
    {
        uint offset = first;
        while (offset != 0 && offset <= answer.Length - Unsafe.SizeOf<VfioInfoCapHeader>())
        {
            VfioInfoCapHeader header = MemoryMarshal.Read<VfioInfoCapHeader>(answer[(int)offset..]);
            if (header.Id == id) return answer[(int)offset..];
            if (header.Next <= offset) break;
            offset = header.Next;
        }

        return [];
    }

    /// <summary>Elements after a capability's fixed part; as many as announced and as fit.</summary>
    public static T[] Elements<T>(ReadOnlySpan<byte> capability, int fixedPart, uint count)
        where T : unmanaged
    {
        if (capability.Length < fixedPart) return [];
        ReadOnlySpan<T> elements = MemoryMarshal.Cast<byte, T>(capability[fixedPart..]);
        return elements[..(int)Math.Min(count, (uint)elements.Length)].ToArray();
    }
}
