using System.CommandLine;
using System.Globalization;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Commands;

/// <summary><c>xinim status</c>: the daemon's devices and drivers.</summary>
internal static class StatusCommand
{
    private static readonly string[] Headers =
        ["NAME", "DEVICE", "IDS", "DRIVER", "PID", "UID", "STATE", "GEN", "RESTARTS", "LINK/SIZE", "RX/READS", "TX/WRITES", "MISSED", "ERRORS", "CLIENT", "DMA"];

    public static Command Create(CommandEnvironment environment)
    {
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new("status", "Show the daemon's devices, their drivers and what they have done", "status", "status --json | jq '.devices[].generation'") { json };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            using DaemonLink daemon = DaemonLink.Connect(CommonOptions.SocketOf(result));
            StatusReport report = daemon.Status();
            if (result.GetValue(json)) environment.Output.WriteLine(report.ToJson());
            else Print(environment, report);
            return 0;
        }));
        return command;
    }

    private static void Print(CommandEnvironment environment, StatusReport report)
    {
        environment.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"daemon {report.DaemonPid}, up {TimeSpan.FromSeconds(Math.Floor(report.UptimeSeconds)):c}"));
        if (report.Devices.Count == 0) environment.Output.WriteLine("no devices; bind one with 'xinim bind ADDRESS' and start the daemon again");
        else CommandTable.Write(environment, Headers, report.Devices.SelectMany(device => Ports(device).Prepend(Row(device))));
        foreach (DeviceReport device in report.Devices.Where(device => device.WaitingFor is not null))
            environment.Output.WriteLine($"{device.Name}: {device.WaitingFor}");
        foreach (DeviceReport device in report.Devices.Where(device => device.LastFault is not null))
            environment.Output.WriteLine($"{device.Name}: last fault: {device.LastFault}");
    }

    private static IReadOnlyList<string> Row(DeviceReport device) =>
    [
        device.Name, device.Device, device.Ids, device.Driver, device.Pid is { } pid ? Text((ulong)pid) : "-", Text(device.User), device.State.ToString(),
        Text(device.Generation), Text(device.Restarts), Size(device), Count(device.Counters, "rxFrames", "reads"), Count(device.Counters, "txFrames", "writes"), device.Mac is null ? "-" : Text(device.Counters.GetValueOrDefault("rxMissed")),
        Text(device.Errors), device.Disks is { Count: > 1 } ? "-" : device.Client ?? "-", device.Iommu ? "IOMMU" : "UNSAFE DMA",
    ];

    /// <summary>A row for each disk of a controller.</summary>
    private static IEnumerable<IReadOnlyList<string>> Ports(DeviceReport device)
    {
        foreach (DiskReport disk in device.Disks ?? [])
        {
            if (disk is not { Port: { } port, Block: { } block }) continue;
            yield return
            [
                disk.Name, $"port {port}", "-", "-", "-", "-", "-", "-", "-", BlockReport.Size(block.Bytes), Count(disk.Counters, "reads"), Count(disk.Counters, "writes"), "-",
                Text(disk.Errors), disk.Client ?? "-", "-",
            ];
        }
    }

    private static string Size(DeviceReport device) => device.Link ?? (device.Block is { } disk ? BlockReport.Size(disk.Bytes)
        : device.Disks is { Count: > 0 } disks ? $"{disks.Count(one => one.Block is not null)}/{disks.Count} disks"
        : device.Ports is { } ports ? $"{ports.Count} ports" : "-");

    /// <summary>The first of the counters that a device of its class has.</summary>
    private static string Count(IReadOnlyDictionary<string, ulong> counters, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            if (counters.TryGetValue(name, out ulong count)) return Text(count);
        }

        return "-";
    }

    private static string Text(ulong number) => number.ToString(CultureInfo.InvariantCulture);
}
