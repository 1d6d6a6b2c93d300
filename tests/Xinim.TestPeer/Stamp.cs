using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Xinim.TestPeer;

/// <summary>Elements whose every word follows from a sequence number: what was torn, stale or made up shows.</summary>
public static class Stamp
{
    public static T Make<T>(ulong sequence)
        where T : unmanaged
    {
        T element = default;
        Span<ulong> words = Words(ref element);
        for (int i = 0; i < words.Length; i++) words[i] = i == 0 ? sequence : Mix(sequence, i);
        return element;
    }

    /// <summary>True where the element is exactly the one with that number.</summary>
    public static bool Is<T>(T element, ulong sequence)
        where T : unmanaged
    {
        T expected = Make<T>(sequence);
        return Words(ref element).SequenceEqual(Words(ref expected));
    }

    private static Span<ulong> Words<T>(ref T element)
        where T : unmanaged
        => MemoryMarshal.Cast<T, ulong>(MemoryMarshal.CreateSpan(ref element, 1));

    private static ulong Mix(ulong sequence, int word) => ulong.RotateLeft((sequence + (ulong)word) * 0x9e3779b97f4a7c15, word * 7) ^ 0x5851f42d4c957f2d;
}

/// <summary>An element of 16 bytes.</summary>
[InlineArray(2)]
public struct Element16
{
    private ulong _first;
}

/// <summary>An element of 32 bytes.</summary>
[InlineArray(4)]
public struct Element32
{
    private ulong _first;
}

/// <summary>An element of 64 bytes.</summary>
[InlineArray(8)]
public struct Element64
{
    private ulong _first;
}
