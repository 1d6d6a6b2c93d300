using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Vfio.Native;
using Xinim.Vfio.Pci;
using Xinim.Vfio.Registers;

namespace Xinim.Vfio.Vfio;

/// <summary>
/// A PCI function as its driver has it: all from one descriptor, received from the supervisor. The process needs no privilege, no
/// path, and never sees the container.
/// </summary>
public sealed class VfioPciDevice : IPciDevice
{
    private readonly VfioDevice _device;
    private readonly List<(nint Address, nuint Length)> _mappings = [];
    private readonly Dictionary<int, Mmio> _bars = [];
    private VfioInterrupts? _interrupts;

    private VfioPciDevice(VfioDevice device)
    {
        _device = device;
        Config = new VfioConfig(device);
        Interrupts = new InterruptSupport(
            device.CountVectors(InterruptKind.Intx) > 0, device.CountVectors(InterruptKind.Msi), device.CountVectors(InterruptKind.MsiX));
    }

    public string Name => _device.Name;

    public IPciConfig Config { get; }

    public InterruptSupport Interrupts { get; }

    public bool CanReset => _device.CanReset;

    /// <summary>Makes the device from its descriptor.</summary>
    /// <param name="deviceFd">A VFIO device descriptor; owned from here on, also on failure.</param>
    /// <param name="name">For messages: the address.</param>
    /// <exception cref="LinuxException">Not such a descriptor.</exception>
    public static VfioPciDevice FromHandle(SafeFileHandle deviceFd, string name)
    {
        VfioDevice device = new(deviceFd, name);
        try
        {
            return new VfioPciDevice(device);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Maps a memory BAR, or opens a channel to one that cannot be mapped. Memory or I/O decoding is switched on first: an access
    /// to a mapping without it is SIGBUS.
    /// </summary>
    public Mmio MapBar(int bar)
    {
        if (bar is < 0 or > 5) throw new ArgumentOutOfRangeException(nameof(bar), bar, "BARs are 0 to 5");
        if (_bars.TryGetValue(bar, out Mmio known)) return known;
        VfioRegion region = _device.GetRegion((uint)bar);
        if (region.Size == 0) throw new DeviceFaultException($"{Name} has no BAR {bar}");
        bool ports = (Config.Read32(PciConfigSpace.Bar0 + (bar * sizeof(uint))) & PciConfigSpace.BarIsPorts) != 0;
        SetCommand(ports ? PciConfigSpace.CommandIo : PciConfigSpace.CommandMemory, 0);
        Mmio opened = region.CanMapWhole ? Map(region) : new Mmio(new VfioRegisterChannel(_device, region), bar, Length(region));
        _bars.Add(bar, opened);
        return opened;
    }

    public void Reset()
    {
        if (!_device.Reset()) throw new InvalidOperationException($"{Name} has no reset method; use the device's own reset register");
    }

    public IDeviceInterrupts EnableInterrupts(InterruptKind kind, int vectors)
    {
        // Only one kind can be on; what an earlier call enabled goes first.
        _interrupts?.Dispose();
        // A dead predecessor may have left the line disabled (PCI 3.0 §6.2.2, Interrupt Disable).
        if (kind == InterruptKind.Intx) SetCommand(0, PciConfigSpace.CommandInterruptDisable);
        return _interrupts = new VfioInterrupts(_device, kind, vectors);
    }

    /// <summary>Disables interrupts, unmaps the BARs and closes the descriptor. No register may be in use any more.</summary>
    public void Dispose()
    {
        _interrupts?.Dispose();
        foreach ((nint address, nuint length) in _mappings) _ = NativeMethods.Munmap(address, length);
        _mappings.Clear();
        _bars.Clear();
        _device.Dispose();
    }

    // Mmio counts in 32 bits; what lies beyond in a larger BAR is memory of the device, not registers.
    private static uint Length(VfioRegion region) => (uint)Math.Min(region.Size, 1UL << 31);

    private unsafe Mmio Map(VfioRegion region)
    {
        const int readWrite = 3, shared = 1;
        uint length = Length(region);
        nint address = NativeMethods.Mmap(0, length, readWrite, shared, _device.Handle, (long)region.Offset);
        if (address == -1) throw LinuxException.Last($"cannot map BAR {region.Index} of {Name} ({region.Size} bytes)");
        _mappings.Add((address, length));
        return new Mmio((void*)address, length);
    }

    private void SetCommand(ushort set, ushort clear)
    {
        ushort command = Config.Read16(PciConfigSpace.Command);
        ushort wanted = (ushort)((command | set) & ~clear);
        if (command != wanted) Config.Write16(PciConfigSpace.Command, wanted);
    }
}
