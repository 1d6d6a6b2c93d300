namespace Xinim.Ipc.Memory;

/// <summary>A place in a shared region, in bytes from its start: the only address that peers exchange.</summary>
public readonly record struct RegionOffset(ulong Value)
{
    public static RegionOffset operator +(RegionOffset offset, ulong bytes) => new(offset.Value + bytes);

    public override string ToString() => $"+0x{Value:x}";
}
