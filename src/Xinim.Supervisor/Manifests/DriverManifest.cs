using System.Text;
using System.Text.Json.Serialization;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Policy;
using Xinim.Vfio;

namespace Xinim.Supervisor.Manifests;

/// <summary>
/// What a driver is, which devices it is for and what it may have: a JSON file beside the executable. Dropping in an executable and a
/// manifest installs a driver; the supervisor holds no knowledge of any device.
/// </summary>
public sealed record DriverManifest
{
    /// <summary>Unique; the executable knows the driver by it.</summary>
    public required string Name { get; init; }

    public required string Version { get; init; }

    /// <summary>File name in the folder of the manifests' parent, or an absolute path.</summary>
    public required string Executable { get; init; }

    /// <summary>The class protocol that it speaks; those that there are stand in <see cref="DeviceClass"/>.</summary>
    public required string Class { get; init; }

    /// <summary>Devices by ids or class; the forms are those of <see cref="DeviceMatch"/>. Where several drivers match, the most specific entry wins.</summary>
    public required IReadOnlyList<string> Matches { get; init; }

    /// <summary>Its devices are called so, with a number, where they have no other name; by default what their class says.</summary>
    public string? Prefix { get; init; }

    /// <summary>Bytes of descriptor memory.</summary>
    public long DmaBytes { get; set; } = 2 << 20;

    /// <summary>From start to Ready at the most, milliseconds.</summary>
    public int StartLimit { get; set; } = 10_000;

    /// <summary>From a question to its answer at the most, milliseconds.</summary>
    public int AnswerLimit { get; set; } = 5_000;

    /// <summary>When its silence counts as a hang.</summary>
    public HeartbeatSettings Heartbeat { get; set; } = new();

    /// <summary>What follows its failures; the configuration can say otherwise for a device.</summary>
    public RestartSettings Restart { get; set; } = new();

    /// <summary>A second process is kept ready, some 5 MiB of memory, so that a restart takes only the device's bring-up.</summary>
    public bool Standby { get; set; } = true;

    /// <summary>What its process may use up.</summary>
    public DriverLimits Limits { get; set; } = new();

    /// <summary>How specifically one of the entries matches the device; 0 where none does.</summary>
    internal int RankFor(PciIdentity identity)
        => Matches.Select(DeviceMatch.Parse).Where(match => match!.IsFor(identity)).Select(match => match!.Rank).DefaultIfEmpty().Max();

    /// <summary>What is wrong with it; null if nothing is.</summary>
    internal string? Problem()
    {
        if (string.IsNullOrWhiteSpace(Name)) return "'name' is empty";
        if (Encoding.UTF8.GetByteCount(Name) > FixedText.Bytes) return $"'name' has more than {FixedText.Bytes} bytes";
        if (string.IsNullOrWhiteSpace(Executable)) return "'executable' is empty; it is a file name such as xinim-driver, or an absolute path";
        if (DeviceClass.Find(Class) is null) return $"'class' is '{Class}'; allowed: {DeviceClass.Names}";
        if (Prefix is { } prefix && (prefix.Length is 0 or > 16 || !prefix.All(char.IsAsciiLetterLower))) return $"'prefix' is '{prefix}'; 1 to 16 small letters are allowed";
        if (Matches.Count == 0) return "'matches' is empty; list ids such as \"8086:100e\"";
        foreach (string? match in Matches)
        {
            if (DeviceMatch.Parse(match) is null) return $"'matches' has '{match}'; write {DeviceMatch.Forms}";
        }

        if (DmaBytes is < 4096 or > 1 << 30) return $"'dmaBytes' is {DmaBytes}; allowed: 4096 to {1 << 30}";
        if (StartLimit is < 1 or > 600_000) return $"'startLimit' is {StartLimit}; allowed: 1 to 600000 milliseconds";
        if (AnswerLimit is < 1 or > 600_000) return $"'answerLimit' is {AnswerLimit}; allowed: 1 to 600000 milliseconds";
        return Heartbeat.Problem() ?? (Restart.Problem() is { } problem ? $"'restart': {problem}" : Limits.Problem());
    }
}

/// <summary>Reads manifests without reflection; unknown keys are errors.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    AllowDuplicateProperties = false,
    ReadCommentHandling = System.Text.Json.JsonCommentHandling.Skip,
    AllowTrailingCommas = true)]
[JsonSerializable(typeof(DriverManifest))]
internal sealed partial class ManifestJson : JsonSerializerContext;
