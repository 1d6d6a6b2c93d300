using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Pci;

namespace Xinim.Vfio.Remote;

/// <summary>
/// A device model in another process, as the supervisor holds it. It assigns the BARs, decides which memory the model can reach, and makes
/// the device quiet after a driver's death. A <see cref="DeviceFaultException"/> from any method means that the model process is of no
/// further use: end it, start another and make a new backend; regions mapped in the same order get the same addresses.
/// </summary>
public sealed class RemoteBackend : IDeviceBackend
{
    /// <summary>How long a model may take to its first answer: QEMU starts in 30 ms, on a loaded machine in seconds.</summary>
    public static readonly TimeSpan DefaultStartTimeout = TimeSpan.FromSeconds(15);

    private const uint AhciController = 0x01_0601;

    /// <summary>Steps in a row without an answer that a model is waited for: a loaded machine may cost one, of 2 s.</summary>
    private const int MaxSilences = 2;

    private readonly RemoteLink _link;
    private readonly RemoteConfig _config;
    private readonly PciBar[] _bars;
    private readonly RemoteMemory _memory;
    private readonly RemoteEventPair _sink = new();
    private readonly SafeFileHandle[] _driverHandles;
    private int _silences;

    /// <param name="socket">One end of <see cref="RemoteLink.CreateSocketPair"/>, the other being the model's; owned by the backend, also on failure.</param>
    /// <param name="name">Such as <c>remote:e1000</c>.</param>
    /// <param name="startTimeout">To the first answer; <see cref="DefaultStartTimeout"/> where not given.</param>
    /// <exception cref="DeviceFaultException">The model does not answer, or not as a PCI device does.</exception>
    public RemoteBackend(SafeFileHandle socket, string name, TimeSpan? startTimeout = null)
    {
        _link = new RemoteLink(socket, name);
        try
        {
            RemoteBarLayout.AwaitFirstReset(_link, startTimeout ?? DefaultStartTimeout);
            _config = new RemoteConfig(_link);
            Identity = ReadIdentity(_config);
            _bars = RemoteBarLayout.Assign(_config, name);
            _memory = new RemoteMemory(_link);
            _driverHandles = [_link.Handle];
        }
        catch
        {
            _sink.Dispose();
            _link.Dispose();
            throw;
        }
    }

    public string Name => _link.Name;

    public BackendKind Kind => BackendKind.Remote;

    public PciIdentity Identity { get; }

    /// <summary>
    /// True: the model's address space holds the mapped regions and nothing else, so it reaches no other memory of anybody. Unlike an IOMMU
    /// this cannot make a region read-only for the device, see <see cref="Map"/>.
    /// </summary>
    public bool HasIommu => true;

    public IReadOnlyList<SafeFileHandle> DriverHandles => _driverHandles;

    public SafeFileHandle? RemovalRequested => null;

    /// <summary>Ends the model's process, called where that answers no more: every further step would take its time in vain, and with the process go its mappings.</summary>
    public Action? EndModel { get; set; }

    /// <summary>
    /// Makes a region visible to the model. May be called while a driver runs. Always readable and writable, whatever
    /// <paramref name="deviceAccess"/> says: QEMU maps every region shared and writable (hw/remote/memory.c), and one whose descriptor
    /// was opened read-only makes it end. What depends on read-only transmit pools can be shown with VFIO only.
    /// </summary>
    /// <exception cref="LinuxException">Seven regions are mapped already, the protocol's limit.</exception>
    public Iova Map(SharedRegion region, RegionAccess deviceAccess) => _memory.Map(region);

    public void Unmap(Iova start, long size)
    {
        try
        {
            _memory.Unmap(start, size);
        }
        catch (DeviceFaultException)
        {
            // The model has ended, and its mappings with it.
        }
    }

    /// <summary>
    /// Turns the line to eventfds that nobody looks at: the protocol can replace eventfds, not take them away. Not answered, so it
    /// works whatever the driver left in the socket.
    /// </summary>
    public void DisableInterrupts() => _link.SetIrqFds(_sink.Interrupt, _sink.Resample);

    public void ClearBusMaster() => Ask(() => _config.Write16(PciConfigSpace.Command, (ushort)(_config.Read16(PciConfigSpace.Command) & ~PciConfigSpace.CommandBusMaster)));

    /// <summary>Resets the model, and writes BARs and command register again, which the driver may have changed: decoding on, bus mastering off.</summary>
    /// <returns>False for an AHCI controller: with commands in flight QEMU 7.2 does not come back from its reset. Its driver waits for them, and resets it then.</returns>
    public bool Reset()
    {
        bool returns = Identity.ClassCode != AhciController;
        Ask(() =>
        {
            if (returns) _link.ResetDevice();
            RemoteBarLayout.Restore(_config, _bars);
        });
        return returns;
    }

    /// <summary>Closes the socket. The model ends when no driver holds it any more either; whoever started it ends it otherwise.</summary>
    public void Dispose()
    {
        _sink.Dispose();
        _memory.Dispose();
        _link.Dispose();
    }

    /// <summary>A step that the model has to answer, whatever a driver left in the socket.</summary>
    private void Ask(Action step)
    {
        try
        {
            _link.DrainStaleReply();
            step();
            _silences = 0;
        }
        catch (DeviceFaultException)
        {
            if (++_silences == MaxSilences) EndModel?.Invoke();
            throw;
        }
    }

    private static PciIdentity ReadIdentity(RemoteConfig config)
    {
        uint ids = config.Read32(PciConfigSpace.VendorId);
        uint classAndRevision = config.Read32(PciConfigSpace.RevisionAndClass);
        uint subsystem = config.Read32(PciConfigSpace.SubsystemVendorId);
        return new PciIdentity((ushort)ids, (ushort)(ids >> 16), (ushort)subsystem, (ushort)(subsystem >> 16), classAndRevision >> 8, (byte)classAndRevision);
    }
}
