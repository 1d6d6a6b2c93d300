using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Xinim.Host.Daemon;

namespace Xinim.Host.Commands;

/// <summary>The command line: every command, and how its errors look.</summary>
internal static class XinimCommand
{
    /// <returns>Exit status: 0 done, 1 failed, 2 for a command line that makes no sense.</returns>
    public static int Run(string[] arguments, CommandEnvironment environment)
    {
        ParseResult result = Create(environment).Parse(arguments);
        if (result.Action is ParseErrorAction)
        {
            string command = string.Join(' ', Path(result.CommandResult.Command));
            return CommandErrors.Say(environment, $"{result.Errors[0].Message.TrimEnd('.')}; see '{command} --help'", CommandErrors.Usage);
        }

        return result.Invoke(new InvocationConfiguration { Output = environment.Output, Error = environment.Error });
    }

    public static RootCommand Create(CommandEnvironment environment)
    {
        RootCommand root = new("User-space device drivers in separate, unprivileged processes")
        {
            DaemonCommand.Create(),
            StatusCommand.Create(environment),
            TopCommand.Create(environment),
            EventsCommand.Create(environment),
            MetricsCommand.Create(environment),
            VerbCommand.Create(environment, "start", "Start the driver of a device that was stopped or given up"),
            VerbCommand.Create(environment, "stop", "Let a driver finish and stop it; clients keep what they hold and wait for the next start"),
            VerbCommand.Create(environment, "restart", "Let a driver finish and start a fresh one; clients lose nothing"),
            VerbCommand.CreateUpdate(environment),
            ListCommand.Create(environment),
            BindCommand.Create(environment),
            UnbindCommand.Create(environment),
            HugePagesCommand.Create(environment),
            PingCommand.Create(environment),
            NetCommand.Create(environment),
            DiskCommand.Create(environment),
            ConsoleCommand.Create(environment),
        };
        root.Options.Add(CommonOptions.Socket());
        foreach (HelpOption option in root.Options.OfType<HelpOption>())
        {
            if (option.Action is HelpAction help) option.Action = new HelpWithExamples(help);
        }

        return root;
    }

    private static IEnumerable<string> Path(Command command)
    {
        IEnumerable<string> above = command.Parents.OfType<Command>().FirstOrDefault() is { } parent ? Path(parent) : [];
        return above.Append(command is RootCommand ? "xinim" : command.Name);
    }
}
