using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Network;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Hosting;

/// <summary>The main loop of a NIC driver process.</summary>
internal sealed class NetworkLoop(LoopSetup setup, INetworkDriver driver) : DriverLoop<NetworkRings.DriverEnd>(setup, driver)
{
    private readonly INetworkDriver _driver = driver;
    private readonly TransmitSampler _sampler = new(setup.Heart.Signs);
    private readonly NetworkFilters _filters = setup.Filters;
    private LinkState _reportedLink;

    protected override bool WakesInTime => _driver.TxBacklog;

    protected override byte[] BringUp()
    {
        // One that cannot do what its predecessor did never becomes Ready.
        _driver.SetFilters(_filters);
        NetworkDeviceInfo info = _driver.Start();
        _reportedLink = info.Link;
        return MemoryMarshal.AsBytes(new ReadOnlySpan<NetworkDeviceInfo>(in info)).ToArray();
    }

    protected override NetworkRings.DriverEnd OpenRings(SharedRegion memory, RingShape shape, SafeFileHandle own, SafeFileHandle peer) => new(memory, shape, own, peer);

    protected override Work Pass(NetworkRings.DriverEnd rings)
    {
        uint received = _driver.RxReturn(rings.Received);
        uint given = _driver.RxProvide(rings.Free);
        uint submitted = _driver.TxProvide(rings.Submit);
        _sampler.OnTaken(submitted);
        uint completed = _driver.TxReturn(rings.Completed);
        _sampler.OnReturned(completed);
        if ((received | completed) != 0) rings.Client.Ring();
        return (submitted | completed) != 0 ? Work.Client : (received | given) != 0 ? Work.Device : Work.None;
    }

    protected override void StopIntake() => _driver.StopReceiving();

    protected override bool Drain(NetworkRings.DriverEnd rings)
    {
        if (_driver.RxReturn(rings.Received) + _driver.TxReturn(rings.Completed) != 0) return true;
        Thread.Yield();
        return _driver.TxBusy;
    }

    protected override void OnDetached() => _sampler.Forget();

    protected override void ReportChanges()
    {
        if (_driver.Link == _reportedLink) return;
        _reportedLink = _driver.Link;
        Tell(ControlMessage.LinkChanged, _reportedLink);
    }

    protected override bool TryObey(ChannelMessage message)
    {
        if (message.Header.Type != (uint)ControlMessage.SetFilters) return false;
        _driver.SetFilters(message.Get<NetworkFilters>());
        return true;
    }

    protected override byte[] ReadStatistics()
    {
        NetworkStatistics statistics = _driver.Statistics;
        return MemoryMarshal.AsBytes(new ReadOnlySpan<NetworkStatistics>(in statistics)).ToArray();
    }
}
