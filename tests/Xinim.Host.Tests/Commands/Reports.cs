using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Tests.Commands;

/// <summary>Reports as a daemon would make them.</summary>
internal static class Reports
{
    public static DeviceReport Device(string name) => new()
    {
        Name = name, Device = "0000:00:03.0", Ids = "8086:100e", Driver = "e1000", State = DeviceState.Ready, Pid = 4711, StandbyPid = null, User = 65001, Generation = 3, Restarts = 2,
        LastFault = name == "net1" ? "killed by signal 11" : null, LastFaultKind = FaultKind.Signal, LastFaultTime = name == "net1" ? DateTimeOffset.UtcNow : null,
        Recovery = new RecoveryReport(0.5, 0.1, 4.1), Executable = "/opt/xinim-driver", StartMilliseconds = 4.2, Iommu = true, Class = "network", Mac = "52:54:00:12:34:56", Link = "up 1000 Mbit/s full duplex",
        Client = null, Regions = [], Counters = new Dictionary<string, ulong> { ["rxFrames"] = 12, ["txFrames"] = 34, ["txBytes"] = 2040, ["rxDropped"] = 1, ["txErrors"] = 2 }, CountersAt = 100,
        Faults = new Dictionary<FaultKind, ulong> { [FaultKind.Signal] = 2 }, Latency = new LatencyReport(500, 3.5, 20, 1234.5),
    };

    public static StatusReport Of(params IReadOnlyList<DeviceReport> devices) => new(99, 3661.5, devices);

    public static DeviceEvent Event(ulong number, string device, EventKind kind, string text = "as it came")
        => new(number, new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), device, kind, 3, kind == EventKind.Failed ? FaultKind.Signal : FaultKind.None, text, null);
}
