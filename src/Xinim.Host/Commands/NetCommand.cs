using System.CommandLine;

namespace Xinim.Host.Commands;

/// <summary><c>xinim net</c>: tools for raw frames.</summary>
internal static class NetCommand
{
    public static Command Create(CommandEnvironment environment) => new CliCommand("net", "Send, receive and show raw frames", "net dump net0", "net send net0 --seconds 10")
    {
        NetSendCommand.Create(environment),
        NetReceiveCommand.Create(environment),
        NetDumpCommand.Create(environment),
    };
}
