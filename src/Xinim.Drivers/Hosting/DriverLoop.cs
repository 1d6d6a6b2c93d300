using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Hosting;

/// <summary>The loop of a class whose devices have one client at a time, with memory that the device reaches. A class adds its rings and its messages.</summary>
internal abstract class DriverLoop<TRings> : ServiceLoop
    where TRings : class, IDriverRings
{
    private readonly IDeviceDriver _driver;
    private readonly DmaRegion _work;
    private AttachedClient<TRings>? _client;

    /// <param name="driver">Owned.</param>
    protected DriverLoop(LoopSetup setup, IDeviceDriver driver)
        : base(setup, driver)
    {
        _driver = driver;
        _work = setup.Work;
    }

    /// <summary>Attaches to a client's rings.</summary>
    protected abstract TRings OpenRings(SharedRegion memory, RingShape shape, SafeFileHandle own, SafeFileHandle peer);

    /// <summary>The data path: one pass over all rings, rings the client if anything came for it.</summary>
    protected abstract Work Pass(TRings rings);

    /// <inheritdoc cref="ServiceLoop.Drain"/>
    protected abstract bool Drain(TRings rings);

    /// <summary>Nothing is with the device any more.</summary>
    protected abstract void OnDetached();

    /// <inheritdoc cref="ServiceLoop.Obey"/>
    protected abstract bool TryObey(ChannelMessage message);

    protected sealed override Work Poll()
    {
        if (_client is not { } client) return Work.None;
        try
        {
            return Pass(client.Rings);
        }
        catch (RingException exception)
        {
            DropClient();
            TellText(ControlMessage.ClientFault, exception.Message);
            return Work.None;
        }
    }

    protected sealed override void PrepareToSleep() => _client?.Rings.Own.PrepareToSleep();

    protected sealed override void Awake() => _client?.Rings.Own.Awake();

    protected sealed override bool Drain() => _client is { } client && Drain(client.Rings);

    protected sealed override void OnDrained() => _client?.Rings.Client.Ring();

    protected sealed override void DropClients() => _client?.Dispose();

    protected sealed override bool Obey(ChannelMessage message)
    {
        switch ((ControlMessage)message.Header.Type)
        {
            case ControlMessage.Attach: Attach(message); return true;
            case ControlMessage.Detach: DropClient(); return true;
            default: return TryObey(message);
        }
    }

    private void Attach(ChannelMessage message)
    {
        if (_client is not null) throw new ArgumentException("a client is attached already");
        AttachMessage what = message.Get<AttachMessage>();
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
        AttachedClient<TRings> client = new(message, what, Events, OpenRings);
        try
        {
            _driver.Attach(buffers);
        }
        catch
        {
            client.Dispose();
            throw;
        }

        _client = client;
    }

    private void DropClient()
    {
        if (_client is not { } client) return;
        _client = null;
        _driver.Detach();
        OnDetached();
        ForgetArming();
        client.Dispose();
    }
}
