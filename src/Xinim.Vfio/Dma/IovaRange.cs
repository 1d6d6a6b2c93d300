namespace Xinim.Vfio.Dma;

/// <summary>A span of I/O virtual addresses; <paramref name="Last"/> is inside, so that the whole 64-bit space can be said.</summary>
public readonly record struct IovaRange(ulong First, ulong Last)
{
    public override string ToString() => $"0x{First:x}–0x{Last:x}";
}
