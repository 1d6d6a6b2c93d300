using System.Runtime.CompilerServices;

namespace Xinim.Vfio.Registers;

/// <summary>
/// A plain 32-bit read/write register whose bits are <typeparamref name="TBits"/>. The types of this folder keep the bits of one
/// register out of another, and a register whose read has an effect from being read by accident.
/// </summary>
/// <typeparam name="TBits">A 32-bit <c>[Flags]</c> enum, or <see cref="uint"/> for a register that is one number.</typeparam>
public readonly struct Register<TBits>(Mmio bar, uint offset)
    where TBits : unmanaged
{
    /// <summary>One load.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public TBits Read() => Unsafe.BitCast<uint, TBits>(bar.Read32(offset));

    /// <summary>One store.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write(TBits value) => bar.Write32(offset, Unsafe.BitCast<TBits, uint>(value));

    /// <summary>Read, set the bits, write back.</summary>
    public void Set(TBits bits) => bar.Write32(offset, bar.Read32(offset) | Unsafe.BitCast<TBits, uint>(bits));

    /// <summary>Read, clear the bits, write back.</summary>
    public void Clear(TBits bits) => bar.Write32(offset, bar.Read32(offset) & ~Unsafe.BitCast<TBits, uint>(bits));
}

/// <summary>A register that the device clears when it is read: reading is an action, and is named as one.</summary>
public readonly struct ReadToClearRegister<TBits>(Mmio bar, uint offset)
    where TBits : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public TBits ReadAndClear() => Unsafe.BitCast<uint, TBits>(bar.Read32(offset));
}

/// <summary>A register in which writing a one clears the bit.</summary>
public readonly struct WriteOneToClearRegister<TBits>(Mmio bar, uint offset)
    where TBits : unmanaged
{
    public TBits Read() => Unsafe.BitCast<uint, TBits>(bar.Read32(offset));

    /// <summary>Clears exactly these bits.</summary>
    public void Acknowledge(TBits bits) => bar.Write32(offset, Unsafe.BitCast<TBits, uint>(bits));
}

/// <summary>A register that can only be read.</summary>
public readonly struct ReadOnlyRegister<TBits>(Mmio bar, uint offset)
    where TBits : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public TBits Read() => Unsafe.BitCast<uint, TBits>(bar.Read32(offset));
}

/// <summary>A register that can only be written: doorbells, mask-set and mask-clear registers.</summary>
public readonly struct WriteOnlyRegister<TBits>(Mmio bar, uint offset)
    where TBits : unmanaged
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write(TBits value) => bar.Write32(offset, Unsafe.BitCast<TBits, uint>(value));
}

/// <summary>A table of 32-bit registers, four bytes apart.</summary>
public readonly struct RegisterTable(Mmio bar, uint offset, uint count)
{
    /// <summary>Registers in the table.</summary>
    public uint Count => count;

    public uint Read(uint index) => bar.Read32(Locate(index));

    public void Write(uint index, uint value) => bar.Write32(Locate(index), value);

    private uint Locate(uint index) => index < count
        ? offset + (index * sizeof(uint))
        : throw new ArgumentOutOfRangeException(nameof(index), index, $"the table at 0x{offset:x} has {count} registers");
}
