using Microsoft.Win32.SafeHandles;
using Xinim.Vfio.Pci;
using Xinim.Vfio.Registers;

namespace Xinim.Vfio.Remote;

/// <summary>
/// A device model in another process, as its driver sees it. Addresses of the BARs are the owner's (<see cref="RemoteBackend"/>); the driver
/// finds their sizes again by probing. Interrupts are INTx only: QEMU's remote machine has no MSI controller.
/// </summary>
public sealed class RemotePciDevice : IPciDevice
{
    private const int InterruptPin = 0x3D;
    private readonly RemoteLink _link;
    private readonly PciBar?[] _bars;
    private readonly RemoteRegisterChannel _channel;

    private RemotePciDevice(RemoteLink link)
    {
        _link = link;
        Config = new RemoteConfig(link);
        _bars = PciBarRegisters.Probe(Config, link.Name);
        _channel = new RemoteRegisterChannel(link, _bars);
        Interrupts = new InterruptSupport(Config.Read8(InterruptPin) != 0, 0, 0);
    }

    public string Name => _link.Name;

    public IPciConfig Config { get; }

    public InterruptSupport Interrupts { get; }

    /// <summary>The protocol has a reset message. It resets the model's registers, not configuration space.</summary>
    public bool CanReset => true;

    /// <summary>Makes the device from what <see cref="RemoteBackend.DriverHandles"/> holds.</summary>
    /// <param name="socket">Owned by the device from now on, also on failure.</param>
    /// <param name="name">For messages, such as <c>remote:e1000</c>.</param>
    /// <param name="timeout">For one register access; 2 s where not given.</param>
    /// <exception cref="DeviceFaultException">The model does not answer, or not as a PCI device does.</exception>
    public static RemotePciDevice FromHandles(SafeFileHandle socket, string name, TimeSpan? timeout = null)
    {
        RemoteLink link = new(socket, name, timeout);
        try
        {
            return new RemotePciDevice(link);
        }
        catch
        {
            link.Dispose();
            throw;
        }
    }

    public Mmio MapBar(int bar)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bar);
        if (bar >= PciBarRegisters.Count || _bars[bar] is not { } found)
            throw new DeviceFaultException($"{Name} has no BAR {bar}; it has {string.Join(", ", _bars.Where(b => b is not null).Select(b => b!.Value.Index))}");
        // All-zero means unassigned: an access would decode nowhere, and QEMU would end.
        if (found.Address == 0) throw new DeviceFaultException($"{Name}: BAR {bar} has no address; its owner assigns one before a driver starts");
        return new Mmio(_channel, bar, (uint)Math.Min(uint.MaxValue, found.Size));
    }

    public void Reset() => _link.ResetDevice();

    public IDeviceInterrupts EnableInterrupts(InterruptKind kind, int vectors)
    {
        if (kind != InterruptKind.Intx || vectors != 1 || !Interrupts.Intx)
            throw new ArgumentException($"{Name} offers {(Interrupts.Intx ? "INTx with one vector" : "no interrupts")}, not {kind} with {vectors}", nameof(kind));
        return new RemoteInterrupts(_link, Config);
    }

    public void Dispose() => _link.Dispose();
}
