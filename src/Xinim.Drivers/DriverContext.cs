using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers;

/// <summary>Everything that a driver is given. What is not in here, it cannot reach.</summary>
/// <param name="Device">Its device.</param>
/// <param name="Interrupts">Already routed to the host's loop, one vector, of the best kind that the device has; the driver programs the device for that kind.</param>
/// <param name="Arena">Its work region: descriptor rings and tables.</param>
/// <param name="Log">One line to the supervisor's log. Control path only.</param>
public sealed record DriverContext(IPciDevice Device, IPciInterrupts Interrupts, DmaArena Arena, Action<string> Log)
{
    /// <summary>What the configuration says under "options". The driver refuses keys that it does not know.</summary>
    public IReadOnlyDictionary<string, string> Options { get; init; } = new Dictionary<string, string>();
}
