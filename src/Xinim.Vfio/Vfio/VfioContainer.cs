using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Native;

namespace Xinim.Vfio.Vfio;

/// <summary>An I/O address space: the descriptor of /dev/vfio/vfio and the mappings in it (linux/vfio.h, "IOCTLs for VFIO file descriptor").</summary>
public sealed class VfioContainer : IDisposable
{
    private const int O_RDWR = 2;

    private VfioContainer(SafeFileHandle handle) => Handle = handle;

    /// <summary>The descriptor. Never passed to a driver: whoever has it controls the IOMMU.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>Opens a container and checks that it speaks the version that this code does.</summary>
    /// <exception cref="LinuxException">No VFIO, no permission, or another version.</exception>
    public static VfioContainer Open(string path = "/dev/vfio/vfio")
    {
        SafeFileHandle handle = NativeMethods.Open(path, O_RDWR);
        if (handle.IsInvalid)
        {
            string remedy = Marshal.GetLastPInvokeError() is Errno.EACCES or Errno.EPERM
                ? "run as root or as a user with access to it"
                : "load the module with 'modprobe vfio-pci'";
            throw LinuxException.Last($"cannot open {path}; {remedy}");
        }

        VfioContainer container = new(handle);
        try
        {
            int version = VfioIoctl.Number(handle, VfioAbi.VFIO_GET_API_VERSION, 0, $"{path} does not tell its version");
            if (version != VfioAbi.VFIO_API_VERSION) throw new LinuxException($"{path} speaks VFIO version {version}, not {VfioAbi.VFIO_API_VERSION}");
            return container;
        }
        catch
        {
            container.Dispose();
            throw;
        }
    }

    /// <summary>VFIO_CHECK_EXTENSION: whether the kernel offers an IOMMU model or a feature.</summary>
    internal bool Supports(int extension) =>
        VfioIoctl.Number(Handle, VfioAbi.VFIO_CHECK_EXTENSION, extension, $"VFIO does not answer about extension {extension}") > 0;

    /// <summary>VFIO_SET_IOMMU. Needs a group in the container.</summary>
    internal void SelectIommu(int model, string group)
    {
        if (!Supports(model))
            throw new LinuxException($"VFIO offers no IOMMU model {model} for group {group}; load it with 'modprobe vfio_iommu_type1'");
        if (NativeMethods.Ioctl(Handle, VfioAbi.VFIO_SET_IOMMU, model) >= 0) return;
        string remedy = Marshal.GetLastPInvokeError() == Errno.EPERM
            ? ": no interrupt remapping; boot with 'intremap=on', or accept the risk with 'vfio_iommu_type1.allow_unsafe_interrupts=1'"
            : "";
        throw LinuxException.Last($"cannot enable the IOMMU for group {group}{remedy}");
    }

    /// <summary>Page sizes, usable addresses and free mapping slots.</summary>
    public IommuInfo GetInfo() =>
        IommuInfo.Parse(VfioIoctl.Information(Handle, VfioAbi.VFIO_IOMMU_GET_INFO, default(VfioIommuType1Info), "the IOMMU does not describe itself"));

    /// <summary>VFIO_IOMMU_MAP_DMA: pins memory of this process and shows it to the container's devices.</summary>
    /// <param name="address">In this process, page-aligned.</param>
    /// <param name="iova">Where devices see it.</param>
    /// <param name="size">Bytes.</param>
    /// <param name="access">What devices may do.</param>
    /// <exception cref="LinuxException">Says which limit was met.</exception>
    public void Map(nuint address, Iova iova, ulong size, RegionAccess access)
    {
        VfioIommuType1DmaMap map = new()
        {
            Argsz = (uint)Unsafe.SizeOf<VfioIommuType1DmaMap>(),
            Flags = MapFlags(access),
            Vaddr = address,
            Iova = iova.Value,
            Size = size,
        };
        if (Request(VfioAbi.VFIO_IOMMU_MAP_DMA, ref map) >= 0) return;
        throw LinuxException.Last($"cannot map {size} bytes at {iova} for the device{MapRemedy(Marshal.GetLastPInvokeError())}");
    }

    /// <summary>VFIO_IOMMU_UNMAP_DMA of one whole mapping.</summary>
    /// <exception cref="LinuxException">There is no such mapping, or the range cuts one.</exception>
    public void Unmap(Iova iova, ulong size)
    {
        VfioIommuType1DmaUnmap unmap = new() { Argsz = (uint)Unsafe.SizeOf<VfioIommuType1DmaUnmap>(), Iova = iova.Value, Size = size };
        VfioIoctl.Structure(Handle, VfioAbi.VFIO_IOMMU_UNMAP_DMA, ref unmap, $"cannot unmap {size} bytes at {iova}; unmap whole regions as they were mapped");
        if (unmap.Size != size) throw new LinuxException($"of {size} bytes at {iova}, {unmap.Size} were mapped");
    }

    /// <summary>Removes every mapping (VFIO_DMA_UNMAP_FLAG_ALL).</summary>
    /// <returns>Bytes that were mapped.</returns>
    public ulong UnmapAll()
    {
        if (!Supports(VfioAbi.VFIO_UNMAP_ALL)) throw new LinuxException("this kernel cannot unmap everything at once (VFIO_UNMAP_ALL came with 5.12)");
        VfioIommuType1DmaUnmap unmap = new() { Argsz = (uint)Unsafe.SizeOf<VfioIommuType1DmaUnmap>(), Flags = VfioAbi.VFIO_DMA_UNMAP_FLAG_ALL };
        VfioIoctl.Structure(Handle, VfioAbi.VFIO_IOMMU_UNMAP_DMA, ref unmap, "cannot unmap everything");
        return unmap.Size;
    }

    public void Dispose() => Handle.Dispose();

    private unsafe int Request<T>(uint request, ref T argument)
        where T : unmanaged
    {
        fixed (T* pointer = &argument) return NativeMethods.Ioctl(Handle, request, pointer);
    }

    private static uint MapFlags(RegionAccess access) =>
        ((access & RegionAccess.Read) != 0 ? VfioAbi.VFIO_DMA_MAP_FLAG_READ : 0)
        | ((access & RegionAccess.Write) != 0 ? VfioAbi.VFIO_DMA_MAP_FLAG_WRITE : 0);

    // vfio_dma_do_map of drivers/vfio/vfio_iommu_type1.c.
    private static string MapRemedy(int error) => error switch
    {
        Errno.ENOMEM => ": too much locked memory; raise 'LimitMEMLOCK=' or 'ulimit -l'",
        Errno.ENOSPC => ": no mapping slots left; map fewer, larger regions or raise vfio_iommu_type1.dma_entry_limit",
        Errno.EEXIST => ": something is mapped there",
        Errno.EFAULT => ": this process has no memory there, or may not write to what the device is to write to",
        Errno.EINVAL => ": unaligned, empty, or outside the addresses that the IOMMU offers",
        _ => "",
    };
}
