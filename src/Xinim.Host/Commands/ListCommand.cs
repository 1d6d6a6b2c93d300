using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Xinim.Supervisor.Manifests;

namespace Xinim.Host.Commands;

/// <summary><c>xinim list</c>: the machine's devices, and which of them can be driven.</summary>
internal static class ListCommand
{
    private static readonly string[] Headers = ["ADDRESS", "IDS", "CLASS", "GROUP", "BOUND TO", "DRIVER", "USABLE"];

    public static Command Create(CommandEnvironment environment)
    {
        Option<bool> all = new("--all") { Description = "Also show devices that no driver is installed for" };
        Option<bool> json = CommonOptions.Json();
        Option<string?> drivers = CommonOptions.Drivers();
        CliCommand command = new("list", "List the machine's devices that a driver is installed for, and say what keeps one from being used", "list", "list --all --json") { all, json, drivers };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            ManifestStore manifests = new(result.GetValue(drivers) ?? environment.DriverFolder);
            IReadOnlyList<ListedDevice> devices = DeviceList.Read(environment, manifests, result.GetValue(all));
            if (result.GetValue(json)) environment.Output.WriteLine(JsonSerializer.Serialize(devices, CommandJson.Default.IReadOnlyListListedDevice));
            else Print(environment, devices, result.GetValue(all));
            return 0;
        }));
        return command;
    }

    private static void Print(CommandEnvironment environment, IReadOnlyList<ListedDevice> devices, bool all)
    {
        if (devices.Count == 0)
        {
            environment.Output.WriteLine(all ? "no PCI devices" : "no PCI device that a driver is installed for; 'xinim list --all' shows the others");
            return;
        }

        CommandTable.Write(environment, Headers, devices.Select(Row));
        foreach (ListedDevice device in devices.Where(device => device.Remedy is not null && device.Driver is not null))
            environment.Output.WriteLine($"{device.Address}: {device.Remedy}");
    }

    private static IReadOnlyList<string> Row(ListedDevice device) =>
    [
        device.Address, device.Ids, device.Class, device.IommuGroup?.ToString(CultureInfo.InvariantCulture) ?? "-", device.BoundTo ?? "-", device.Driver ?? "-",
        device.Usable ? "yes" : $"no: {device.Problem}",
    ];
}
