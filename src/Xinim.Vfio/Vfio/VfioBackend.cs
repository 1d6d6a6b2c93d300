using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Native;
using Xinim.Vfio.Pci;

namespace Xinim.Vfio.Vfio;

/// <summary>
/// A device on VFIO as the supervisor holds it: container, group and device descriptors, and every IOMMU mapping. The device must be
/// bound to vfio-pci before (<see cref="DriverBinding"/>). Not thread-safe.
/// </summary>
public sealed class VfioBackend : IDeviceBackend
{
    private static readonly InterruptKind[] Kinds = [InterruptKind.Intx, InterruptKind.Msi, InterruptKind.MsiX];
    private readonly VfioContainer _container;
    private readonly VfioGroup _group;
    private readonly VfioDevice _device;
    private readonly IDmaMap _map;
    private SafeFileHandle? _removal;

    private VfioBackend(VfioContainer container, VfioGroup group, VfioDevice device, IDmaMap map)
    {
        _container = container;
        _group = group;
        _device = device;
        _map = map;
        Identity = ReadIdentity(device);
        DriverHandles = [device.Handle];
    }

    public string Name => _device.Name;

    public BackendKind Kind => BackendKind.Vfio;

    public PciIdentity Identity { get; }

    public bool HasIommu => _map.HasIommu;

    /// <summary>One: the device descriptor, for <see cref="VfioPciDevice.FromHandle"/>.</summary>
    public IReadOnlyList<SafeFileHandle> DriverHandles { get; }

    /// <summary>The address space, for a status display and for tests; null where there is no IOMMU.</summary>
    public VfioContainer? Container => HasIommu ? _container : null;

    /// <summary>The kernel waits until the device's descriptor is closed everywhere (VFIO_PCI_REQ_IRQ_INDEX).</summary>
    public SafeFileHandle? RemovalRequested => _removal ??= ArmRemovalEvent();

    /// <summary>Opens a device.</summary>
    /// <param name="address">Bound to vfio-pci by the caller.</param>
    /// <param name="options">Unsafe DMA and, for tests, other paths.</param>
    /// <exception cref="LinuxException">Says what is missing: binding, IOMMU, permission, a viable group.</exception>
    public static VfioBackend Open(PciAddress address, VfioOptions? options = null)
    {
        options ??= new VfioOptions();
        PciFunction function = new PciEnumerator(options.SysfsRoot).Find(address);
        string groupPath = GroupPath(function, options);
        bool iommu = !function.HasNoIommuGroup;
        // Group and device cannot be opened without the container, so they are given up in the reverse order.
        Stack<IDisposable> opened = new();
        try
        {
            VfioContainer container = Keep(opened, VfioContainer.Open(Path.Combine(options.DeviceDirectory, "vfio")));
            VfioGroup group = Keep(opened, VfioGroup.Open(groupPath));
            if (!group.IsViable) throw new LinuxException(GroupViability.Check(new PciEnumerator(options.SysfsRoot), function).Explain());
            group.Attach(container);
            container.SelectIommu(iommu ? VfioAbi.VFIO_TYPE1v2_IOMMU : VfioAbi.VFIO_NOIOMMU_IOMMU, groupPath);
            IDmaMap map = iommu
                ? new IommuMap(container, container.GetInfo(), EntryLimit(options.SysfsRoot), () => LockedMemory.Read())
                : new PhysicalMap();
            VfioDevice device = Keep(opened, new VfioDevice(group.OpenDevice(address.ToString()), address.ToString()));
            return new VfioBackend(container, group, device, map);
        }
        catch
        {
            while (opened.TryPop(out IDisposable? resource)) resource.Dispose();
            throw;
        }
    }

    public Iova Map(SharedRegion region, RegionAccess deviceAccess) => _map.Map(region, deviceAccess);

    public void Unmap(Iova start, long size) => _map.Unmap(start, size);

