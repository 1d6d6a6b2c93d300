namespace Xinim.Vfio.Pci;

/// <summary>Places that binding reads and writes; others than the system's in tests.</summary>
public sealed record BindingPaths
{
    /// <summary>Where sysfs is mounted.</summary>
    public string SysfsRoot { get; init; } = "/sys";

    /// <summary>Where VFIO's device nodes are.</summary>
    public string DeviceDirectory { get; init; } = "/dev/vfio";

    /// <summary>One file a bound device, with the name of the driver that it had. Gone at the next boot, as the bindings are.</summary>
    public string StateDirectory { get; init; } = "/run/xinim/bindings";
}
