using System.Runtime.CompilerServices;

namespace Xinim.Vfio.Registers;

/// <summary>
/// A device's BAR: the only code that touches one. Each call is exactly one aligned access of the register's width; the volatile access
/// keeps the compiler from merging, moving or leaving out a read that has a side effect. Uncached device memory keeps the order of
/// accesses on x86-64 (Intel SDM vol. 3 §12.3). Bounds and alignment are checked at every access: one compare beside a 100 ns load.
/// </summary>
public readonly unsafe struct Mmio
{
    private readonly byte* _base;
    private readonly RegisterChannel? _channel;
    private readonly int _bar;

    /// <summary>A BAR mapped into this process. Whoever made the mapping keeps it alive.</summary>
    public Mmio(void* address, uint length)
    {
        _base = (byte*)address;
        Length = length;
    }

    /// <summary>A BAR behind a channel.</summary>
    public Mmio(RegisterChannel channel, int bar, uint length)
    {
        _channel = channel;
        _bar = bar;
        Length = length;
    }

    /// <summary>Bytes.</summary>
    public uint Length { get; }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte Read8(uint offset) => Check(offset, 1) ? Volatile.Read(ref *(_base + offset)) : (byte)_channel!.Read(_bar, offset, 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ushort Read16(uint offset) => Check(offset, 2) ? Volatile.Read(ref *(ushort*)(_base + offset)) : (ushort)_channel!.Read(_bar, offset, 2);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Read32(uint offset) => Check(offset, 4) ? Volatile.Read(ref *(uint*)(_base + offset)) : (uint)_channel!.Read(_bar, offset, 4);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Read64(uint offset) => Check(offset, 8) ? Volatile.Read(ref *(ulong*)(_base + offset)) : _channel!.Read(_bar, offset, 8);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write8(uint offset, byte value)
    {
        if (Check(offset, 1)) Volatile.Write(ref *(_base + offset), value);
        else _channel!.Write(_bar, offset, 1, value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write16(uint offset, ushort value)
    {
        if (Check(offset, 2)) Volatile.Write(ref *(ushort*)(_base + offset), value);
        else _channel!.Write(_bar, offset, 2, value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write32(uint offset, uint value)
    {
        if (Check(offset, 4)) Volatile.Write(ref *(uint*)(_base + offset), value);
        else _channel!.Write(_bar, offset, 4, value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write64(uint offset, ulong value)
    {
        if (Check(offset, 8)) Volatile.Write(ref *(ulong*)(_base + offset), value);
        else _channel!.Write(_bar, offset, 8, value);
    }

    /// <summary>Refuses what is outside or unaligned; true where the BAR is mapped memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Check(uint offset, uint size)
    {
        if (offset > Length - size || (offset & (size - 1)) != 0 || Length < size) Refuse(offset, size, Length);
        return _channel is null;
    }

    private static void Refuse(uint offset, uint size, uint length)
        => throw new ArgumentOutOfRangeException(nameof(offset), $"a {size}-byte access at 0x{offset:x} is unaligned or outside a BAR of 0x{length:x} bytes");
}
