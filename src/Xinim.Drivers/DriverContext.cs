using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers;

/// <summary>Everything that a driver is given. What is not in here, it cannot reach.</summary>
/// <param name="Device">Its device.</param>
/// <param name="Interrupts">Already routed to the host's loop, of the best kind that the device has, as many as it has and its <see cref="Hosting.DriverEntry"/> wants; the driver programs the device for them.</param>
/// <param name="Arena">Its work region: descriptor rings and tables.</param>
/// <param name="Log">One line to the supervisor's log. Control path only.</param>
public sealed record DriverContext(IDevice Device, IDeviceInterrupts Interrupts, DmaArena Arena, Action<string> Log)
{
    /// <summary>The device, for a driver of PCI devices.</summary>
    /// <exception cref="DeviceFaultException">It is on another bus.</exception>
    public IPciDevice Pci => Device as IPciDevice ?? throw new DeviceFaultException($"{Device.Name} is no PCI device; this driver knows no other bus");

    /// <summary>What the configuration says under "options". The driver refuses keys that it does not know.</summary>
    public IReadOnlyDictionary<string, string> Options { get; init; } = new Dictionary<string, string>();
}
