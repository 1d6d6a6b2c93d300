using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers;

/// <summary>Everything that a driver is given. What is not in here, it cannot reach.</summary>
/// <param name="Device">Its device.</param>
/// <param name="Arena">Its work region: descriptor rings and tables.</param>
/// <param name="Log">One line to the supervisor's log. Control path only.</param>
public sealed record DriverContext(IPciDevice Device, DmaArena Arena, Action<string> Log);
