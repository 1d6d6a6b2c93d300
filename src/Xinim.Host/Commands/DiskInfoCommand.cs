using System.CommandLine;
using System.Globalization;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Commands;

/// <summary><c>xinim disk info</c>: what one disk is and can do.</summary>
internal static class DiskInfoCommand
{
    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> disk = DiskCommand.Disk();
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new("info", "Show what a disk is, what it can do and what it has done", "disk info disk0", "disk info disk0 --json") { disk, json };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            using DaemonLink daemon = DaemonLink.Connect(CommonOptions.SocketOf(result));
            ReportedDisk found = ReportedDisk.Find(daemon.Status(), result.GetRequiredValue(disk));
            BlockReport block = found.Block;
            if (result.GetValue(json)) environment.Output.WriteLine((found.Device with { Disks = [found.Disk] }).ToJson());
            else foreach ((string key, string value) in Lines(found.Device, found.Disk, block)) environment.Output.WriteLine($"{key + ":",-16}{value}");
            return 0;
        }));
        return command;
    }

    private static IEnumerable<(string Key, string Value)> Lines(DeviceReport device, DiskReport one, BlockReport disk) =>
    [
        ("name", one.Name), ("device", $"{device.Device} ({device.Ids})"), ("driver", $"{device.Driver}, {device.State}, generation {device.Generation}"),
        ("client", one.Client ?? "-"),
        ("model", disk.Model), ("serial", disk.Serial),
        ("size", string.Create(CultureInfo.InvariantCulture, $"{BlockReport.Size(disk.Bytes)} ({disk.Bytes} bytes, {disk.Blocks} blocks)")),
        ("blocks", string.Create(CultureInfo.InvariantCulture, $"{disk.BlockBytes} bytes logical, {disk.PhysicalBlockBytes} physical")),
        ("mode", disk.ReadOnly ? "read-only" : "read-write"), ("write cache", disk.WriteCache ? "on" : "off"),
        ("features", disk.Features.Count == 0 ? "-" : string.Join(", ", disk.Features)),
        ("request", string.Create(CultureInfo.InvariantCulture, $"at most {disk.MaxRequestBytes} bytes in {disk.MaxSegments} pieces; {disk.Queues} × {disk.QueueDepth} at a time")),
        ("counters", string.Join(", ", one.Counters.Select(counter => $"{counter.Key} {counter.Value}"))),
    ];
}
