using System.Text.Json;
using System.Text.Json.Serialization;
using Xinim.Supervisor.Policy;

namespace Xinim.Supervisor.Events;

/// <summary>What can happen to a device.</summary>
public enum EventKind
{
    /// <summary>The daemon took the device.</summary>
    Attached,

    /// <summary>A driver serves.</summary>
    Ready,

    /// <summary>A driver ended unasked, or did not get ready.</summary>
    Failed,

    /// <summary>The next driver follows after a pause.</summary>
    Waiting,

    /// <summary>A driver was stopped, or a policy script leaves the device without one.</summary>
    Stopped,

    /// <summary>Another version of the driver serves.</summary>
    Updated,

    /// <summary>Another version did not get ready; the former one comes back.</summary>
    RolledBack,

    /// <summary>Too many failures in a row.</summary>
    GivenUp,

    /// <summary>The link went up or down.</summary>
    Link,

    /// <summary>A disk came, went, expects to fail, or its size or write cache is another one.</summary>
    Changed,

    /// <summary>A client holds the device.</summary>
    Opened,

    /// <summary>A client holds it no longer.</summary>
    Closed,

    /// <summary>The device disappeared.</summary>
    Gone,

    /// <summary>Somebody wants the device back: its driver finishes.</summary>
    Detaching,

    /// <summary>The daemon has let go of the device.</summary>
    Detached,
}

/// <summary>Something that happened to a device.</summary>
/// <param name="Number">1 for the daemon's first event, without gaps.</param>
/// <param name="Time">UTC.</param>
/// <param name="Generation">The driver's life that it concerns.</param>
/// <param name="Fault">For Failed.</param>
/// <param name="Milliseconds">How long it took; null where that means nothing.</param>
public sealed record DeviceEvent(
    ulong Number, DateTimeOffset Time, string Device, EventKind Kind, uint Generation, FaultKind Fault, string Text, double? Milliseconds)
{
    /// <summary>One line of JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, EventJson.Default.DeviceEvent);
}

/// <summary>Events as the daemon answers them.</summary>
/// <param name="First">The oldest that the daemon still has.</param>
/// <param name="Last">The newest; 0 where nothing has happened.</param>
public sealed record EventPage(ulong First, ulong Last, IReadOnlyList<DeviceEvent> Events)
{
    public string ToJson() => JsonSerializer.Serialize(this, EventJson.Default.EventPage);

    public static EventPage FromJson(string json) => JsonSerializer.Deserialize(json, EventJson.Default.EventPage) ?? throw new JsonException("an empty page");
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(DeviceEvent))]
[JsonSerializable(typeof(EventPage))]
internal sealed partial class EventJson : JsonSerializerContext;
