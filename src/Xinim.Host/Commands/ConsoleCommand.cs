using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Xinim.Serial.Ports;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Commands;

/// <summary><c>xinim console</c>: the ports of a console device, on a terminal, in a script, or as pseudo-terminals.</summary>
internal static class ConsoleCommand
{
    private static readonly string[] Headers = ["PORT", "NAME", "KIND", "OTHER SIDE", "SIZE", "CLIENT"];

    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> name = new("NAME") { Description = "Name such as con0, or PCI address, of a console device of the daemon" };
        Option<string[]> ports = new("--port") { Description = "Name or number of a port (default: the console, or the only one)", HelpName = "P" };
        Option<bool> list = new("--list") { Description = "Show the ports" };
        Option<bool> json = CommonOptions.Json();
        Option<bool> pty = new("--pty") { Description = "Make each port a pseudo-terminal for other programs, until interrupted" };
        Option<bool> all = new("--all") { Description = "With --pty: all ports that there are" };
        Option<string?> link = new("--link") { Description = "With --pty and one port: a symbolic link to the pseudo-terminal", HelpName = "PATH" };
        Option<bool> follow = new("--follow") { Description = "Go on after the end of a redirected input, until interrupted" };
        CliCommand command = new(
            "console", "Attach to a port of a console device; Ctrl-] q leaves",
            "console con0", "console con0 --list", "echo hello | xinim console con0 --port org.example.0", "console con0 --port 1 --pty --link /tmp/port1")
        {
            name, ports, list, json, pty, all, link, follow,
        };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            Wish wish = new(result.GetRequiredValue(name), result.GetValue(ports) ?? [], CommonOptions.SocketOf(result));
            Check(result.GetValue(pty), result.GetValue(all), result.GetValue(link), result.GetValue(list), result.GetValue(json), wish.Ports.Length);
            if (result.GetValue(list)) return List(environment, wish, result.GetValue(json));
            return result.GetValue(pty) ? Expose(environment, wish, result.GetValue(all), result.GetValue(link)) : Attach(environment, wish, result.GetValue(follow));
        }));
        return command;
    }

    private static void Check(bool pty, bool all, string? link, bool list, bool json, int ports)
    {
        if (!pty && (all || link is not null)) throw new UsageException("--all and --link belong to --pty");
        if (all && ports != 0) throw new UsageException("--all and --port exclude each other");
        if (link is not null && (all || ports > 1)) throw new UsageException("--link is for one port");
        if (json && !list) throw new UsageException("--json belongs to --list");
        if (!pty && ports > 1) throw new UsageException("one port at a time; several can be had with --pty");
    }

    private static int List(CommandEnvironment environment, Wish wish, bool json)
    {
        IReadOnlyList<ConsolePortReport> ports = PortsOf(wish);
        if (json) environment.Output.WriteLine(JsonSerializer.Serialize(ports, CommandJson.Default.IReadOnlyListConsolePortReport));
        else if (ports.Count == 0) environment.Output.WriteLine($"{wish.Device} has no port");
        else CommandTable.Write(environment, Headers, ports.Select(Row));
        return 0;
    }

    private static IReadOnlyList<string> Row(ConsolePortReport port) =>
    [
        port.Id.ToString(CultureInfo.InvariantCulture), port.Name.Length == 0 ? "-" : port.Name, port.Console ? "console" : "data", port.HostOpen ? "open" : "closed",
        port.Columns == 0 ? "-" : string.Create(CultureInfo.InvariantCulture, $"{port.Columns}x{port.Rows}"), port.Client ?? "-",
    ];

    private static IReadOnlyList<ConsolePortReport> PortsOf(Wish wish)
    {
        using DaemonLink daemon = DaemonLink.Connect(wish.Socket);
        StatusReport report = daemon.Status();
        DeviceReport device = report.Devices.FirstOrDefault(device => device.Name == wish.Device || device.Device == wish.Device)
            ?? throw new ConsolePortException($"there is no device '{wish.Device}'; the daemon has {string.Join(", ", report.Devices.Select(device => device.Name))}");
        return device.Ports ?? throw new ConsolePortException($"{wish.Device} is a {device.Class} device and has no ports");
    }

    private static int Attach(CommandEnvironment environment, Wish wish, bool follow)
    {
        using Interruption interruption = new(environment);
        using ConsolePort port = ConsolePort.Open(wish.Device, wish.Ports.FirstOrDefault() ?? "", wish.Socket);
        new ConsoleAttachment(environment, port, follow).Run(interruption.Token);
        return 0;
    }

    private static int Expose(CommandEnvironment environment, Wish wish, bool all, string? link)
    {
        using Interruption interruption = new(environment);
        string[] wanted = all ? [.. PortsOf(wish).Select(port => port.Id.ToString(CultureInfo.InvariantCulture))] : wish.Ports.Length == 0 ? [""] : wish.Ports;
        if (wanted.Length == 0) throw new ConsolePortException($"{wish.Device} has no port");
        using ConsolePtySet ptys = new();
        foreach (string port in wanted) environment.Output.WriteLine(ptys.Add(ConsolePort.Open(wish.Device, port, wish.Socket), link));
        environment.Output.Flush();
        ptys.Run(interruption.Token);
        return 0;
    }

    /// <summary>What to work on.</summary>
    private sealed record Wish(string Device, string[] Ports, string? Socket);
}
