using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Commands;

/// <summary><c>xinim disk smart</c>: what a disk says of its own state. Fails where the disk expects to.</summary>
internal static class DiskSmartCommand
{
    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> disk = DiskCommand.Disk();
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new("smart", "Show a disk's health and temperature; ends with 1 where it expects to fail", "disk smart sata0.0", "disk smart sata0.0 --json | jq .temperature") { disk, json };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            using DaemonLink daemon = DaemonLink.Connect(CommonOptions.SocketOf(result));
            ReportedDisk found = ReportedDisk.Find(daemon.Status(), result.GetRequiredValue(disk));
            _ = found.Block;
            if (found.Disk.Health is not { } health) return CommandErrors.Say(environment, $"nothing is known of the health of {found.Disk.Name}: its driver has not read it, or does not", CommandErrors.Failed);
            if (result.GetValue(json)) environment.Output.WriteLine(JsonSerializer.Serialize(health, CommandJson.Default.HealthReport));
            else foreach ((string key, string value) in Lines(health)) environment.Output.WriteLine($"{key + ":",-16}{value}");
            return health.Verdict == BlockVerdict.Failing ? CommandErrors.Say(environment, $"{found.Disk.Name} expects to fail; copy what is on it", CommandErrors.Failed) : 0;
        }));
        return command;
    }

    private static IEnumerable<(string Key, string Value)> Lines(HealthReport health) =>
    [
        ("health", health.Verdict.ToString()),
        ("temperature", health.Temperature is { } degrees ? string.Create(CultureInfo.InvariantCulture, $"{degrees} °C") : "-"),
        ("power-on", string.Create(CultureInfo.InvariantCulture, $"{health.PowerOnHours} hours")),
        ("reallocated", string.Create(CultureInfo.InvariantCulture, $"{health.ReallocatedSectors} sectors")),
        ("pending", string.Create(CultureInfo.InvariantCulture, $"{health.PendingSectors} sectors")),
        ("read", health.ReadAt.ToString("u", CultureInfo.InvariantCulture)),
    ];
}
