using System.CommandLine;
using Xinim.Vfio.Pci;

namespace Xinim.Host.Commands;

/// <summary><c>xinim bind</c>: takes a device from the kernel.</summary>
internal static class BindCommand
{
    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> address = CommonOptions.Address();
        Option<bool> force = new("--force") { Description = "Also take a device that the system is using" };
        Option<bool> unsafeDma = new("--allow-unsafe-dma") { Description = "Also where no IOMMU keeps the device from the rest of memory" };
        CliCommand command = new("bind", "Take a device from its kernel driver and give it to vfio-pci (as root)", "bind 0000:00:03.0") { address, force, unsafeDma };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            Bind(environment, CommonOptions.ReadAddress(result.GetRequiredValue(address)), result.GetValue(force), result.GetValue(unsafeDma));
            return 0;
        }));
        return command;
    }

    private static void Bind(CommandEnvironment environment, PciAddress address, bool force, bool allowUnsafeDma)
    {
        PciEnumerator devices = new(environment.Paths.SysfsRoot);
        bool already = devices.Find(address).Driver == DriverBinding.VfioDriver;
        string? previous = NewBinding(environment).Bind(address, force: force, allowUnsafeDma: allowUnsafeDma);
        string before = previous ?? "no driver";
        environment.Output.WriteLine(already
            ? $"{address} is bound to {DriverBinding.VfioDriver} already (before: {before})"
            : $"{address}: {before} → {DriverBinding.VfioDriver}; 'xinim unbind {address}' gives it back");
        GroupViability group = GroupViability.Check(devices, devices.Find(address));
        if (!group.IsViable) environment.Error.WriteLine($"xinim: note: {group.Explain()}");
    }

    /// <summary>Binding as the environment has it.</summary>
    public static DriverBinding NewBinding(CommandEnvironment environment)
        => new(environment.Paths, new DeviceUse(environment.Paths.SysfsRoot, environment.ProcRoot), environment.WriteAttribute);
}
