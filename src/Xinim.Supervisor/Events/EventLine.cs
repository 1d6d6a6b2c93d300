using System.Collections;
using Microsoft.Extensions.Logging;
using Xinim.Supervisor.Policy;

namespace Xinim.Supervisor.Events;

/// <summary>An event as a line of the log: a sentence for people, and the event's fields for programs.</summary>
internal sealed class EventLine(DeviceEvent what) : IReadOnlyList<KeyValuePair<string, object?>>
{
    private readonly KeyValuePair<string, object?>[] _fields =
    [
        new("Event", what.Kind.ToString()),
        new("Number", what.Number),
        new("Device", what.Device),
        new("Generation", what.Generation),
        new("Fault", what.Fault == FaultKind.None ? null : what.Fault.ToString()),
        new("Milliseconds", what.Milliseconds),
        new("Text", what.Text),
    ];

    public LogLevel Level => what.Kind switch
    {
        EventKind.GivenUp => LogLevel.Error,
        EventKind.Failed or EventKind.RolledBack or EventKind.Gone => LogLevel.Warning,
        _ => LogLevel.Information,
    };

    public EventId Id => new((int)what.Kind + 1, what.Kind.ToString());

    public int Count => _fields.Length;

    public KeyValuePair<string, object?> this[int index] => _fields[index];

    public IEnumerator<KeyValuePair<string, object?>> GetEnumerator() => _fields.AsEnumerable().GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public override string ToString() => $"{what.Device}: {what.Text}";
}
