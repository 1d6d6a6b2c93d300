using System.Globalization;
using Xinim.Host.Commands;
using Xinim.Vfio.Pci;

namespace Xinim.Host.Tests.Commands;

/// <summary>A machine of a few files: sysfs and procfs with PCI devices, and a kernel that obeys what is written to them.</summary>
internal sealed class FakeMachine : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("xinim-machine-").FullName;
    private readonly List<(string Path, string Text)> _writes = [];

    public FakeMachine()
    {
        Directory.CreateDirectory(Sys("bus/pci/devices"));
        Directory.CreateDirectory(Sys("bus/pci/drivers/vfio-pci"));
        Directory.CreateDirectory(Path.Combine(_root, "drivers"));
        Directory.CreateDirectory(Path.Combine(_root, "proc"));
        File.WriteAllText(Path.Combine(_root, "drivers/e1000.json"), """
            { "name": "e1000", "version": "1", "executable": "xinim-driver", "class": "network", "matches": ["8086:100e"] }
            """);
    }

    public StringWriter Output { get; } = new();

    public StringWriter Error { get; } = new();

    public IReadOnlyList<(string Path, string Text)> Writes => _writes;

    /// <summary>Runs a command line on this machine.</summary>
    public int Run(params string[] arguments) => XinimCommand.Run(arguments, new CommandEnvironment
    {
        Output = Output,
        Error = Error,
        IsTerminal = false,
        Width = null,
        Paths = new BindingPaths { SysfsRoot = Sys(""), DeviceDirectory = Path.Combine(_root, "dev"), StateDirectory = Path.Combine(_root, "state") },
        ProcRoot = Path.Combine(_root, "proc"),
        DriverFolder = Path.Combine(_root, "drivers"),
        WriteAttribute = Write,
        Stop = TestContext.Current.CancellationToken,
    });

    public string[] Lines => Output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>The one line that went wrong.</summary>
    public string ErrorLine => Assert.Single(Error.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries));

    public void AddDevice(string address, string ids, string classCode, int? group, string? driver)
    {
        string path = Sys($"bus/pci/devices/{address}");
        Directory.CreateDirectory(path);
        string[] parts = ids.Split(':');
        foreach ((string name, string text) in ((string, string)[])[("vendor", parts[0]), ("device", parts[1]), ("class", classCode), ("subsystem_vendor", "0"), ("subsystem_device", "0"), ("revision", "3")])
            File.WriteAllText(Path.Combine(path, name), $"0x{text}\n");
        if (driver is not null) SetDriver(address, driver);
        if (group is not { } number) return;
        string members = Sys($"kernel/iommu_groups/{number}/devices");
        Directory.CreateDirectory(members);
        File.CreateSymbolicLink(Path.Combine(path, "iommu_group"), Sys($"kernel/iommu_groups/{number}"));
        File.CreateSymbolicLink(Path.Combine(members, address), path);
    }

    public void AddHugePages(long kilobytes, long total)
    {
        string path = Sys($"kernel/mm/hugepages/hugepages-{kilobytes}kB");
        Directory.CreateDirectory(path);
        File.WriteAllText(Path.Combine(path, "nr_hugepages"), $"{total}\n");
        File.WriteAllText(Path.Combine(path, "free_hugepages"), $"{total}\n");
    }

    /// <summary>Most pages that this kernel gives.</summary>
    public long HugePageLimit { get; set; } = long.MaxValue;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private void SetDriver(string address, string? driver)
    {
        string link = Sys($"bus/pci/devices/{address}/driver");
        File.Delete(link);
        if (driver is null) return;
        Directory.CreateDirectory(Sys($"bus/pci/drivers/{driver}"));
        File.CreateSymbolicLink(link, Sys($"bus/pci/drivers/{driver}"));
    }

    private void Write(string path, string text)
    {
        _writes.Add((path, text));
        string name = Path.GetFileName(path);
        if (name == "unbind") SetDriver(text, null);
        else if (name == "bind") SetDriver(text, Path.GetFileName(Path.GetDirectoryName(path)));
        else if (name == "drivers_probe") SetDriver(text, File.ReadAllText(Sys($"bus/pci/devices/{text}/driver_override")).Trim());
        else if (name == "nr_hugepages") AddHugePages(2048, Math.Min(HugePageLimit, long.Parse(text, CultureInfo.InvariantCulture)));
        else File.WriteAllText(path, text);
    }

    private string Sys(string path) => Path.Combine(_root, "sys", path);
}
