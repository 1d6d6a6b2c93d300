using Xinim.Faults.Faults;

namespace Xinim.Faults.Targets;

/// <summary>A kind of device that campaigns are run on, and the drivers that serve it.</summary>
/// <param name="Driver">Name of the product's.</param>
/// <param name="Class">As in manifests.</param>
/// <param name="Matches">Vendor and device ids.</param>
/// <param name="Rings">Between driver and client.</param>
internal sealed record DeviceKind(string Driver, string Class, string[] Matches, RingMap Rings)
{
    public static DeviceKind E1000 { get; } = new("e1000", "network", ["8086:100e", "8086:100f", "8086:100c", "8086:10d3"], RingMap.Network);

    public static DeviceKind VirtioNet { get; } = new("virtio-net", "network", ["1af4:1041", "1af4:1000"], RingMap.Network);

    public static DeviceKind VirtioBlk { get; } = new("virtio-blk", "block", ["1af4:1042", "1af4:1001"], RingMap.Block);

    /// <summary>A controller; its first disk has the client.</summary>
    public static DeviceKind Ahci { get; } = new("ahci", "block", ["8086:2922"], RingMap.Block);

    public static DeviceKind VirtioConsole { get; } = new("virtio-console", "console", ["1af4:1043", "1af4:1003"], RingMap.Console);

    /// <summary>Name of the driver that does on command what none should.</summary>
    public string Faulty => $"{Driver}-faulty";

    public bool IsDisk => Class == "block";

    /// <summary>What clients call the first unit of a device.</summary>
    public string UnitOf(string name) => this == Ahci ? $"{name}.0" : name;

    /// <summary>What a device of the daemon's configuration is.</summary>
    /// <exception cref="CampaignException">Nothing that campaigns know.</exception>
    public static DeviceKind Of(string device)
    {
        string what = device.Contains(':', StringComparison.Ordinal) && File.Exists($"/sys/bus/pci/devices/{device}/device") ? IdOf(device) : device.Replace("vhost-user", "virtio", StringComparison.Ordinal).Replace("virtio-serial", "virtio-console", StringComparison.Ordinal);
        DeviceKind[] all = [E1000, VirtioNet, VirtioBlk, VirtioConsole, Ahci];
        return all.FirstOrDefault(kind => what.Contains(kind.Driver, StringComparison.Ordinal) || kind.Matches.Contains(what))
            ?? throw new CampaignException($"--device {device}: campaigns are for devices of {string.Join(", ", all.Select(kind => kind.Driver))}");
    }

    private static string IdOf(string address)
    {
        string Read(string name) => File.ReadAllText($"/sys/bus/pci/devices/{address}/{name}").Trim()[2..];
        return $"{Read("vendor")}:{Read("device")}";
    }
}
