using System.CommandLine;
using System.Globalization;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Commands;

/// <summary><c>xinim start|stop|restart|update</c>: changes what runs, and says what runs now.</summary>
internal static class VerbCommand
{
    public static Command Create(CommandEnvironment environment, string verb, string description)
    {
        Argument<string> device = CommonOptions.Nic();
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new(verb, $"{description} (as root or the daemon's user)", $"{verb} net0") { device, json };
        command.SetAction(result => Run(environment, result, verb, result.GetRequiredValue(device), "", result.GetValue(json)));
        return command;
    }

    public static Command CreateUpdate(CommandEnvironment environment)
    {
        Argument<string> device = CommonOptions.Nic();
        Option<string> executable = new("--executable") { Description = "The new version of the driver's executable", HelpName = "FILE", Required = true };
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new(
            "update",
            "Replace a driver by another version of it; one that does not become ready gives way to the former (as root or the daemon's user)",
            "update net0 --executable ./xinim-driver") { device, executable, json };
        // The daemon has another working directory than the caller.
        command.SetAction(result => Run(environment, result, "update", result.GetRequiredValue(device), Path.GetFullPath(result.GetRequiredValue(executable)), result.GetValue(json)));
        return command;
    }

    private static int Run(CommandEnvironment environment, ParseResult result, string verb, string name, string argument, bool json) => CommandErrors.Guard(environment, () =>
    {
        using DaemonLink daemon = DaemonLink.Connect(CommonOptions.SocketOf(result), forVerb: true);
        daemon.Control(verb, name, argument);
        DeviceReport device = daemon.Status().Devices.FirstOrDefault(device => device.Name == name || device.Device == name || device.Device == $"0000:{name}")
            ?? throw new IOException($"{name} is gone from the daemon's report");
        environment.Output.WriteLine(json ? device.ToJson() : Describe(device));
        return 0;
    });

    private static string Describe(DeviceReport device) => device.State != DeviceState.Ready ? $"{device.Name}: {device.State.ToString().ToLowerInvariant()}"
        : string.Create(
            CultureInfo.InvariantCulture,
            $"{device.Name}: {device.Driver} generation {device.Generation} ready after {device.StartMilliseconds:0.0} ms, process {device.Pid}");
}
