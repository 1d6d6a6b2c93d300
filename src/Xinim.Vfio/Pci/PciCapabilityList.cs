namespace Xinim.Vfio.Pci;

/// <summary>Looks for capabilities of a live device (PCI 3.0 §6.7). A list that loops or leaves its space is followed no further.</summary>
public static class PciCapabilityList
{
    /// <summary>Offsets of all capabilities with this id, in the device's order.</summary>
    public static IEnumerable<int> Offsets(IPciConfig config, byte id)
    {
        CapabilityWalk at = new(config.Read16(PciConfigSpace.Status), config.Read8(PciConfigSpace.CapabilitiesPointer));
        while (at.IsThere)
        {
            if (config.Read8(at.Offset) == id) yield return at.Offset;
            at.Follow(config.Read8(at.Offset + 1));
        }
    }
}
