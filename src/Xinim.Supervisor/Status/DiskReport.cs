using System.Text.Json.Serialization;
using Xinim.Ipc.Protocols;

namespace Xinim.Supervisor.Status;

/// <summary>One disk of a device, or a port of a controller where one may come.</summary>
/// <param name="Name">What it is opened by.</param>
/// <param name="Port">Number of the controller's port; null where the device is the disk.</param>
/// <param name="Client">Who holds it; null for nobody.</param>
/// <param name="Block">The disk; null where there is none at the moment.</param>
/// <param name="Counters">By name, all drivers together.</param>
public sealed record DiskReport(string Name, uint? Port, string? Client, BlockReport? Block, IReadOnlyDictionary<string, ulong> Counters)
{
    /// <summary>Null where nothing is known.</summary>
    public HealthReport? Health { get; init; }

    /// <summary>Requests that failed or were refused.</summary>
    [JsonIgnore]
    public ulong Errors => Counters.GetValueOrDefault("errors") + Counters.GetValueOrDefault("rejected");
}

/// <summary>What a disk says of its own state. Null: it does not tell.</summary>
/// <param name="Temperature">Degrees Celsius.</param>
/// <param name="ReadAt">When the disk was asked, UTC.</param>
public sealed record HealthReport(BlockVerdict Verdict, int? Temperature, ulong PowerOnHours, ulong ReallocatedSectors, ulong PendingSectors, DateTimeOffset ReadAt)
{
    internal static HealthReport Of(in BlockHealth health, DateTimeOffset readAt) => new(
        health.Verdict, health.Temperature == int.MinValue ? null : health.Temperature, health.PowerOnHours, health.ReallocatedSectors, health.PendingSectors, readAt);
}
