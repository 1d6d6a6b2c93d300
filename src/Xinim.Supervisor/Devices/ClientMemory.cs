using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Supervisor.Devices;

/// <summary>What a client is to get.</summary>
/// <param name="Pools">Its memory, at most <see cref="AttachMessage.MaxRegions"/> pieces, in the order in which it receives them.</param>
/// <param name="Rings">Slots; the generation is filled in.</param>
/// <param name="MakeRings">Makes the class's rings of a shape.</param>
/// <param name="Wishes">Of a NIC's client.</param>
internal sealed record MemoryPlan(IReadOnlyList<PoolPlan> Pools, RingShape Rings, Func<RingShape, SharedRegion> MakeRings, NetworkWishes Wishes = NetworkWishes.None);

/// <summary>One piece of a client's memory.</summary>
/// <param name="Name">For the status.</param>
/// <param name="Tag">Of the region, shown in /proc/PID/maps.</param>
/// <param name="Access">What the device may do.</param>
internal readonly record struct PoolPlan(string Name, string Tag, ulong Bytes, RegionAccess Access);

/// <summary>
/// A client's memory: made and mapped for the device here, so that it stays while drivers come and go. The rings are made anew for every
/// generation.
/// </summary>
internal sealed class ClientMemory : IDisposable
{
    private readonly IDeviceBackend _backend;
    private readonly MemoryPlan _plan;
    private readonly GrantTable _grants = new();
    private readonly List<ClientPool> _pools = [];
    private readonly SafeFileHandle _driverBell = Descriptor.CreateEvent();

    /// <summary>One for each pair of queues of a NIC.</summary>
    private readonly SafeFileHandle[] _clientBells;
    private SharedRegion? _rings;

    /// <exception cref="Ipc.LinuxException">No memory, or the IOMMU takes no more.</exception>
    public ClientMemory(IDeviceBackend backend, MemoryPlan plan)
    {
        _backend = backend;
        _plan = plan;
        _clientBells = [.. Enumerable.Range(0, (int)plan.Rings.Pairs).Select(_ => Descriptor.CreateEvent())];
        try
        {
            foreach (PoolPlan pool in plan.Pools) Add(pool);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>In the order of the plan.</summary>
    public IReadOnlyList<ClientPool> Pools => _pools;

    /// <summary>Shape of the present generation's rings.</summary>
    public RingShape Shape { get; private set; }

    public uint RingsBytes => (uint)_rings!.Size;

    /// <summary>Makes fresh rings for a generation; the former ones are closed.</summary>
    public void Renew(uint generation)
    {
        CloseRings();
        _rings?.Dispose();
        _rings = null;
        Shape = _plan.Rings with { Generation = generation };
        _rings = _plan.MakeRings(Shape);
    }

    /// <summary>Stops intake: the client sees that this generation is over, and posts nothing more to it.</summary>
    public void CloseRings()
    {
        if (_rings is null) return;
        RingRegion.Close(_rings);
        foreach (SafeFileHandle bell in _clientBells) Descriptor.Signal(bell);
    }

    /// <summary>What the driver is told.</summary>
    public (AttachMessage Message, SafeFileHandle[] Handles) ForDriver()
    {
        AttachMessage message = new() { Rings = Shape, RingsBytes = RingsBytes, Count = (uint)_pools.Count, Wishes = _plan.Wishes };
        for (int i = 0; i < _pools.Count; i++)
        {
            ClientPool pool = _pools[i];
            message.Regions[i] = new RegionMessage(pool.Grant.Region, pool.Plan.Access, pool.Iova.Value, (ulong)pool.Region.Size);
            message.Grants[i] = pool.Grant;
        }

        return (message, [_rings!.Handle, _driverBell, .. _clientBells]);
    }

    /// <summary>What the client gets at first; of later generations it needs only the rings.</summary>
    public SafeFileHandle[] HandlesForClient(bool first) => first ? [.. _pools.Select(pool => pool.Region.Handle), _rings!.Handle, _clientBells[0], _driverBell, .. _clientBells[1..]] : [_rings!.Handle];

    /// <summary>
    /// Takes the memory from the device and frees it. Only when the driver has given it up or the device is quiet. A mapping that stays does
    /// not keep the others.
    /// </summary>
    public void Dispose()
    {
        try
        {
            Unmap(0);
        }
        finally
        {
            foreach (ClientPool pool in _pools) pool.Region.Dispose();
            _rings?.Dispose();
            _driverBell.Dispose();
            foreach (SafeFileHandle bell in _clientBells) bell.Dispose();
        }
    }

    private void Unmap(int first)
    {
        if (first == _pools.Count) return;
        try
        {
            _backend.Unmap(_pools[first].Iova, _pools[first].Region.Size);
        }
        finally
        {
            Unmap(first + 1);
        }
    }

    private void Add(PoolPlan plan)
    {
        SharedRegion region = SharedRegion.Create(plan.Tag, checked((long)plan.Bytes));
        try
        {
            Iova iova = _backend.Map(region, plan.Access);
            // Region 0 is the driver's own.
            Grant grant = _grants.Create((uint)_pools.Count + 1, (ulong)region.Size, 0, (ulong)region.Size, plan.Access);
            _pools.Add(new ClientPool(plan, region, iova, grant));
        }
        catch
        {
            region.Dispose();
            throw;
        }
    }
}

/// <summary>Memory of a client as the device has it.</summary>
internal sealed record ClientPool(PoolPlan Plan, SharedRegion Region, Iova Iova, Grant Grant);
