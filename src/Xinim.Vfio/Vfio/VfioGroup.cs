using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Vfio.Native;

namespace Xinim.Vfio.Vfio;

/// <summary>
/// An IOMMU group: the devices that the IOMMU cannot tell apart, and so must have one owner (linux/vfio.h, "IOCTLs for GROUP file
/// descriptors"). The kernel lets one process open it, once.
/// </summary>
public sealed class VfioGroup : IDisposable
{
    private const int O_RDWR = 2;
    private readonly SafeFileHandle _handle;

    private VfioGroup(SafeFileHandle handle, string path)
    {
        _handle = handle;
        Path = path;
    }

    /// <summary>For messages: /dev/vfio/7.</summary>
    public string Path { get; }

    /// <summary>VFIO_GROUP_FLAGS_VIABLE: every device of the group is bound to VFIO or to no driver.</summary>
    public bool IsViable
    {
        get
        {
            VfioGroupStatus status = new() { Argsz = (uint)Unsafe.SizeOf<VfioGroupStatus>() };
            VfioIoctl.Structure(_handle, VfioAbi.VFIO_GROUP_GET_STATUS, ref status, $"{Path} does not tell its status");
            return (status.Flags & VfioAbi.VFIO_GROUP_FLAGS_VIABLE) != 0;
        }
    }

    /// <summary>Opens a group.</summary>
    /// <param name="path">/dev/vfio/N, or /dev/vfio/noiommu-N.</param>
    /// <exception cref="LinuxException">Not bound to VFIO, no permission, or open elsewhere; says which.</exception>
    public static VfioGroup Open(string path)
    {
        SafeFileHandle handle = NativeMethods.Open(path, O_RDWR);
        if (!handle.IsInvalid) return new VfioGroup(handle, path);
        string remedy = Marshal.GetLastPInvokeError() switch
        {
            Errno.ENOENT => "no device of the group is bound to vfio-pci: 'xinim bind ADDRESS'",
            Errno.EBUSY => "another process, or another device of this one, has the group: stop its owner first",
            Errno.EACCES => "run as root or as a user with access to it",
            Errno.EPERM => "without an IOMMU, VFIO needs CAP_SYS_RAWIO: run as root",
            _ => "is VFIO working on this kernel?",
        };
        throw LinuxException.Last($"cannot open {path}; {remedy}");
    }

    /// <summary>True where some process has the group open, so that unbinding would wait for it.</summary>
    public static bool IsOpenElsewhere(string path)
    {
        using SafeFileHandle handle = NativeMethods.Open(path, O_RDWR);
        return handle.IsInvalid && Marshal.GetLastPInvokeError() == Errno.EBUSY;
    }

    /// <summary>VFIO_GROUP_SET_CONTAINER.</summary>
    public unsafe void Attach(VfioContainer container)
    {
        bool added = false;
        try
        {
            container.Handle.DangerousAddRef(ref added);
            int number = (int)container.Handle.DangerousGetHandle();
            if (NativeMethods.Ioctl(_handle, VfioAbi.VFIO_GROUP_SET_CONTAINER, &number) < 0)
                throw LinuxException.Last($"cannot put {Path} into a container");
        }
        finally
        {
            if (added) container.Handle.DangerousRelease();
        }
    }

    /// <summary>VFIO_GROUP_GET_DEVICE_FD. The container must have its IOMMU.</summary>
    /// <param name="address">As sysfs names it: 0000:00:03.0.</param>
    public unsafe SafeFileHandle OpenDevice(string address)
    {
        byte[] name = new byte[address.Length + 1];
        System.Text.Encoding.ASCII.GetBytes(address, name);
        fixed (byte* pointer = name)
        {
            int number = NativeMethods.Ioctl(_handle, VfioAbi.VFIO_GROUP_GET_DEVICE_FD, pointer);
            return number >= 0
                ? new SafeFileHandle(number, ownsHandle: true)
                : throw LinuxException.Last($"cannot open the device {address} of {Path}; is it bound to vfio-pci ('xinim bind {address}')?");
        }
    }

    public void Dispose() => _handle.Dispose();
}
