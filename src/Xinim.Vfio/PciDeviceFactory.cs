using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;

namespace Xinim.Vfio;

/// <summary>Makes a driver's view of its device from the handles that the supervisor passed.</summary>
public static class PciDeviceFactory
{
    /// <param name="kind">The bus implementation, as the supervisor says.</param>
    /// <param name="name">For messages.</param>
    /// <param name="handles">As <see cref="IDeviceBackend.DriverHandles"/>; owned by the result.</param>
    /// <param name="barSizes">Bytes of each BAR, 0 for none.</param>
    public static IPciDevice Open(BackendKind kind, string name, SafeFileHandle[] handles, ReadOnlySpan<ulong> barSizes)
        => throw new LinuxException($"device {name} is on bus {kind}, which this build does not know");
}
