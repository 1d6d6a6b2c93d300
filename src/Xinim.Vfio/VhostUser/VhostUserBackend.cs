using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Native;
using Xinim.Vfio.Sockets;

namespace Xinim.Vfio.VhostUser;

/// <summary>
/// A vhost-user device as the supervisor holds it: where its back end listens, the memory that the back end may reach, and one connection for
/// each driver's life. A back end may be away, at the start and at any time later: <see cref="FindMissing"/> looks for it, and the next
/// driver starts when it is there.
/// </summary>
public sealed class VhostUserBackend : IDeviceBackend
{
    private const ushort VirtioVendor = 0x1AF4;
    private const ushort FirstVirtioDevice = 0x1040;

    /// <summary>One look may take this long: a back end that is well answers in less, and one that is not must not hold up the supervisor.</summary>
    private static readonly TimeSpan LookLimit = TimeSpan.FromMilliseconds(20);

    /// <summary>Without an answer after this a new connection is tried.</summary>
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(10);

    private readonly VhostUserAddress _address;
    private readonly VhostUserMemory _memory;
    private readonly EventGroup _lost = new();
    private VhostUserConnection? _connection;
    private long _connected;
    private bool _ready;

    public VhostUserBackend(VhostUserAddress address)
    {
        _address = address;
        _memory = new VhostUserMemory(address.Text);
        // As a PCI function of that type has them [V §4.1.2.1]; the class is what PCI calls such a device.
        Identity = new PciIdentity(VirtioVendor, (ushort)(FirstVirtioDevice + address.Type), VirtioVendor, (ushort)address.Type, address.Type == 1 ? 0x020000u : 0x018000u, 1);
    }

    public string Name => _address.Text;

    public BackendKind Kind => BackendKind.VhostUser;

    public PciIdentity Identity { get; }

    /// <summary>True: a back end reaches the memory whose descriptors it was given, and no other of ours. See <see cref="Map"/>.</summary>
    public bool HasIommu => true;

    public IReadOnlyList<SafeFileHandle> DriverHandles => _ready ? _connection!.DriverHandles : [];

    public SafeFileHandle? RemovalRequested => null;

    public SafeFileHandle? Lost => _lost.Handle;

    /// <summary>
    /// Makes a region visible to the back end, now or when it connects. Always readable and writable, whatever <paramref name="deviceAccess"/>
    /// says: back ends map all memory so, and the protocol has no word for less. A back end keeps what it has mapped as long as it
    /// likes; the memory is its own copy of the descriptor's.
    /// </summary>
    public Iova Map(SharedRegion region, RegionAccess deviceAccess) => _memory.Map(region, _ready ? _connection : null);

    public void Unmap(Iova start, long size) => _memory.Unmap(start, size, _ready ? _connection : null);

    /// <summary>Nothing to do: interrupts are the dead driver's own eventfds, which nobody reads any more.</summary>
    public void DisableInterrupts()
    {
    }

    /// <summary>Ends the connection, for everybody who holds it: the back end stops its rings and forgets them.</summary>
    public void ClearBusMaster()
    {
        if (_connection is null) return;
        if (_ready) _lost.Remove(_connection.Handle);
        _ready = false;
        _connection.Dispose();
        _connection = null;
    }

    /// <summary>The same; that the back end has noticed is known when it answers on the next connection, before which no driver starts.</summary>
    public bool Reset()
    {
        ClearBusMaster();
        return true;
    }

    public string? FindMissing()
    {
        try
        {
            if (_ready) return null;
            if (_connection is null && Connect() is { } error) return $"waiting for the back end at {_address.Path}: {error}";
            if (_connection!.Advance(LookLimit)) return Finish();
            if (Stopwatch.GetElapsedTime(_connected) > AnswerLimit) ClearBusMaster();
            return $"waiting for the back end at {_address.Path}: it does not answer; it is stopped, serves somebody else, or finishes what it was asked for";
        }
        catch (DeviceFaultException fault)
        {
            ClearBusMaster();
            return $"waiting for a better back end at {_address.Path}: {fault.Message}";
        }
    }

    public void Dispose()
    {
        ClearBusMaster();
        _memory.Dispose();
        _lost.Dispose();
    }

    /// <returns>Why not; null where there is a connection.</returns>
    private string? Connect()
    {
        SafeFileHandle? socket = StreamSocket.TryConnect(_address.Path, out int error);
        if (socket is null) return error == Errno.EAGAIN ? "others wait there to be served" : Marshal.GetPInvokeErrorMessage(error);
        _connected = Stopwatch.GetTimestamp();
        _connection = new VhostUserConnection(socket, Name);
        return null;
    }

    private string? Finish()
    {
        if (_memory.SendAll(_connection!) is { } problem)
        {
            ClearBusMaster();
            return $"waiting for a better back end at {_address.Path}: {problem}";
        }

        _lost.AddHangUp(_connection!.Handle);
        _ready = true;
        return null;
    }
}
