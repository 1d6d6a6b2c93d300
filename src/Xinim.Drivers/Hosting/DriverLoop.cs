using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Hosting;

/// <summary>
/// The loop of a class whose units have one client each at a time, with memory that the device reaches: most devices are one unit, a
/// controller has several. A class adds its units, its rings and its messages.
/// </summary>
internal abstract class DriverLoop<TRings> : ServiceLoop
    where TRings : class, IDriverRings
{
    private readonly DmaRegion _work;
    private ServedUnit<TRings>[] _units = [];

    /// <summary>Those of them that have a client: a pass costs nothing for the others.</summary>
    private ServedUnit<TRings>[] _attached = [];

    /// <param name="driver">Owned.</param>
    protected DriverLoop(LoopSetup setup, IDriver driver)
        : base(setup, driver) => _work = setup.Work;

    /// <summary>Attaches to a client's rings.</summary>
    protected abstract TRings OpenRings(SharedRegion memory, RingShape shape, SafeFileHandle own, SafeFileHandle[] peers);

    /// <inheritdoc cref="ServiceLoop.Obey"/>
    protected abstract bool TryObey(ChannelMessage message);

    /// <summary>Called by <see cref="ServiceLoop.BringUp"/>: what the device has, in the order of its numbers.</summary>
    protected void Serve(params ServedUnit<TRings>[] units) => _units = units;

    /// <summary>The unit that a message is for.</summary>
    /// <exception cref="ArgumentException">There is none of that number.</exception>
    protected ServedUnit<TRings> UnitOf(ChannelMessage message) => message.Header.Unit < (uint)_units.Length ? _units[message.Header.Unit]
        : throw new ArgumentException($"there is no unit {message.Header.Unit}; the device has {_units.Length}");

    protected sealed override Work Poll()
    {
        Work found = Work.None;
        foreach (ServedUnit<TRings> unit in _attached)
        {
            Work work = Pass(unit);
            if (work > found) found = work;
        }

        return found;
    }

    protected sealed override void PrepareToSleep()
    {
        foreach (ServedUnit<TRings> unit in _attached) unit.Client!.Rings.Own.PrepareToSleep();
    }

    protected sealed override void Awake()
    {
        foreach (ServedUnit<TRings> unit in _attached) unit.Client!.Rings.Own.Awake();
    }

    protected sealed override bool Drain()
    {
        bool more = false;
        foreach (ServedUnit<TRings> unit in _attached)
        {
            try
            {
                more |= unit.Drain(unit.Client!.Rings);
            }
            catch (RingException exception)
            {
                GiveUp(unit, exception);
            }
        }

        return more;
    }

    protected sealed override void OnDrained()
    {
        foreach (ServedUnit<TRings> unit in _attached) unit.Client!.Rings.WakeClient();
    }

    protected sealed override void DropClients()
    {
        foreach (ServedUnit<TRings> unit in _attached) unit.Drop();
    }

    protected sealed override bool Obey(ChannelMessage message)
    {
        switch ((ControlMessage)message.Header.Type)
        {
            case ControlMessage.Attach: Attach(UnitOf(message), message); return true;
            case ControlMessage.Detach: Detach(UnitOf(message)); return true;
            default: return TryObey(message);
        }
    }

    private Work Pass(ServedUnit<TRings> unit)
    {
        try
        {
            return unit.Pass(unit.Client!.Rings);
        }
        catch (RingException exception)
        {
            GiveUp(unit, exception);
            return Work.None;
        }
    }

    /// <summary>The client of a unit broke its rings; those of the others are served on.</summary>
    private void GiveUp(ServedUnit<TRings> unit, RingException exception)
    {
        Detach(unit);
        TellText(ControlMessage.ClientFault, exception.Message, unit.Number);
    }

    private void Attach(ServedUnit<TRings> unit, ChannelMessage message)
    {
        if (unit.Client is not null) throw new ArgumentException("a client is attached already");
        if (unit.Problem is { } problem) throw new ArgumentException(problem);
        AttachMessage what = message.Get<AttachMessage>();
        if (message.HandleCount != 2 + what.Rings.Pairs) throw new ArgumentException($"{message.HandleCount} descriptors for {what.Rings.Pairs} pairs of queues");
        if (what.Count > AttachMessage.MaxRegions) throw new ArgumentException($"{what.Count} grants; {AttachMessage.MaxRegions} are allowed");
        List<DmaRegion> regions = [];
        List<Grant> grants = [];
        for (int i = 0; i < what.Count; i++)
        {
            RegionMessage region = what.Regions[i];
            regions.Add(new DmaRegion(region.Id, new Iova(region.Iova), checked((long)region.Size), region.DeviceAccess));
            grants.Add(what.Grants[i]);
        }

        if (regions.Exists(region => region.Id == _work.Id)) throw new ArgumentException($"region {_work.Id} is the driver's own");
        BufferTable buffers = new(grants, regions);
        unit.Attach(new AttachedClient<TRings>(message, what, Events, OpenRings), what, buffers);
        FindAttached();
    }

    private void Detach(ServedUnit<TRings> unit)
    {
        unit.Detach();
        FindAttached();
    }

    private void FindAttached()
    {
        _attached = Array.FindAll(_units, unit => unit.Client is not null);
        SetClients(_attached.Sum(unit => unit.Client!.Rings.Count));
    }
}
