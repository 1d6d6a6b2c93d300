using System.Globalization;
using Xinim.Ipc;
using Xinim.Vfio.Pci;

namespace Xinim.Vfio.Tests.Pci;

/// <summary>A sysfs and procfs in a temporary directory, and a kernel that binds and unbinds drivers in it when attributes are written.</summary>
internal sealed class FakeSysfs : IDisposable
{
    private readonly HashSet<string> _refusing = [];
    private int _vainProbes;
    private string? _quicker;

    public FakeSysfs()
    {
        Root = Directory.CreateTempSubdirectory("xinim-sysfs-").FullName;
        foreach (string directory in new[] { "bus/pci/devices", "bus/pci/drivers", "kernel/iommu_groups", "class/net", "class/block", "proc/self" })
            Directory.CreateDirectory(PathOf(directory));
        File.WriteAllText(PathOf("proc/self/mountinfo"), "22 1 0:20 / / rw - tmpfs tmpfs rw\n");
    }

    public string Root { get; }

    public PciEnumerator Devices => new(Root);

    /// <summary>Everything that was written, as "path relative to the root=text".</summary>
    public List<string> Writes { get; } = [];

    public BindingPaths Paths => new() { SysfsRoot = Root, DeviceDirectory = PathOf("dev"), StateDirectory = PathOf("state") };

    public DriverBinding Binding(Func<string, bool>? hasAddress = null) => new(Paths, Use(hasAddress), Write);

    public DeviceUse Use(Func<string, bool>? hasAddress = null) => new(Root, PathOf("proc"), hasAddress ?? (_ => false));

    public string PathOf(string path) => Path.Combine(Root, path);

    public void AddDriver(string name) => Directory.CreateDirectory(PathOf("bus/pci/drivers/" + name));

    /// <summary>The next probes find no driver: the kernel is still adding the device.</summary>
    public void LetProbesFail(int probes) => _vainProbes = probes;

    /// <summary>The kernel has given the device to this driver before the override could tell it otherwise.</summary>
    public void LetKernelBeQuicker(string driver)
    {
        AddDriver(driver);
        _quicker = driver;
    }

    /// <summary>The driver takes no device.</summary>
    public void LetDriverRefuse(string name) => _refusing.Add(name);

    public PciAddress AddDevice(string address, ushort vendor, ushort device, string? driver = null, int? group = null, byte[]? config = null, string resource = "", uint classCode = 0x020000)
    {
        string path = PathOf("bus/pci/devices/" + address);
        Directory.CreateDirectory(path);
        Set(path, "vendor", $"0x{vendor:x4}");
        Set(path, "device", $"0x{device:x4}");
        Set(path, "subsystem_vendor", "0x1af4");
        Set(path, "subsystem_device", "0x1100");
        Set(path, "class", $"0x{classCode:x6}");
        Set(path, "revision", "0x03");
        Set(path, "resource", resource);
        Set(path, "numa_node", "-1");
        Set(path, "driver_override", "(null)");
        File.WriteAllBytes(Path.Combine(path, "config"), config ?? new byte[256]);
        if (group is { } number)
        {
            string members = PathOf(string.Create(CultureInfo.InvariantCulture, $"kernel/iommu_groups/{number}/devices"));
            Directory.CreateDirectory(members);
            File.CreateSymbolicLink(Path.Combine(members, address), path);
            File.CreateSymbolicLink(Path.Combine(path, "iommu_group"), Path.GetDirectoryName(members)!);
        }

        if (driver is not null)
        {
            AddDriver(driver);
            Link(address, driver);
        }

        return PciAddress.Parse(address);
    }

    /// <summary>A network interface or disk beneath a device.</summary>
    public string AddClass(string kind, string name, string address)
    {
        string path = PathOf($"devices/pci0000:00/{address}/{kind}/{name}");
        Directory.CreateDirectory(path);
        File.CreateSymbolicLink(PathOf($"class/{kind}/{name}"), $"../../devices/pci0000:00/{address}/{kind}/{name}");
        return path;
    }

    public static void Set(string path, string attribute, string value) => File.WriteAllText(Path.Combine(path, attribute), value + "\n");

    /// <summary>The fake kernel.</summary>
    public void Write(string path, string text)
    {
        Writes.Add($"{Path.GetRelativePath(Root, path)}={text.Trim()}");
        if (!File.Exists(path) && Path.GetFileName(path) is not ("bind" or "unbind" or "drivers_probe"))
            throw new LinuxException($"cannot open {path} for writing", 2);
        switch (Path.GetFileName(path))
        {
            case "driver_override":
                File.WriteAllText(path, text.Trim() is { Length: > 0 } name ? name : "(null)");
                break;
            case "unbind":
                File.Delete(PathOf($"bus/pci/devices/{text}/driver"));
                break;
            case "bind":
                Link(text, Path.GetFileName(Path.GetDirectoryName(path))!);
                break;
            case "drivers_probe" when _quicker is { } quicker:
                _quicker = null;
                Link(text, quicker);
                break;
            case "drivers_probe" when _vainProbes > 0:
                _vainProbes--;
                break;
            case "drivers_probe":
                string wanted = File.ReadAllText(PathOf($"bus/pci/devices/{text}/driver_override")).Trim();
                if (wanted != "(null)") Link(text, wanted);
                break;
        }
    }

    public void Dispose() => Directory.Delete(Root, recursive: true);

    private void Link(string address, string driver)
    {
        if (!_refusing.Contains(driver)) File.CreateSymbolicLink(PathOf($"bus/pci/devices/{address}/driver"), PathOf("bus/pci/drivers/" + driver));
    }
}
