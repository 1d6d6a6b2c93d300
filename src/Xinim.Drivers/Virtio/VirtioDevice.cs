using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Virtio;

/// <summary>
/// The bring-up that all device types share [V §3.1.1]: reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK, then the driver's queues, DRIVER_OK.
/// [V] = Virtual I/O Device (VIRTIO) Version 1.2.
/// </summary>
public sealed class VirtioDevice(IVirtioTransport transport)
{
    public IVirtioTransport Transport => transport;

    /// <summary>What the device has.</summary>
    public VirtioFeatures Offered { get; private set; }

    /// <summary>What was agreed on.</summary>
    public VirtioFeatures Features { get; private set; }

    /// <summary>Steps 1 to 6 of [V §3.1.1].</summary>
    /// <param name="choose">Of what the device offers, what the driver wants: the device type's features and those of the queues.</param>
    /// <exception cref="DeviceFaultException">The device does not do what no driver can do without, or refuses what it offered.</exception>
    public void Negotiate(Func<VirtioFeatures, VirtioFeatures> choose)
    {
        transport.Reset();
        transport.Status = VirtioStatus.Acknowledge;
        transport.Status |= VirtioStatus.Driver;
        VirtioFeatures offered = transport.ReadFeatures();
        Offered = offered;
        VirtioFeatures needed = VirtioFeatures.Version1 | (transport.NeedsAccessPlatform ? VirtioFeatures.AccessPlatform : VirtioFeatures.None);
        if ((offered & VirtioFeatures.Version1) == 0) Refuse("it does not offer VIRTIO_F_VERSION_1: a legacy device, which is not supported [V §6.1]");
        if ((offered & needed) != needed)
            Refuse("it does not offer VIRTIO_F_ACCESS_PLATFORM, so it would pass by the IOMMU [V §6.1]; with QEMU give the device iommu_platform=on");
        Features = offered & (choose(offered) | needed);
        transport.WriteFeatures(Features);
        transport.Status |= VirtioStatus.FeaturesOk;
        if ((transport.Status & VirtioStatus.FeaturesOk) == 0) Refuse($"it does not accept the features 0x{(ulong)Features:x} of those that it offers, 0x{(ulong)offered:x} [V §3.1.1 step 6]");
    }

    public bool Has(VirtioFeatures feature) => (Features & feature) == feature;

    /// <summary>Makes a queue in the driver's memory, of the layout that was agreed on.</summary>
    /// <param name="most">Entries that the driver wants at the most, a power of two.</param>
    /// <param name="indirectParts">Parts of the largest buffer that is to go into an indirect table; 0 for no tables.</param>
    /// <exception cref="DeviceFaultException">The device has no such queue, or one of a size that cannot be.</exception>
    public TQueue MakeQueue<TQueue>(DmaArena arena, ushort queue, uint most, uint indirectParts)
        where TQueue : struct, IVirtQueue
        => VirtQueueFactory.Create<TQueue>(Features, arena, SizeOf(queue, most), $"{transport.Name}, queue {queue}", indirectParts);

    /// <summary>Entries that <see cref="MakeQueue"/> gives a queue.</summary>
    public uint SizeOf(ushort queue, uint most) => VirtQueueFactory.ChooseSize(Features, transport.MaxQueueSize(queue), most, $"{transport.Name}, queue {queue}");

    /// <summary>Step 8 of [V §3.1.1]: from now on the device serves its queues.</summary>
    public void Begin()
    {
        transport.Status |= VirtioStatus.DriverOk;
        CheckHealth();
    }

    /// <summary>A device that cannot go on says so, and needs a reset [V §2.1.2]: the next driver's.</summary>
    /// <exception cref="DeviceFaultException">It does.</exception>
    public void CheckHealth()
    {
        VirtioStatus status = transport.Status;
        if ((status & VirtioStatus.NeedsReset) != 0) throw new DeviceFaultException($"{transport.Name} cannot go on (DEVICE_NEEDS_RESET, status 0x{(byte)status:x2}) [V §2.1.2]");
        if ((status & VirtioStatus.DriverOk) == 0) throw new DeviceFaultException($"{transport.Name} was reset by somebody else (status 0x{(byte)status:x2}) [V §2.1]");
    }

    private void Refuse(string reason)
    {
        transport.Status |= VirtioStatus.Failed;
        throw new DeviceFaultException($"{transport.Name}: {reason}");
    }
}
