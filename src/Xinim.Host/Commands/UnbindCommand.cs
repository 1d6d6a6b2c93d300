using System.CommandLine;
using Xinim.Vfio.Pci;

namespace Xinim.Host.Commands;

/// <summary><c>xinim unbind</c>: gives a device back to the kernel.</summary>
internal static class UnbindCommand
{
    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> address = CommonOptions.Address();
        CliCommand command = new("unbind", "Give a device back to the driver that it had before 'xinim bind' (as root)", "unbind 0000:00:03.0") { address };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            PciAddress device = CommonOptions.ReadAddress(result.GetRequiredValue(address));
            string? now = BindCommand.NewBinding(environment).Restore(device);
            environment.Output.WriteLine($"{device}: {now ?? "no driver"}");
            return 0;
        }));
        return command;
    }
}
