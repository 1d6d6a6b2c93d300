using System.Text;
using Microsoft.Extensions.Logging;
using Xinim.Ipc.Channels;

namespace Xinim.Supervisor.Events;

/// <summary>The newest events of all devices, a bounded number; each is also written to the daemon's log.</summary>
internal sealed class EventLog(ILogger log)
{
    /// <summary>Events that are kept.</summary>
    public const int Capacity = 1024;

    /// <summary>Characters of a text that are kept: a reason fits, and many events fit into one message.</summary>
    private const int TextLimit = 500;

    /// <summary>Bytes that the events of a page leave for what is around them.</summary>
    private const int PageBytes = Channel.MaxPayload - 256;

    private readonly Queue<(DeviceEvent Event, int Bytes)> _events = new(Capacity);
    private ulong _last;

    public DeviceEvent Add(DeviceEvent what)
    {
        string text = what.Text.Length > TextLimit ? what.Text[..TextLimit] + "…" : what.Text;
        DeviceEvent numbered = what with { Number = ++_last, Time = DateTimeOffset.UtcNow, Text = text };
        if (_events.Count == Capacity) _events.Dequeue();
        _events.Enqueue((numbered, Encoding.UTF8.GetByteCount(numbered.ToJson()) + 1));
        EventLine line = new(numbered);
        log.Log(line.Level, line.Id, line, null, static (state, _) => state.ToString());
        return numbered;
    }

    /// <summary>The oldest events with a higher number, as many as fit into one message.</summary>
    public EventPage After(ulong number)
    {
        List<DeviceEvent> page = [];
        int bytes = 0;
        foreach ((DeviceEvent one, int size) in _events)
        {
            if (one.Number <= number) continue;
            bytes += size;
            if (bytes > PageBytes) break;
            page.Add(one);
        }

        return new EventPage(_events.TryPeek(out (DeviceEvent Event, int Bytes) first) ? first.Event.Number : 0, _last, page);
    }
}
