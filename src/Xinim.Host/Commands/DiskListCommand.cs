using System.CommandLine;
using System.Text.Json;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Commands;

/// <summary><c>xinim disk list</c>: the daemon's disks.</summary>
internal static class DiskListCommand
{
    private static readonly string[] Headers = ["NAME", "DEVICE", "DRIVER", "STATE", "SIZE", "BLOCK", "MODE", "SERIAL", "MODEL", "CLIENT"];

    public static Command Create(CommandEnvironment environment)
    {
        Option<bool> json = CommonOptions.Json();
        Option<bool> all = new("--all") { Description = "Ports without a disk too" };
        CliCommand command = new("list", "List the daemon's disks", "disk list", "disk list --json | jq '.[].bytes'") { all, json };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            using DaemonLink daemon = DaemonLink.Connect(CommonOptions.SocketOf(result));
            List<ReportedDisk> disks = [.. ReportedDisk.All(daemon.Status()).Where(disk => disk.Disk.Block is not null || result.GetValue(all))];
            if (result.GetValue(json)) environment.Output.WriteLine(JsonSerializer.Serialize([.. disks.Select(ListedDisk.Of)], CommandJson.Default.IReadOnlyListListedDisk));
            else if (disks.Count == 0) environment.Output.WriteLine("no disks");
            else CommandTable.Write(environment, Headers, disks.Select(Row));
            return 0;
        }));
        return command;
    }

    private static IReadOnlyList<string> Row(ReportedDisk one)
    {
        (DeviceReport device, DiskReport disk) = one;
        string[] start = [disk.Name, device.Device, device.Driver, device.State.ToString()];
        return disk.Block is not { } block ? [.. start, "-", "-", "-", "-", "-", "-"] :
        [
            .. start, BlockReport.Size(block.Bytes), $"{block.BlockBytes}", block.ReadOnly ? "ro" : "rw",
            block.Serial.Length == 0 ? "-" : block.Serial, block.Model.Length == 0 ? "-" : block.Model, disk.Client ?? "-",
        ];
    }
}

/// <summary>What <c>xinim disk list --json</c> prints of each; of a port without a disk there is no more than where it is.</summary>
internal sealed record ListedDisk(
    string Name, string Device, uint? Port, string Driver, string State, ulong? Bytes, uint? BlockBytes, bool? ReadOnly, string? Serial, string? Model, string? Client)
{
    public static ListedDisk Of(ReportedDisk one)
    {
        (DeviceReport device, DiskReport disk) = one;
        return new ListedDisk(
            disk.Name, device.Device, disk.Port, device.Driver, device.State.ToString(), disk.Block?.Bytes, disk.Block?.BlockBytes, disk.Block?.ReadOnly, disk.Block?.Serial, disk.Block?.Model, disk.Client);
    }
}
