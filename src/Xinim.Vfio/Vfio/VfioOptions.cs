namespace Xinim.Vfio.Vfio;

/// <summary>How to open a device through VFIO.</summary>
public sealed record VfioOptions
{
    /// <summary>Where sysfs is mounted.</summary>
    public string SysfsRoot { get; init; } = "/sys";

    /// <summary>Where VFIO's device nodes are.</summary>
    public string DeviceDirectory { get; init; } = "/dev/vfio";

    /// <summary>The user said <c>--allow-unsafe-dma</c>: a device without an IOMMU may be opened. It can then write to all of memory.</summary>
    public bool AllowUnsafeDma { get; init; }
}
