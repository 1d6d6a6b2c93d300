using Xinim.Vfio;
using Xinim.Vfio.VhostUser;

namespace Xinim.Drivers.Virtio.Transports;

/// <summary>Chooses the transport by the bus that the device is on.</summary>
internal static class VirtioTransports
{
    /// <exception cref="DeviceFaultException">No virtio device, or on a bus that carries none.</exception>
    public static IVirtioTransport Open(DriverContext context) => context.Device switch
    {
        IPciDevice device => new VirtioPciTransport(device, context.Interrupts),
        VhostUserDevice device => new VhostUserTransport(device, context.Interrupts),
        _ => throw new DeviceFaultException($"{context.Device.Name} is on a bus that carries no virtio device"),
    };
}
