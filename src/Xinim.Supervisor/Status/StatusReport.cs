using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Policy;

namespace Xinim.Supervisor.Status;

/// <summary>What <c>xinim status --json</c> prints: the daemon's devices and drivers at one moment.</summary>
public sealed record StatusReport(int DaemonPid, double UptimeSeconds, IReadOnlyList<DeviceReport> Devices)
{
    public string ToJson() => JsonSerializer.Serialize(this, StatusJson.Default.StatusReport);

    public static StatusReport FromJson(string json) => JsonSerializer.Deserialize(json, StatusJson.Default.StatusReport) ?? throw new JsonException("an empty report");
}

/// <summary>One device.</summary>
public sealed record DeviceReport
{
    public required string Name { get; init; }

    public required string Device { get; init; }

    public required string Ids { get; init; }

    public required string Driver { get; init; }

    public required DeviceState State { get; init; }

    public required int? Pid { get; init; }

    /// <summary>Process of the next driver, which waits.</summary>
    public required int? StandbyPid { get; init; }

    /// <summary>User of the driver's process.</summary>
    public required uint User { get; init; }

    public required uint Generation { get; init; }

    public required uint Restarts { get; init; }

    public required string? LastFault { get; init; }

    public required FaultKind LastFaultKind { get; init; }

    /// <summary>When a driver of it failed last, UTC.</summary>
    public required DateTimeOffset? LastFaultTime { get; init; }

    /// <summary>What has to come before a driver can be started: the back end of a vhost-user device; null where nothing is missing.</summary>
    public string? WaitingFor { get; init; }

    /// <summary>From the start of the process, or its taking from standby, to Ready.</summary>
    public required double StartMilliseconds { get; init; }

    /// <summary>The last recovery in milliseconds: until the device was quiet, until there was a process, until Ready.</summary>
    public required RecoveryReport Recovery { get; init; }

    public required string Executable { get; init; }

    public required bool Iommu { get; init; }

    /// <summary>Class of devices that it belongs to.</summary>
    public required string Class { get; init; }

    /// <summary>Of a NIC; null of other devices.</summary>
    public string? Mac { get; init; }

    /// <summary>Of a NIC; null of other devices.</summary>
    public string? Link { get; init; }

    /// <summary>Of a device of disks, by port; null of other devices.</summary>
    public IReadOnlyList<DiskReport>? Disks { get; init; }

    /// <summary>Of a device that is one disk; null of others.</summary>
    [JsonIgnore]
    public BlockReport? Block => Disks is [{ Port: null } disk] ? disk.Block : null;

    /// <summary>Of a console device, by number; null of other devices.</summary>
    public IReadOnlyList<ConsolePortReport>? Ports { get; init; }

    public required string? Client { get; init; }

    public required IReadOnlyList<RegionReport> Regions { get; init; }

    /// <summary>Counters by name, all drivers of this device together.</summary>
    public required IReadOnlyDictionary<string, ulong> Counters { get; init; }

    /// <summary>When the driver told the counters: seconds of the machine's monotonic clock.</summary>
    public required double CountersAt { get; init; }

    /// <summary>Failures of its drivers so far, by kind.</summary>
    public required IReadOnlyDictionary<FaultKind, ulong> Faults { get; init; }

    /// <summary>What the present driver measured from taking a request to giving it back; null where none runs, or nothing was asked of it.</summary>
    public required LatencyReport? Latency { get; init; }

    /// <summary>Frames or requests that were damaged, dropped, failed or refused.</summary>
    [JsonIgnore]
    public ulong Errors => ErrorCounters.Aggregate(0ul, (sum, name) => sum + Counters.GetValueOrDefault(name));

    private static readonly string[] ErrorCounters = ["rxCrcErrors", "rxLengthErrors", "rxOtherErrors", "rxDropped", "txRejected", "txErrors", "errors", "rejected"];

    public string ToJson() => JsonSerializer.Serialize(this, StatusJson.Default.DeviceReport);
}

/// <summary>From taking a buffer from the submit ring to giving it back, µs: samples of one life, percentiles from a histogram of powers of two.</summary>
public sealed record LatencyReport(ulong Samples, double P50, double P99, double Max)
{
    /// <summary>Null where there are no samples.</summary>
    internal static LatencyReport? Of(LatencySummary? summary) => summary is not { Samples: > 0 } known ? null
        : new LatencyReport(known.Samples, Microseconds(known.P50), Microseconds(known.P99), Microseconds(known.Max));

    private static double Microseconds(double nanoseconds) => Math.Round(nanoseconds / 1000, 1);
}

/// <summary>Steps of a recovery, milliseconds; <paramref name="Quiet"/> is 0 for a first start.</summary>
public sealed record RecoveryReport(double Quiet, double Spawn, double BringUp);

/// <summary>Memory that the device can reach.</summary>
public sealed record RegionReport(string Name, string Iova, long Bytes, int PageBytes, string Access);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true)]
[JsonSerializable(typeof(StatusReport))]
[JsonSerializable(typeof(DeviceReport))]
internal sealed partial class StatusJson : JsonSerializerContext;

/// <summary>Fills a report.</summary>
internal static class StatusReporter
{
    public static DeviceReport Describe(ManagedDevice device) => device.Client.Describe(new DeviceReport
    {
        Name = device.Name,
        Device = device.Backend.Name,
        Ids = device.Backend.Identity.ToString(),
        Driver = device.Manifest.Name,
        State = device.State,
        Pid = device.Pid,
        StandbyPid = device.StandbyPid,
        User = device.Launch.User ?? Tmds.Linux.LibC.getuid(),
        Generation = device.Generation,
        Restarts = device.Restarts,
        LastFault = device.LastFault,
        LastFaultKind = device.LastFaultKind,
        LastFaultTime = device.Events.LastFailure,
        WaitingFor = device.Missing,
        StartMilliseconds = Milliseconds(device.Times.Start),
        Recovery = new RecoveryReport(Milliseconds(device.Times.Quiet), Milliseconds(device.Times.Spawn), Milliseconds(device.Times.BringUp)),
        Executable = device.Launch.Executable,
        Iommu = device.Backend.HasIommu,
        Class = device.Class.Name,
        Client = device.Client.Occupants,
        Regions = [.. Regions(device)],
        Counters = device.Client.Counters.ByName,
        CountersAt = Math.Round(device.Client.Counters.Time / (double)Stopwatch.Frequency, 6),
        Faults = device.Events.Faults,
        Latency = LatencyReport.Of(device.Latency),
    });

    private static double Milliseconds(TimeSpan time) => Math.Round(time.TotalMilliseconds, 2);

    private static IEnumerable<RegionReport> Regions(ManagedDevice device)
    {
        yield return new RegionReport("work", device.Work.Iova.ToString(), device.Work.Region.Size, device.Work.Region.PageSize, "ReadWrite");
        foreach (ClientPool pool in device.Client.Pools)
            yield return new RegionReport(pool.Plan.Name, pool.Iova.ToString(), pool.Region.Size, pool.Region.PageSize, pool.Plan.Access.ToString());
    }
}
