using System.Globalization;
using Xinim.Ipc;

namespace Xinim.Vfio.Pci;

/// <summary>Finds the machine's PCI functions in sysfs (Documentation/ABI/testing/sysfs-bus-pci).</summary>
/// <param name="sysfsRoot">Where sysfs is mounted.</param>
public sealed class PciEnumerator(string sysfsRoot = "/sys")
{
    private const int ExtendedConfigSize = 4096;
    private const int BarCount = 6;

    // include/linux/ioport.h
    private const ulong ResourcePorts = 0x100;
    private const ulong ResourceMemory = 0x200;
    private const ulong ResourcePrefetch = 0x2000;
    private const ulong Resource64Bit = 0x100000;

    private readonly string _devices = Path.Combine(sysfsRoot, "bus/pci/devices");
    private readonly string _groups = Path.Combine(sysfsRoot, "kernel/iommu_groups");

    /// <summary>Every function, by address. One that vanishes meanwhile is left out.</summary>
    public IReadOnlyList<PciFunction> Enumerate()
    {
        List<PciFunction> found = [];
        foreach (string name in SysfsFiles.Names(_devices))
        {
            if (PciAddress.TryParse(name, out PciAddress address) && TryFind(address) is { } function) found.Add(function);
        }

        found.Sort((left, right) => left.Address.CompareTo(right.Address));
        return found;
    }

    /// <summary>One function.</summary>
    /// <exception cref="LinuxException">There is no such device.</exception>
    public PciFunction Find(PciAddress address) => TryFind(address) ?? throw new LinuxException($"no PCI device {address}; 'xinim list' shows what there is");

    /// <summary>One function, or null.</summary>
    public PciFunction? TryFind(PciAddress address)
    {
        string path = PathOf(address);
        if (SysfsFiles.ReadNumber(Path.Combine(path, "vendor")) is not { } vendor) return null;
        byte[] config = SysfsFiles.ReadBytes(Path.Combine(path, "config"), ExtendedConfigSize);
        int? group = int.TryParse(SysfsFiles.LinkName(Path.Combine(path, "iommu_group")), CultureInfo.InvariantCulture, out int number) ? number : null;
        return new PciFunction
        {
            Address = address,
            Identity = new PciIdentity(
                (ushort)vendor, (ushort)Number(path, "device"), (ushort)Number(path, "subsystem_vendor"), (ushort)Number(path, "subsystem_device"),
                (uint)Number(path, "class"), (byte)Number(path, "revision")),
            Bars = ParseResources(SysfsFiles.ReadText(Path.Combine(path, "resource")) ?? ""),
            Capabilities = PciCapabilities.Parse(config),
            Driver = SysfsFiles.LinkName(Path.Combine(path, "driver")),
            IommuGroup = group,
            HasNoIommuGroup = group is { } g && SysfsFiles.ReadText(Path.Combine(_groups, g.ToString(CultureInfo.InvariantCulture), "name")) == "vfio-noiommu",
            GroupNeighbours = group is { } n ? [.. Members(n).Where(member => member != address)] : [],
            ResetMethods = (SysfsFiles.ReadText(Path.Combine(path, "reset_method")) ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries),
            NumaNode = int.TryParse(SysfsFiles.ReadText(Path.Combine(path, "numa_node")), CultureInfo.InvariantCulture, out int node) ? node : -1,
        };
    }

    /// <summary>The device's directory.</summary>
    internal string PathOf(PciAddress address) => Path.Combine(_devices, address.ToString());

    /// <summary>
    /// Reads the file <c>resource</c>: a line for each BAR with start, end and flags. The ROM and bridge windows that follow are left out.
    /// </summary>
    internal static IReadOnlyList<PciBar> ParseResources(string text)
    {
        List<PciBar> bars = [];
        string[] lines = text.Split('\n');
        for (int index = 0; index < Math.Min(lines.Length, BarCount); index++)
        {
            string[] fields = lines[index].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length != 3 || !SysfsFiles.TryNumber(fields[0], out ulong start) || !SysfsFiles.TryNumber(fields[1], out ulong end)
                || !SysfsFiles.TryNumber(fields[2], out ulong flags))
            {
                continue;
            }

            // An unused BAR is all zeroes; one whose span is nonsense is as good as none.
            if ((flags & (ResourcePorts | ResourceMemory)) == 0 || end <= start) continue;
            PciBarKind kind = (flags & ResourcePorts) != 0 ? PciBarKind.Ports : PciBarKind.Memory;
            bars.Add(new PciBar(index, kind, (flags & Resource64Bit) != 0, (flags & ResourcePrefetch) != 0, start, end - start + 1));
        }

        return bars;
    }

    private IEnumerable<PciAddress> Members(int group)
    {
        string directory = Path.Combine(_groups, group.ToString(CultureInfo.InvariantCulture), "devices");
        foreach (string name in SysfsFiles.Names(directory))
        {
            if (PciAddress.TryParse(name, out PciAddress address)) yield return address;
        }
    }

    private static ulong Number(string path, string attribute) => SysfsFiles.ReadNumber(Path.Combine(path, attribute)) ?? 0;
}
