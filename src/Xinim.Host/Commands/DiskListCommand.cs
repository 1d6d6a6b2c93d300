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
        CliCommand command = new("list", "List the daemon's disks", "disk list", "disk list --json | jq '.[].bytes'") { json };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            using DaemonLink daemon = DaemonLink.Connect(CommonOptions.SocketOf(result));
            List<DeviceReport> disks = [.. daemon.Status().Devices.Where(device => device.Block is not null)];
            if (result.GetValue(json)) environment.Output.WriteLine(JsonSerializer.Serialize([.. disks.Select(ListedDisk.Of)], CommandJson.Default.IReadOnlyListListedDisk));
            else if (disks.Count == 0) environment.Output.WriteLine("no disks");
            else CommandTable.Write(environment, Headers, disks.Select(Row));
            return 0;
        }));
        return command;
    }

    private static IReadOnlyList<string> Row(DeviceReport device)
    {
        BlockReport disk = device.Block!;
        return
        [
            device.Name, device.Device, device.Driver, device.State.ToString(), BlockReport.Size(disk.Bytes), $"{disk.BlockBytes}", disk.ReadOnly ? "ro" : "rw",
            disk.Serial.Length == 0 ? "-" : disk.Serial, disk.Model.Length == 0 ? "-" : disk.Model, device.Client ?? "-",
        ];
    }
}

/// <summary>What <c>xinim disk list --json</c> prints of each.</summary>
internal sealed record ListedDisk(string Name, string Device, string Driver, string State, ulong Bytes, uint BlockBytes, bool ReadOnly, string Serial, string Model, string? Client)
{
    public static ListedDisk Of(DeviceReport device) => new(
        device.Name, device.Device, device.Driver, device.State.ToString(), device.Block!.Bytes, device.Block.BlockBytes, device.Block.ReadOnly, device.Block.Serial, device.Block.Model, device.Client);
}
