using System.CommandLine;

namespace Xinim.Host.Commands;

/// <summary>
/// <c>xinim disk idle</c> and <c>standby</c>: a disk rests until somebody wants something of it. <c>eject</c> and <c>load</c>: its tray opens and closes.
/// </summary>
internal static class DiskVerbCommand
{
    /// <param name="verb">As the daemon calls it.</param>
    public static Command Create(CommandEnvironment environment, string verb, string description)
    {
        Argument<string> disk = DiskCommand.Disk();
        CliCommand command = new(verb, description, $"disk {verb} sata0.0") { disk };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            string name = result.GetRequiredValue(disk);
            using DaemonLink daemon = DaemonLink.Connect(CommonOptions.SocketOf(result), forVerb: true);
            daemon.Control(verb, name, "");
            environment.Output.WriteLine($"{name}: {verb}");
            return 0;
        }));
        return command;
    }
}
