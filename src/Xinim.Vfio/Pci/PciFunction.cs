namespace Xinim.Vfio.Pci;

/// <summary>A PCI function as sysfs shows it: who it is, what it has, and who drives it.</summary>
public sealed record PciFunction
{
    public required PciAddress Address { get; init; }

    /// <summary>Ids, class and revision.</summary>
    public required PciIdentity Identity { get; init; }

    /// <summary>BARs that have a size.</summary>
    public required IReadOnlyList<PciBar> Bars { get; init; }

    /// <summary>From configuration space.</summary>
    public required PciCapabilities Capabilities { get; init; }

    /// <summary>The kernel's driver, or null.</summary>
    public string? Driver { get; init; }

    /// <summary>The device's IOMMU group, or null where no IOMMU is active.</summary>
    public int? IommuGroup { get; init; }

    /// <summary>True where the group is VFIO's no-IOMMU stand-in and protects nothing.</summary>
    public bool HasNoIommuGroup { get; init; }

    /// <summary>The other functions in the group.</summary>
    public IReadOnlyList<PciAddress> GroupNeighbours { get; init; } = [];

    /// <summary>Reset methods that the kernel would use, best first: flr, pm, bus…; empty where it has none, or is older than 5.15.</summary>
    public IReadOnlyList<string> ResetMethods { get; init; } = [];

    /// <summary>NUMA node, or -1.</summary>
    public int NumaNode { get; init; } = -1;

    /// <summary>A bridge between PCI buses (class 06.04): no device for vfio-pci.</summary>
    public bool IsBridge => Identity.ClassCode >> 8 == 0x0604;

    /// <summary>The BAR with this index, if it has a size.</summary>
    public PciBar? Bar(int index)
    {
        foreach (PciBar bar in Bars)
        {
            if (bar.Index == index) return bar;
        }

        return null;
    }

    public override string ToString() => $"{Address} {Identity}";
}
