using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Vfio.Remote;
using Xinim.Vfio.Vfio;
using Xinim.Vfio.VhostUser;

namespace Xinim.Vfio;

/// <summary>Makes a driver's view of its device from the handles that the supervisor passed.</summary>
public static class DeviceFactory
{
    /// <param name="kind">The bus implementation, as the supervisor says.</param>
    /// <param name="name">For messages.</param>
    /// <param name="handles">As <see cref="IDeviceBackend.DriverHandles"/>; owned by the result.</param>
    public static IDevice Open(BackendKind kind, string name, SafeFileHandle[] handles) => (kind, handles.Length) switch
    {
        (BackendKind.Vfio, 1) => VfioPciDevice.FromHandle(handles[0], name),
        (BackendKind.Remote, 1) => RemotePciDevice.FromHandles(handles[0], name),
        (BackendKind.VhostUser, 1 or 2) => VhostUserDevice.FromHandles(handles[0], handles.ElementAtOrDefault(1), name),
        _ => throw new LinuxException($"device {name} came on bus {(uint)kind} with {handles.Length} descriptors, which this driver does not know"),
    };
}
