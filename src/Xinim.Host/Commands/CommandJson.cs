using System.Text.Json.Serialization;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Commands;

/// <summary>Everything that commands print as JSON, written without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true)]
[JsonSerializable(typeof(IReadOnlyList<ListedDevice>))]
[JsonSerializable(typeof(IReadOnlyList<ListedDisk>))]
[JsonSerializable(typeof(HealthReport))]
[JsonSerializable(typeof(TransferSummary))]
[JsonSerializable(typeof(DiskBenchSummary))]
[JsonSerializable(typeof(IReadOnlyList<ConsolePortReport>))]
[JsonSerializable(typeof(PingSummary))]
[JsonSerializable(typeof(SendSummary))]
[JsonSerializable(typeof(ReceiveSummary))]
internal sealed partial class CommandJson : JsonSerializerContext;
