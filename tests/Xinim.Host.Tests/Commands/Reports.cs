using Xinim.Ipc.Protocols;
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

    /// <summary>A device that is one disk.</summary>
    public static DeviceReport Disk(string name) => Device(name) with { Class = "block", Mac = null, Link = null, Disks = [new DiskReport(name, null, null, Block(1), Device(name).Counters)] };

    /// <summary>A controller with an empty port 0 and a disk on port 1.</summary>
    public static DeviceReport Controller(string name) => Disk(name) with
    {
        Device = "0000:00:04.0",
        Driver = "ahci",
        Disks =
        [
            new DiskReport($"{name}.0", 0, null, null, new Dictionary<string, ulong>()),
            new DiskReport($"{name}.1", 1, "process 7 of user 0", Block(2), new Dictionary<string, ulong> { ["reads"] = 5, ["writes"] = 6, ["readBytes"] = 2560, ["errors"] = 1 })
            {
                Health = new HealthReport(BlockVerdict.Failing, 61, 4711, 2, 3, new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero)),
            },
        ],
    };

    public static StatusReport Of(params IReadOnlyList<DeviceReport> devices) => new(99, 3661.5, devices);

    private static BlockReport Block(int number) => new(8388608, 16384, 512, 4096, false, true, $"S{number}", $"M{number}")
    {
        Features = ["flush"], MaxRequestBytes = 1 << 20, MaxSegments = 16, QueueDepth = 64, Queues = 1,
    };

    public static DeviceEvent Event(ulong number, string device, EventKind kind, string text = "as it came")
        => new(number, new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), device, kind, 3, kind == EventKind.Failed ? FaultKind.Signal : FaultKind.None, text, null);
}
