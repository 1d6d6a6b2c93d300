using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Network;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Hosting;

/// <summary>The main loop of a NIC driver process.</summary>
internal sealed class NetworkLoop(LoopSetup setup, INetworkDriver driver) : DriverLoop<NetworkRings.DriverSide>(setup, driver)
{
    private readonly INetworkDriver _driver = driver;
    private readonly VitalSigns _signs = setup.Heart.Signs;
    private readonly NetworkFilters _filters = setup.Filters;
    private LinkState _reportedLink;

    protected override bool WakesInTime => _driver.TxBacklog;

    protected override byte[] BringUp()
    {
        // One that cannot do what its predecessor did never becomes Ready.
        _driver.SetFilters(_filters);
        NetworkDeviceInfo info = _driver.Start();
        _reportedLink = info.Link;
        Serve(new NetworkUnit(_driver, _signs));
        return MemoryMarshal.AsBytes(new ReadOnlySpan<NetworkDeviceInfo>(in info)).ToArray();
    }

    protected override NetworkRings.DriverSide OpenRings(SharedRegion memory, RingShape shape, SafeFileHandle own, SafeFileHandle[] peers) => new(memory, shape, own, peers);

    protected override void StopIntake() => _driver.StopReceiving();

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
