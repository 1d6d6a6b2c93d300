using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// A client's packet memory: made and mapped for the device here, so that it stays while drivers come and go. The transmit pool
/// is mapped for the device to read only, and the rings are made anew for every generation.
/// </summary>
internal sealed class ClientMemory : IDisposable
{
    private const uint TxRegion = 1;
    private const uint RxRegion = 2;

    private readonly IDeviceBackend _backend;
    private readonly OpenNetworkMessage _wish;
    private readonly GrantTable _grants = new();
    private readonly SharedRegion _tx;
    private readonly SharedRegion _rx;
    private readonly Iova _txIova;
    private readonly Iova _rxIova;
    private readonly Grant _txGrant;
    private readonly Grant _rxGrant;
    private readonly SafeFileHandle _driverBell = Descriptor.CreateEvent();
    private readonly SafeFileHandle _clientBell = Descriptor.CreateEvent();
    private SharedRegion? _rings;
    private RingShape _shape;

    /// <exception cref="Ipc.LinuxException">No memory, or the IOMMU takes no more.</exception>
    public ClientMemory(IDeviceBackend backend, in OpenNetworkMessage wish)
    {
        _backend = backend;
        _wish = wish;
        _tx = SharedRegion.Create("xinim-net-tx", checked((long)wish.TxPoolBytes));
        try
        {
            _rx = SharedRegion.Create("xinim-net-rx", checked((long)wish.RxPoolBytes));
            _txIova = backend.Map(_tx, RegionAccess.Read);
        }
        catch
        {
            _tx.Dispose();
            _rx?.Dispose();
            throw;
        }

        try
        {
            _rxIova = backend.Map(_rx, RegionAccess.ReadWrite);
        }
        catch
        {
            backend.Unmap(_txIova, _tx.Size);
            _tx.Dispose();
            _rx.Dispose();
            throw;
        }

        _txGrant = _grants.Create(TxRegion, (ulong)_tx.Size, 0, (ulong)_tx.Size, RegionAccess.Read);
        _rxGrant = _grants.Create(RxRegion, (ulong)_rx.Size, 0, (ulong)_rx.Size, RegionAccess.ReadWrite);
    }

    /// <summary>Regions with page sizes, for the status.</summary>
    public IEnumerable<(string Name, SharedRegion Region, Iova Iova, RegionAccess Access)> Regions =>
        [("transmit pool", _tx, _txIova, RegionAccess.Read), ("receive pool", _rx, _rxIova, RegionAccess.ReadWrite)];

    /// <summary>For a client that asks with sizes that a device can have; null where nothing is wrong.</summary>
    public static string? Problem(in OpenNetworkMessage wish)
    {
        if (!IsRing(wish.TxCapacity) || !IsRing(wish.RxCapacity))
            return $"ring capacities {wish.TxCapacity} and {wish.RxCapacity}: powers of two from 2 to {NetworkRings.MaxCapacity} are allowed";
        if (wish.TxPoolBytes == 0 || wish.RxPoolBytes == 0) return "a pool of 0 bytes; both pools need memory";
        return wish.TxPoolBytes > OpenNetworkMessage.MaxPoolBytes || wish.RxPoolBytes > OpenNetworkMessage.MaxPoolBytes - wish.TxPoolBytes
            ? $"pools of {wish.TxPoolBytes} and {wish.RxPoolBytes} bytes; {OpenNetworkMessage.MaxPoolBytes} are allowed together"
            : null;
    }

    /// <summary>Makes fresh rings for a generation; the former ones are closed.</summary>
    public void Renew(uint generation)
    {
        CloseRings();
        _rings?.Dispose();
        _rings = NetworkRings.Create(_wish.TxCapacity, _wish.RxCapacity, generation);
        _shape = new RingShape(_wish.TxCapacity, _wish.RxCapacity, generation);
    }

    /// <summary>Stops intake: the client sees that this generation is over, and posts nothing more to it.</summary>
    public void CloseRings()
    {
        if (_rings is null) return;
        NetworkRings.Close(_rings);
        Descriptor.Signal(_clientBell);
    }

    /// <summary>What the driver is told.</summary>
    public (AttachMessage Message, SafeFileHandle[] Handles) ForDriver()
    {
        AttachMessage message = new() { Rings = _shape, RingsBytes = (uint)_rings!.Size, Count = 2 };
        message.Regions[0] = new RegionMessage(TxRegion, RegionAccess.Read, _txIova.Value, (ulong)_tx.Size);
        message.Regions[1] = new RegionMessage(RxRegion, RegionAccess.ReadWrite, _rxIova.Value, (ulong)_rx.Size);
        message.Grants[0] = _txGrant;
        message.Grants[1] = _rxGrant;
        return (message, [_rings.Handle, _driverBell, _clientBell]);
    }

    /// <summary>What the client is told at first; of later generations it needs only the rings.</summary>
    public (OpenedNetworkMessage Message, SafeFileHandle[] Handles) ForClient(in NetworkDeviceInfo info, bool first)
    {
        OpenedNetworkMessage message = new()
        {
            Rings = _shape,
            RingsBytes = (uint)_rings!.Size,
            TxPoolBytes = (ulong)_tx.Size,
            RxPoolBytes = (ulong)_rx.Size,
            TxGrant = _txGrant.Handle,
            RxGrant = _rxGrant.Handle,
            Info = info,
        };
        return (message, first ? [_tx.Handle, _rx.Handle, _rings.Handle, _clientBell, _driverBell] : [_rings.Handle]);
    }

    /// <summary>Takes the memory from the device and frees it. Only when the driver has given it up or the device is quiet.</summary>
    public void Dispose()
    {
        try
        {
            _backend.Unmap(_txIova, _tx.Size);
        }
        finally
        {
            try
            {
                _backend.Unmap(_rxIova, _rx.Size);
            }
            finally
            {
                Close();
            }
        }
    }

    private void Close()
    {
        _tx.Dispose();
        _rx.Dispose();
        _rings?.Dispose();
        _driverBell.Dispose();
        _clientBell.Dispose();
    }

    private static bool IsRing(uint capacity) => capacity is >= 2 and <= NetworkRings.MaxCapacity && uint.IsPow2(capacity);
}
