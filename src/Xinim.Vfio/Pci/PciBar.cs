namespace Xinim.Vfio.Pci;

/// <summary>What a BAR decodes.</summary>
public enum PciBarKind
{
    Memory,
    Ports,
}

/// <summary>A base address register and what was assigned to it.</summary>
/// <param name="Index">0–5; a 64-bit BAR takes two, this is the first.</param>
/// <param name="Kind">Memory or I/O ports.</param>
/// <param name="Is64Bit">May lie above 4 GiB.</param>
/// <param name="Prefetchable">Reads have no side effects.</param>
/// <param name="Address">Physical address or port, 0 where none is assigned; what the kernel assigned is shown, not used.</param>
/// <param name="Size">Bytes.</param>
public readonly record struct PciBar(int Index, PciBarKind Kind, bool Is64Bit, bool Prefetchable, ulong Address, ulong Size);
