using Xinim.Supervisor.Manifests;
using Xinim.Vfio.Pci;

namespace Xinim.Host.Commands;

/// <summary>A device as <c>xinim list</c> shows it.</summary>
/// <param name="BoundTo">The kernel's driver.</param>
/// <param name="Driver">Ours.</param>
/// <param name="Problem">Why it cannot be used now; null where it can.</param>
/// <param name="Remedy">What helps.</param>
internal sealed record ListedDevice(
    string Address, string Ids, string Class, int? IommuGroup, string? BoundTo, string? Driver, bool Usable, string? Problem, string? Remedy);

/// <summary>Looks at the machine's devices with a driver's eyes.</summary>
internal static class DeviceList
{
    public static IReadOnlyList<ListedDevice> Read(CommandEnvironment environment, ManifestStore manifests, bool all)
    {
        PciEnumerator devices = new(environment.Paths.SysfsRoot);
        DeviceUse use = new(environment.Paths.SysfsRoot, environment.ProcRoot);
        return
        [
            .. devices.Enumerate().Select(function => (Function: function, Manifest: manifests.For(function.Identity)))
                .Where(device => all || device.Manifest is not null)
                .Select(device => Describe(devices, use, device.Function, device.Manifest)),
        ];
    }

    private static ListedDevice Describe(PciEnumerator devices, DeviceUse use, PciFunction function, DriverManifest? manifest)
    {
        (string? problem, string? remedy) = manifest is null ? ("no driver is installed for it", null) : Judge(devices, use, function);
        return new ListedDevice(
            function.Address.ToString(), function.Identity.ToString(), PciClasses.NameOf(function.Identity.ClassCode), function.IommuGroup, function.Driver,
            manifest?.Name, problem is null, problem, remedy);
    }

    private static (string? Problem, string? Remedy) Judge(PciEnumerator devices, DeviceUse use, PciFunction function)
    {
        if (function.IommuGroup is null)
            return ("no IOMMU is active", "boot with 'intel_iommu=on' or 'amd_iommu=on' and switch VT-d or AMD-Vi on in the firmware");
        if (function.HasNoIommuGroup)
            return ("no IOMMU stands before it", "'xinim daemon --allow-unsafe-dma' would use it, and it could read and write all memory");
        GroupViability group = GroupViability.Check(devices, function);
        if (!group.IsViable) return ($"group {function.IommuGroup} is shared with {string.Join(", ", group.Blockers.Select(blocker => blocker.Address))}", group.Explain());
        if (function.Driver == DriverBinding.VfioDriver) return (null, null);
        IReadOnlyList<string> uses = use.Find(function.Address);
        if (uses.Count != 0) return ("in use by the system", $"{string.Join("; ", uses)}; free it, then 'xinim bind {function.Address}'");
        return ($"not bound to {DriverBinding.VfioDriver}", $"'xinim bind {function.Address}'");
    }
}
