using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;

namespace Xinim.Vfio;

/// <summary>
/// A device as its owner, the supervisor, holds it: identity, DMA mappings, and what makes it quiet. The owner opens it once; drivers
/// come and go with the handles of <see cref="DriverHandles"/>, and the mappings stay.
/// </summary>
public interface IDeviceBackend : IDisposable
{
    /// <summary>An address such as <c>0000:00:03.0</c>, or <c>remote:e1000</c>.</summary>
    string Name { get; }

    /// <summary>Which implementation of <see cref="IDevice"/> a driver makes from the handles.</summary>
    BackendKind Kind { get; }

    /// <summary>Ids and class, read from the device.</summary>
    PciIdentity Identity { get; }

    /// <summary>False where no IOMMU stands between the device and memory: such a device starts only with <c>--allow-unsafe-dma</c>.</summary>
    bool HasIommu { get; }

    /// <summary>Descriptors to pass to the driver, in the order its implementation wants. Owned by this object.</summary>
    IReadOnlyList<SafeFileHandle> DriverHandles { get; }

    /// <summary>
    /// Readable when somebody wants the device back: unbinding and hot-unplug wait until its owner has ended the driver and disposed of this
    /// object. Null where nobody can ask. Owned by this object.
    /// </summary>
    SafeFileHandle? RemovalRequested { get; }

    /// <summary>Readable when what the device is part of has gone away for now: its driver ends. Null where it cannot. Owned by this object.</summary>
    SafeFileHandle? Lost => null;

    /// <summary>
    /// What is missing for a driver to start, though nothing is wrong with the device or any driver: a back end that is away. Each call looks for
    /// it again, and takes some milliseconds at the most. Null where everything is there.
    /// </summary>
    string? FindMissing() => null;

    /// <summary>Makes a region visible to the device.</summary>
    /// <returns>Where the device sees its first byte.</returns>
    /// <exception cref="Ipc.LinuxException">No address space, mapping slots or lockable memory left; the message says which and what to do.</exception>
    Iova Map(SharedRegion region, RegionAccess deviceAccess);

    /// <summary>Takes a region away from the device. Only when the device is quiet or does not know the region any more.</summary>
    void Unmap(Iova start, long size);

    /// <summary>First step of making the device quiet after its driver's death: no more interrupts.</summary>
    void DisableInterrupts();

    /// <summary>Second step: the device can start no DMA any more (PCI command register, bus master enable, memory and I/O space stay).</summary>
    void ClearBusMaster();

    /// <summary>Third step: resets the function.</summary>
    /// <returns>False where the device has no reset method; then the next driver's own reset before it sets bus mastering is what counts.</returns>
    bool Reset();
}

/// <summary>The bus implementation behind a device. Values travel in messages.</summary>
public enum BackendKind : uint
{
    Vfio = 1,
    Remote = 2,
    VhostUser = 3,
}

/// <summary>Who a PCI function is.</summary>
public readonly record struct PciIdentity(ushort Vendor, ushort Device, ushort SubsystemVendor, ushort Subsystem, uint ClassCode, byte Revision)
{
    public override string ToString() => $"{Vendor:x4}:{Device:x4}";
}
