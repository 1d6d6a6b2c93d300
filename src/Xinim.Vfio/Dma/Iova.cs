namespace Xinim.Vfio.Dma;

/// <summary>An address as the device sees it, translated by the IOMMU. Never a pointer, never an offset.</summary>
public readonly record struct Iova(ulong Value)
{
    public static Iova operator +(Iova address, ulong bytes) => new(checked(address.Value + bytes));

    /// <summary>The lower 32 bits, for register pairs.</summary>
    public uint Low => (uint)Value;

    /// <summary>The upper 32 bits, for register pairs.</summary>
    public uint High => (uint)(Value >> 32);

    public override string ToString() => $"0x{Value:x}";
}
