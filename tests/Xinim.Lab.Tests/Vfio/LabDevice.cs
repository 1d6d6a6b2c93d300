using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Vfio;
using Xinim.Vfio.Pci;
using Xinim.Vfio.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Vfio;

/// <summary>One of the lab's devices, bound to vfio-pci for the length of a test and given back to its driver afterwards.</summary>
public sealed class LabDevice : IDisposable
{
    private readonly DriverBinding _binding = new();

    private LabDevice(PciFunction function)
    {
        Function = function;
        _binding.Bind(function.Address);
    }

    public PciFunction Function { get; }

    public PciAddress Address => Function.Address;

    /// <summary>Takes the first device with this id. Skips the test outside the lab, where nobody's devices are ours to take.</summary>
    public static LabDevice Take(ushort vendor, ushort device)
    {
        RequireLab();
        Shell("modprobe", "vfio-pci");
        PciFunction? found = new PciEnumerator().Enumerate().FirstOrDefault(function => (function.Identity.Vendor, function.Identity.Device) == (vendor, device));
        Assert.True(found is not null, $"the lab has no device {vendor:x4}:{device:x4}");
        return new LabDevice(found!);
    }

    /// <summary>The 82540EM: INTx only, no reset method.</summary>
    public static LabDevice TakeE1000() => Take(0x8086, 0x100e);

    /// <summary>The 82574L: MSI, MSI-X, PCI Express.</summary>
    public static LabDevice TakeE1000E() => Take(0x8086, 0x10d3);

    public static void RequireLab() =>
        Assert.SkipUnless(Environment.GetEnvironmentVariable("XINIM_LAB") == "1", "runs in the lab: scripts/lab.sh -- dotnet <this assembly>");

    public static string Shell(string program, params string[] arguments)
    {
        (int status, string output, string error) = LabProgram.Run(program, arguments);
        Assert.True(status == 0, $"{program} {string.Join(' ', arguments)}: {error}");
        return output;
    }

    public VfioBackend Open() => VfioBackend.Open(Address);

    /// <summary>Lets an ordinary user open the device. /dev/vfio/vfio may be opened by everybody; the group's node vanishes with the binding.</summary>
    public void GiveGroupTo(uint user) => Shell("chown", $"{user}", $"/dev/vfio/{new PciEnumerator().Find(Address).IommuGroup}");

    /// <summary>The driver's side of a backend, on the same descriptor; the backend goes last.</summary>
    public static VfioPciDevice DriverOf(VfioBackend backend) =>
        VfioPciDevice.FromHandle(new SafeFileHandle(backend.DriverHandles[0].DangerousGetHandle(), ownsHandle: false), backend.Name);

    /// <summary>Whether a vector's eventfd becomes readable in time; takes the count.</summary>
    public static bool Fires(IDeviceInterrupts interrupts, int vector, int milliseconds = 1000) => Take(interrupts.EventOf(vector), milliseconds) != 0;

    /// <summary>The count of an eventfd, 0 where it does not fire in time.</summary>
    public static ulong Take(SafeFileHandle eventFd, int milliseconds = 1000)
        => Descriptor.Poll(milliseconds, eventFd) != 0 ? Descriptor.Drain(eventFd) : 0;

    public void Dispose() => _binding.Restore(Address);
}

/// <summary>Tests that take devices from one machine run one after the other.</summary>
[CollectionDefinition(nameof(VfioLab), DisableParallelization = true)]
public sealed class VfioLab;
