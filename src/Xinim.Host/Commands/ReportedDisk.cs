using Xinim.Net.Ports;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Commands;

/// <summary>A disk of a report, with the device that it belongs to.</summary>
internal sealed record ReportedDisk(DeviceReport Device, DiskReport Disk)
{
    /// <summary>Ports without a disk too.</summary>
    public static IEnumerable<ReportedDisk> All(StatusReport report) => report.Devices.SelectMany(device => device.Disks ?? [], (device, disk) => new ReportedDisk(device, disk));

    /// <summary>By name, or by its device's address.</summary>
    /// <exception cref="NetworkPortException">There is none.</exception>
    public static ReportedDisk Find(StatusReport report, string name)
    {
        ReportedDisk[] disks = [.. All(report)];
        if (Array.Find(disks, disk => disk.IsCalled(name)) is { } found) return found;
        DeviceReport? device = report.Devices.FirstOrDefault(device => device.Name == name || device.Device == name || device.Device == $"0000:{name}");
        throw new NetworkPortException(device is null ? $"there is no disk '{name}'; there are {Names(disks)}"
            : device.Disks is null ? $"{name} is no disk but a {device.Class} device"
            : $"{name} is a controller and no disk; there are {Names(disks.Where(disk => disk.Device == device))}");
    }

    /// <exception cref="NetworkPortException">The port is empty.</exception>
    public BlockReport Block => Disk.Block ?? throw new NetworkPortException($"{Disk.Name} has no disk at the moment");

    private static string Names(IEnumerable<ReportedDisk> disks)
        => string.Join(", ", disks.Where(disk => disk.Disk.Block is not null).Select(disk => disk.Disk.Name)) is { Length: > 0 } names ? names : "none";

    private bool IsCalled(string name)
    {
        string port = Disk.Port is { } number ? $".{number}" : "";
        return Disk.Name == name || Device.Device + port == name || Device.Device + port == $"0000:{name}";
    }
}
