using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Vfio.Native;

namespace Xinim.Vfio.Vfio;

/// <summary>
/// A device descriptor of VFIO and the requests on it (linux/vfio.h, "IOCTLs for DEVICE file descriptors"). Owner and driver each have
/// one, for the same device; nothing here needs a privilege.
/// </summary>
public sealed unsafe class VfioDevice : IDisposable
{
    private readonly VfioDeviceInfo _info;
    private readonly VfioRegion _config;

    /// <param name="handle">A VFIO device descriptor. Owned from here on, also where the constructor throws.</param>
    /// <param name="name">For messages: the address.</param>
    /// <exception cref="LinuxException">Not a VFIO descriptor of a PCI device.</exception>
    public VfioDevice(SafeFileHandle handle, string name)
    {
        Handle = handle;
        Name = name;
        try
        {
            _info = new VfioDeviceInfo { Argsz = (uint)Unsafe.SizeOf<VfioDeviceInfo>() };
            VfioIoctl.Structure(handle, VfioAbi.VFIO_DEVICE_GET_INFO, ref _info, $"the descriptor of {name} is not a VFIO device");
            if ((_info.Flags & VfioAbi.VFIO_DEVICE_FLAGS_PCI) == 0) throw new LinuxException($"{name} is not a PCI device (VFIO flags 0x{_info.Flags:x})");
            _config = GetRegion(VfioAbi.VFIO_PCI_CONFIG_REGION_INDEX);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>The descriptor: all that a driver needs.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>The address.</summary>
    public string Name { get; }

    /// <summary>VFIO_DEVICE_FLAGS_RESET.</summary>
    public bool CanReset => (_info.Flags & VfioAbi.VFIO_DEVICE_FLAGS_RESET) != 0;

    /// <summary>Bytes of configuration space: 256, or 4,096 where the device is on PCI Express.</summary>
    public int ConfigSize => (int)Math.Min(_config.Size, 4096);

    /// <summary>VFIO_DEVICE_GET_REGION_INFO.</summary>
    public VfioRegion GetRegion(uint index)
    {
        if (index >= _info.NumRegions) return new VfioRegion(index, 0, 0, 0, []);
        return VfioRegion.Parse(VfioIoctl.Information(
            Handle, VfioAbi.VFIO_DEVICE_GET_REGION_INFO, new VfioRegionInfo { Index = index }, $"{Name} does not describe its region {index}"));
    }

    /// <summary>VFIO_DEVICE_GET_IRQ_INFO: how many vectors an interrupt kind has; 0 for none.</summary>
    public int CountVectors(InterruptKind kind)
    {
        uint index = IndexOf(kind);
        if (index >= _info.NumIrqs) return 0;
        VfioIrqInfo info = new() { Argsz = (uint)Unsafe.SizeOf<VfioIrqInfo>(), Index = index };
        VfioIoctl.Structure(Handle, VfioAbi.VFIO_DEVICE_GET_IRQ_INFO, ref info, $"{Name} does not describe its {kind} interrupts");
        return (info.Flags & VfioAbi.VFIO_IRQ_INFO_EVENTFD) != 0 ? (int)info.Count : 0;
    }

    /// <summary>VFIO_DEVICE_RESET. The kernel saves and restores configuration space around it.</summary>
    /// <returns>False where the device has no reset method.</returns>
    public bool Reset()
    {
        if (!CanReset) return false;
        // The kernel only tries to lock the device (pci_try_reset_function); somebody reading its sysfs files is reason enough to fail once.
        for (int attempts = 0; ; attempts++)
        {
            if (NativeMethods.Ioctl(Handle, VfioAbi.VFIO_DEVICE_RESET, (nint)0) >= 0) return true;
            if (Marshal.GetLastPInvokeError() != Errno.EAGAIN || attempts == 20) throw LinuxException.Last($"cannot reset {Name}");
            Thread.Sleep(5);
        }
    }

    /// <summary>One read of configuration space.</summary>
    /// <param name="offset">Bytes, aligned to <paramref name="size"/>.</param>
    /// <param name="size">1, 2 or 4.</param>
    public uint ReadConfig(int offset, int size)
    {
        CheckConfig(offset, size);
        return (uint)ReadRegion(_config, (ulong)offset, size);
    }

    /// <summary>One write of configuration space. The kernel filters it: BARs and MSI addresses never reach the device.</summary>
    public void WriteConfig(int offset, int size, uint value)
    {
        CheckConfig(offset, size);
        WriteRegion(_config, (ulong)offset, size, value);
    }

    public void Dispose() => Handle.Dispose();

    internal static uint IndexOf(InterruptKind kind) => kind switch
    {
        InterruptKind.Intx => VfioAbi.VFIO_PCI_INTX_IRQ_INDEX,
        InterruptKind.Msi => VfioAbi.VFIO_PCI_MSI_IRQ_INDEX,
        InterruptKind.MsiX => VfioAbi.VFIO_PCI_MSIX_IRQ_INDEX,
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "no interrupt kind"),
    };

    internal ulong ReadRegion(VfioRegion region, ulong offset, int size)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bytes.Clear();
        fixed (byte* pointer = bytes)
        {
            nint got = NativeMethods.Pread(Handle, pointer, (nuint)size, (long)(region.Offset + offset));
            if (got != size) throw Broken("read", region, offset, size, got);
        }

        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    internal void WriteRegion(VfioRegion region, ulong offset, int size, ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        fixed (byte* pointer = bytes)
        {
            nint put = NativeMethods.Pwrite(Handle, pointer, (nuint)size, (long)(region.Offset + offset));
            if (put != size) throw Broken("write", region, offset, size, put);
        }
    }

    /// <summary>VFIO_DEVICE_SET_IRQS.</summary>
    /// <param name="index">VFIO_PCI_*_IRQ_INDEX.</param>
    /// <param name="flags">One DATA and one ACTION flag.</param>
    /// <param name="start">First vector.</param>
    /// <param name="count">Vectors; 0 with DATA_NONE and ACTION_TRIGGER disables the index.</param>
    /// <param name="data">One byte or one descriptor number a vector.</param>
    /// <returns>0 or more, or -1 with the errno set.</returns>
    internal int TrySetIrqs(uint index, uint flags, int start, int count, ReadOnlySpan<byte> data = default)
    {
        int header = Unsafe.SizeOf<VfioIrqSet>();
        Span<byte> request = new byte[header + data.Length];
        VfioIrqSet set = new() { Argsz = (uint)request.Length, Flags = flags, Index = index, Start = (uint)start, Count = (uint)count };
        MemoryMarshal.Write(request, set);
        data.CopyTo(request[header..]);
        fixed (byte* pointer = request) return NativeMethods.Ioctl(Handle, VfioAbi.VFIO_DEVICE_SET_IRQS, pointer);
    }

    private void CheckConfig(int offset, int size)
    {
        if (offset < 0 || offset > ConfigSize - size || offset % size != 0)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"a {size}-byte access there is unaligned or outside {ConfigSize} bytes of configuration space");
    }

    private LinuxException Broken(string what, VfioRegion region, ulong offset, int size, nint result)
    {
        string message = $"{Name}: cannot {what} {size} bytes at 0x{offset:x} of region {region.Index}; is the device still there?";
        return result < 0 ? LinuxException.Last(message) : new LinuxException($"{message} ({result} bytes were moved)");
    }
}
