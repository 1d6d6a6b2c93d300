using System.Text;
using Microsoft.Extensions.Logging;
using Xinim.Ipc.Channels;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Events;

public sealed class EventLogTests
{
    private static DeviceEvent Event(string text, EventKind kind = EventKind.Failed) => new(0, default, "net0", kind, 3, FaultKind.Device, text, 1.5);

    [Fact]
    public void The_newest_are_kept_and_numbered_without_gaps()
    {
        EventLog log = new(new RecordingLog());
        Assert.Equal((0ul, 0ul), (log.After(0).First, log.After(0).Last));
        for (int i = 0; i < EventLog.Capacity + 10; i++) log.Add(Event($"{i}"));

        EventPage page = log.After(0);

        Assert.Equal((11ul, (ulong)EventLog.Capacity + 10), (page.First, page.Last));
        Assert.Equal((11ul, "10"), (page.Events[0].Number, page.Events[0].Text));
        Assert.Empty(log.After(page.Last).Events);
        Assert.Empty(log.After(ulong.MaxValue).Events);
    }

    [Fact]
    public void Pages_fit_into_a_message_and_leave_nothing_out()
    {
        EventLog log = new(new RecordingLog());
        // Six bytes of JSON a character: as long as it can get.
        for (int i = 0; i < EventLog.Capacity; i++) log.Add(Event(new string('\u0001', 10_000)));
        ulong last = 0;
        int pages = 0;
        while (EventPage.FromJson(Checked(log.After(last).ToJson())) is { Events.Count: > 0 } page)
        {
            Assert.Equal(Enumerable.Range(1, page.Events.Count).Select(step => last + (ulong)step), page.Events.Select(one => one.Number));
            last = page.Events[^1].Number;
            pages++;
        }

        Assert.Equal((ulong)EventLog.Capacity, last);
        Assert.InRange(pages, 2, EventLog.Capacity / 10);
    }

    [Fact]
    public void Each_is_a_line_of_the_log_with_its_fields()
    {
        FieldLog fields = new();
        DeviceEvent added = new EventLog(fields).Add(Event("generation 3 ended: no reason", EventKind.GivenUp));
        Assert.Equal((LogLevel.Error, "GivenUp", "net0: generation 3 ended: no reason"), fields.Line);
        Assert.Equal(
            ["Event=GivenUp", $"Number={added.Number}", "Device=net0", "Generation=3", "Fault=Device", "Milliseconds=1.5", "Text=generation 3 ended: no reason"],
            fields.Fields.Select(field => FormattableString.Invariant($"{field.Key}={field.Value}")));
    }

    private static string Checked(string json)
    {
        Assert.InRange(Encoding.UTF8.GetByteCount(json), 1, Channel.MaxPayload);
        return json;
    }

    private sealed class FieldLog : ILogger
    {
        public (LogLevel Level, string? Name, string Text) Line { get; private set; }

        public IReadOnlyList<KeyValuePair<string, object?>> Fields { get; private set; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            Line = (logLevel, eventId.Name, formatter(state, exception));
            Fields = (IReadOnlyList<KeyValuePair<string, object?>>)state!;
        }
    }
}
