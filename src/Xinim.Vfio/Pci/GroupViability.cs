namespace Xinim.Vfio.Pci;

/// <summary>
/// Whether an IOMMU group can be used: every device of it must belong to VFIO or to no driver, because the IOMMU cannot keep them apart.
/// Drivers that start no DMA do not count (those with driver_managed_dma in the kernel: pci-stub, pcieport).
/// </summary>
/// <param name="Function">The device that is wanted.</param>
/// <param name="Blockers">Neighbours that stand in the way, each with its driver.</param>
public sealed record GroupViability(PciFunction Function, IReadOnlyList<PciFunction> Blockers)
{
    private static readonly string[] Harmless = ["vfio-pci", "pci-stub", "pcieport"];

    /// <summary>No neighbour stands in the way.</summary>
    public bool IsViable => Blockers.Count == 0;

    /// <summary>Looks at every neighbour.</summary>
    public static GroupViability Check(PciEnumerator devices, PciFunction function) => new(function,
        [.. function.GroupNeighbours.Select(devices.TryFind).OfType<PciFunction>().Where(neighbour => Blocks(neighbour))]);

    /// <summary>One line: what is in the way and what to do.</summary>
    public string Explain()
    {
        if (IsViable) return $"IOMMU group {Function.IommuGroup} of {Function.Address} can be used";
        string list = string.Join(", ", Blockers.Select(blocker => $"{blocker} (driver {blocker.Driver})"));
        string commands = string.Join(" and ", Blockers.Select(blocker => $"'xinim bind {blocker.Address}'"));
        return $"{Function.Address} shares IOMMU group {Function.IommuGroup} with {list}: the IOMMU cannot keep these apart; "
            + $"take them from their drivers too with {commands}, or move the device to another slot";
    }

    // Another VFIO driver (mlx5-vfio-pci, for example) is as good as vfio-pci.
    private static bool Blocks(PciFunction neighbour) =>
        neighbour is { Driver: { } driver } && !Harmless.Contains(driver) && !driver.EndsWith("vfio-pci", StringComparison.Ordinal)
        && !driver.EndsWith("vfio_pci", StringComparison.Ordinal);
}
