using System.CommandLine;
using Xinim.Ipc;

namespace Xinim.Host.Daemon;

/// <summary><c>xinim daemon</c>.</summary>
internal static class DaemonCommand
{
    public static Command Create()
    {
        Option<string?> config = new("--config") { Description = "Configuration file (JSON); by default every device bound to vfio-pci that has a driver is taken", HelpName = "FILE" };
        Option<string> drivers = new("--drivers")
        {
            Description = "Folder of driver manifests",
            HelpName = "FOLDER",
            DefaultValueFactory = _ => Path.Combine(AppContext.BaseDirectory, "drivers"),
        };
        Option<string?> socket = new("--socket") { Description = "Where clients connect", HelpName = "PATH" };
        Option<bool> unsafeDma = new("--allow-unsafe-dma") { Description = "Also start devices that no IOMMU stands before: they can read and write all memory of this machine" };
        Option<string> log = new("--log") { Description = "Form of the log", HelpName = "text|json", DefaultValueFactory = _ => "text" };
        log.AcceptOnlyFromAmong("text", "json");
        Command command = new("daemon", "Take devices, start their drivers as separate processes and serve clients, until SIGTERM") { config, drivers, socket, unsafeDma, log };
        command.SetAction(result =>
        {
            try
            {
                return DaemonRunner.Run(new DaemonOptions(
                    result.GetValue(config), result.GetValue(drivers)!, result.GetValue(socket), result.GetValue(unsafeDma), result.GetValue(log) == "json"));
            }
            catch (Exception exception) when (exception is LinuxException or Vfio.DeviceFaultException)
            {
                Console.Error.WriteLine($"xinim daemon: {exception.Message}");
                return 1;
            }
        });
        return command;
    }
}
