using Xinim.Faults.Traffic;
using Xinim.Supervisor.Status;

namespace Xinim.Faults.Targets;

/// <summary>A device with its driver and a client.</summary>
internal sealed class DeviceTarget(string name, DeviceKind kind, bool obeys, int? modelPid, Workload workload, DaemonTarget daemon)
{
    /// <summary>The daemon's name for it.</summary>
    public string Name => name;

    public DeviceKind Kind => kind;

    /// <summary>True where the driver is the faulty one, which does on command what no driver should.</summary>
    public bool Obeys => obeys;

    /// <summary>Process of the device model; null for a device of VFIO.</summary>
    public int? ModelPid => modelPid;

    public Workload Workload => workload;

    public DaemonTarget Daemon => daemon;

    /// <summary>Process of the present driver, as last seen.</summary>
    public int DriverPid { get; private set; }

    public uint Generation { get; private set; }

    /// <summary>Asks the daemon, and remembers which driver runs.</summary>
    public DeviceReport Refresh()
    {
        DeviceReport report = daemon.Status().Devices.First(device => device.Name == Name);
        DriverPid = report.Pid ?? 0;
        Generation = report.Generation;
        return report;
    }
}
