using Xinim.Faults.Traffic;
using Xinim.TestKit.Virtio;

namespace Xinim.Faults.Targets;

/// <summary>A device that a daemon is to serve for a campaign.</summary>
/// <param name="Device">As in the daemon's configuration.</param>
/// <param name="Faulty">With the driver that does what none should.</param>
/// <param name="Load">Traffic for it, begun once the daemon runs; null for a NIC that is itself the other end of a cable.</param>
internal sealed record DevicePlan(string Name, string Device, DeviceKind Kind, bool Faulty, Func<DaemonTarget, Workload>? Load) : IDisposable
{
    private const string PeerName = "peer0";
    private const string BackEnd = "vhost-user-blk";
    private static readonly Dictionary<string, string> s_models = new() { ["virtio-net"] = "remote:virtio-net-pci", ["virtio-blk"] = "remote:virtio-blk-pci", ["ahci"] = "remote:ich9-ahci", ["virtio-console"] = "remote:virtio-serial-pci" };

    // scripts/lab.sh; of the NICs scripts/faults.sh connects the cables.
    private static readonly Dictionary<string, string> s_inLab = new() { ["e1000"] = "0000:00:0c.0,0000:00:0d.0", ["virtio-net"] = "0000:00:0e.0,0000:00:0f.0", ["virtio-blk"] = "0000:00:10.0", ["ahci"] = "0000:00:06.0", ["virtio-console"] = "0000:00:09.0" };

    /// <summary>QEMU's, for a device model of a NIC.</summary>
    public string? Netdev { get; private init; }

    /// <summary>Image, for a device model of a disk.</summary>
    public string? Drive { get; private init; }

    /// <summary>Socket of the port of a console's device model.</summary>
    public string? Port { get; private init; }

    /// <summary>What has to be there as long as the device.</summary>
    private IDisposable? Owned { get; init; }

    /// <summary>Name of the driver's manifest.</summary>
    public string Driver => Faulty ? Kind.Faulty : Kind.Driver;

    /// <summary>Whether its device is a process of QEMU's that the daemon starts.</summary>
    public bool IsModel => Device.StartsWith("remote:", StringComparison.Ordinal);

    /// <summary>Whether it is a function of this machine, on VFIO.</summary>
    public bool IsFunction => Directory.Exists($"/sys/bus/pci/devices/{Device}");

    /// <summary>The devices of a target.</summary>
    /// <param name="both">With one for the faulty driver.</param>
    public static IReadOnlyList<DevicePlan> For(FaultsOptions options, bool both)
    {
        WorkloadOptions workload = WorkloadOptions.For(options);
        if (options.Target == "vfio") return InLab(s_inLab.GetValueOrDefault(options.Device, options.Device), workload);
        string device = s_models.GetValueOrDefault(options.Device, options.Device);
        (string prefix, Func<string, string, bool, WorkloadOptions, DevicePlan> of) = DeviceKind.Of(device).Class switch
        {
            "block" => ("disk", (Func<string, string, bool, WorkloadOptions, DevicePlan>)Disk),
            "console" => ("con", Console),
            _ => ("net", Nic),
        };
        DevicePlan make(string name, bool faulty) => of(name, device, faulty, workload);
        return [make($"{prefix}0", false), .. both ? [make($"{prefix}1", true)] : Array.Empty<DevicePlan>()];
    }

    public void Dispose() => Owned?.Dispose();

    private static IReadOnlyList<DevicePlan> InLab(string device, WorkloadOptions workload)
    {
        string[] addresses = device.Split(',');
        DeviceKind kind = DeviceKind.Of(addresses[0]);
        if (kind.IsDisk && addresses.Length == 1) return [new DevicePlan("disk0", device, kind, false, daemon => new DiskWorkload(kind.UnitOf("disk0"), daemon.Socket, workload))];
        if (kind == DeviceKind.VirtioConsole && addresses.Length == 1) return [new DevicePlan("con0", device, kind, false, daemon => new ConsoleWorkload("con0", daemon.Socket, workload))];
        if (addresses.Length != 2) throw new CampaignException($"--device {device}: name two NICs whose cables are connected, such as 0000:00:02.0,0000:00:03.0, or one disk or console");
        return
        [
            new DevicePlan("net0", addresses[0], kind, false, daemon => new NetworkWorkload("net0", daemon.Socket, new PortLine(PeerName, daemon.Socket), workload)),
            new DevicePlan(PeerName, addresses[1], DeviceKind.Of(addresses[1]), false, null),
        ];
    }

    private static DevicePlan Nic(string name, string device, bool faulty, WorkloadOptions workload)
    {
        UdpLine line = new();
        return new DevicePlan(name, device, DeviceKind.Of(device), faulty, daemon => new NetworkWorkload(name, daemon.Socket, line, workload)) { Netdev = line.Netdev };
    }

    private static DevicePlan Console(string name, string device, bool faulty, WorkloadOptions workload)
    {
        EchoSocket echo = new();
        return new DevicePlan(name, device, DeviceKind.VirtioConsole, faulty, Begin) { Port = echo.Path, Owned = echo };

        ConsoleWorkload Begin(DaemonTarget daemon)
        {
            echo.Start();
            return new ConsoleWorkload(name, daemon.Socket, workload);
        }
    }

    private static DevicePlan Disk(string name, string device, bool faulty, WorkloadOptions workload)
    {
        DiskFolder folder = new(DiskWorkload.DiskBytes);
        string? drive = device == BackEnd ? null : folder.Image;
        if (device == BackEnd) device = $"{BackEnd}:{folder.StartBackEnd()}";
        DeviceKind kind = DeviceKind.Of(device);
        return new DevicePlan(name, device, kind, faulty, daemon => new DiskWorkload(kind.UnitOf(name), daemon.Socket, workload)) { Drive = drive, Owned = folder };
    }

    /// <summary>A folder with an image, and a back end on it where one is wished.</summary>
    private sealed class DiskFolder : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-faults-disk-");
        private readonly StorageDaemon _storage;

        public DiskFolder(long bytes)
        {
            _storage = new StorageDaemon(_folder.FullName, (int)(bytes / StorageDaemon.SectorBytes));
            // Device models run as users of their own where the campaign is root.
            File.SetUnixFileMode(_folder.FullName, (UnixFileMode)0b111_101_101);
            File.SetUnixFileMode(Image, (UnixFileMode)0b110_110_110);
        }

        public string Image => _storage.Image;

        public string StartBackEnd()
        {
            _storage.Start();
            return _storage.Socket;
        }

        public void Dispose()
        {
            _storage.Dispose();
            _folder.Delete(recursive: true);
        }
    }
}
