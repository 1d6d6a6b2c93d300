using System.Numerics;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Vfio;

namespace Xinim.Drivers.Virtio;

/// <summary>How many entries a queue gets.</summary>
public static class VirtQueueSize
{
    /// <param name="most">What the driver wants at the most, a power of two.</param>
    /// <returns>That, or what the device can do; a power of two.</returns>
    /// <exception cref="DeviceFaultException">The device has no such queue, or one of a size that cannot be.</exception>
    public static uint Choose(IVirtioTransport transport, ushort queue, uint most)
    {
        uint size = transport.MaxQueueSize(queue);
        if (size == 0) throw new DeviceFaultException($"{transport.Name} has no queue {queue} (queue_size 0) [V §4.1.4.3]");
        if (!BitOperations.IsPow2(size)) throw new DeviceFaultException($"{transport.Name}: queue {queue} has {size} entries, no power of two [V §2.7]");
        return Math.Min(size, most);
    }
}
