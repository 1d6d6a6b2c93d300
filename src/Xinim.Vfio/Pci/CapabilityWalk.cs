namespace Xinim.Vfio.Pci;

/// <summary>
/// A place in the capability list (PCI 3.0 §6.7). The bytes come from the device: a list that loops, points into the header or off the end
/// is followed no further.
/// </summary>
internal struct CapabilityWalk
{
    /// <summary>The list lies behind the header, in the first 256 bytes.</summary>
    public const int First = 0x40, End = 256;

    private ulong _seen;

    /// <param name="status">The status register.</param>
    /// <param name="pointer">The capabilities pointer.</param>
    public CapabilityWalk(ushort status, byte pointer) => Offset = (status & PciConfigSpace.StatusCapabilities) == 0 ? 0 : pointer & ~3;

    /// <summary>Where the capability's two bytes are, id and pointer to the next, while <see cref="IsThere"/>.</summary>
    public int Offset { get; private set; }

    public readonly bool IsThere => Offset >= First && (_seen >> (Offset / 4) & 1) == 0;

    /// <param name="pointer">The capability's second byte.</param>
    public void Follow(byte pointer)
    {
        _seen |= 1UL << (Offset / 4);
        Offset = pointer & ~3;
    }
}