    /// <summary>Switches off whichever kind of interrupt is on.</summary>
    public void DisableInterrupts()
    {
        const uint off = VfioAbi.VFIO_IRQ_SET_DATA_NONE | VfioAbi.VFIO_IRQ_SET_ACTION_TRIGGER;
        foreach (InterruptKind kind in Kinds)
        {
            // EINVAL: this kind is not on (vfio_pci_set_msi_trigger, vfio_pci_set_intx_trigger).
            if (_device.TrySetIrqs(VfioDevice.IndexOf(kind), off, 0, 0) < 0 && Marshal.GetLastPInvokeError() != Errno.EINVAL)
                throw LinuxException.Last($"cannot disable {kind} interrupts of {Name}");
        }
    }

    public void ClearBusMaster()
    {
        uint command = _device.ReadConfig(PciConfigSpace.Command, 2);
        _device.WriteConfig(PciConfigSpace.Command, 2, command & ~(uint)PciConfigSpace.CommandBusMaster);
        uint now = _device.ReadConfig(PciConfigSpace.Command, 2);
        // All ones: the device is gone, and starts no DMA either.
        if (now != 0xffff && (now & PciConfigSpace.CommandBusMaster) != 0)
            throw new LinuxException($"{Name} keeps its bus master bit (command register 0x{now:x4})");
    }

    public bool Reset() => _device.Reset();

    /// <summary>Closes everything. The kernel then stops the device, resets it if it can, and unpins the memory, once the driver's copy of the descriptor is closed too.</summary>
    public void Dispose()
    {
        _removal?.Dispose();
        _device.Dispose();
        _group.Dispose();
        _container.Dispose();
    }

    private static T Keep<T>(Stack<IDisposable> opened, T resource)
        where T : IDisposable
    {
        opened.Push(resource);
        return resource;
    }

    private static string GroupPath(PciFunction function, VfioOptions options)
    {
        if (function.IommuGroup is not { } group)
        {
            throw new LinuxException($"{function.Address} is in no IOMMU group: no IOMMU is active; boot with 'intel_iommu=on' or 'amd_iommu=on' "
                + "and switch VT-d or AMD-Vi on in the firmware");
        }

        if (!function.HasNoIommuGroup) return Path.Combine(options.DeviceDirectory, group.ToString(CultureInfo.InvariantCulture));
        if (!options.AllowUnsafeDma)
        {
            throw new LinuxException($"{function.Address} has no IOMMU behind it (VFIO no-IOMMU mode): it could overwrite any memory; "
                + "start with --allow-unsafe-dma if that is acceptable");
        }

        return Path.Combine(options.DeviceDirectory, string.Create(CultureInfo.InvariantCulture, $"noiommu-{group}"));
    }

    private static uint EntryLimit(string sysfsRoot)
    {
        const uint usual = 65535;
        string path = Path.Combine(sysfsRoot, "module/vfio_iommu_type1/parameters/dma_entry_limit");
        return File.Exists(path) && uint.TryParse(File.ReadAllText(path).Trim(), CultureInfo.InvariantCulture, out uint limit) ? limit : usual;
    }

    private static PciIdentity ReadIdentity(VfioDevice device)
    {
        uint classes = device.ReadConfig(PciConfigSpace.RevisionAndClass, 4);
        return new PciIdentity(
            (ushort)device.ReadConfig(PciConfigSpace.VendorId, 2), (ushort)device.ReadConfig(PciConfigSpace.DeviceId, 2),
            (ushort)device.ReadConfig(PciConfigSpace.SubsystemVendorId, 2), (ushort)device.ReadConfig(PciConfigSpace.SubsystemId, 2),
            classes >> 8, (byte)classes);
    }

    private SafeFileHandle ArmRemovalEvent()
    {
        SafeFileHandle handle = VfioInterrupts.CreateEvent();
        int number = (int)handle.DangerousGetHandle();
        const uint flags = VfioAbi.VFIO_IRQ_SET_DATA_EVENTFD | VfioAbi.VFIO_IRQ_SET_ACTION_TRIGGER;
        if (_device.TrySetIrqs(VfioAbi.VFIO_PCI_REQ_IRQ_INDEX, flags, 0, 1, MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in number))) >= 0) return handle;
        LinuxException failure = LinuxException.Last($"cannot watch for the removal of {Name}");
        handle.Dispose();
        throw failure;
    }
}
