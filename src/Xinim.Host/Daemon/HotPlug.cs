using Microsoft.Extensions.Logging;
using Xinim.Ipc;
using Xinim.Vfio.Pci;

namespace Xinim.Host.Daemon;

/// <summary>
/// Devices that come while the daemon runs: the kernel's uevents, heard on the supervisor's loop. Those that go ask for it through VFIO, which
/// the supervisor itself watches.
/// </summary>
internal sealed class HotPlug : IDisposable
{
    private readonly DeviceSet _devices;
    private readonly ILogger _log;
    private readonly PciEvents _events;
    private readonly List<PciEvent> _batch = [];

    private HotPlug(DeviceSet devices, ILogger log, PciEvents events)
    {
        _devices = devices;
        _log = log;
        _events = events;
    }

    /// <summary>Listens from now on; where that is not allowed, only devices that are there at the start are taken, and the log says so.</summary>
    public static HotPlug? Start(Supervisor.Supervisor supervisor, DeviceSet devices, ILogger log)
    {
        try
        {
            HotPlug plug = new(devices, log, PciEvents.Open());
            supervisor.Loop.Watch(plug._events.Handle, plug.OnEvents);
            return plug;
        }
        catch (LinuxException exception)
        {
            log.LogWarning("devices that come later are not noticed: {Reason}", exception.Message);
            return null;
        }
    }

    public void Dispose() => _events.Dispose();

    private void OnEvents()
    {
        _batch.Clear();
        bool complete = _events.TryRead(_batch);
        foreach (PciEvent happened in _batch)
        {
            if (happened is { Action: "add" }) _devices.OnAppeared(happened.Address);
            else if (happened is { Action: "bind", Driver: DriverBinding.VfioDriver }) _devices.OnBound(happened.Address);
            else if (happened is { Action: "remove" }) _devices.OnRemoved(happened.Address);
        }

        if (complete) return;
        _log.LogWarning("uevents were lost; looking at every device");
        _devices.LookAgain();
    }
}
