using Xinim.Supervisor.Events;
using Xinim.TestKit.Net;

namespace Xinim.Host.Tests.Commands;

public sealed class EventsCommandTests
{
    private static readonly DeviceEvent[] All =
    [
        Reports.Event(4, "net0", EventKind.Ready), Reports.Event(5, "net1", EventKind.Failed, "generation 3 ended: killed by signal 9"), Reports.Event(6, "net0", EventKind.Opened),
    ];

    /// <summary>Two events a page, the first three of the daemon's life are gone.</summary>
    private static string Page(ulong after) => new EventPage(4, 6, [.. All.Where(one => one.Number > after).Take(2)]).ToJson();

    [Fact]
    public void Shows_all_pages_and_says_what_is_not_kept()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { EventsJson = Page };
        Assert.Equal(0, machine.Run("events", "--socket", daemon.Socket));
        Assert.Equal(3, machine.Lines.Length);
        Assert.Matches(@"^2026-01-0\d \d\d:04:05\.000 net1 Failed \(Signal\): generation 3 ended: killed by signal 9$", machine.Lines[1]);
        Assert.Equal("xinim: note: 3 older events are not kept any more", machine.ErrorLine);
    }

    [Fact]
    public void Shows_one_device_as_json_lines()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { EventsJson = Page };
        Assert.Equal(0, machine.Run("events", "net0", "--json", "--socket", daemon.Socket));
        Assert.Equal([All[0].ToJson(), All[2].ToJson()], machine.Lines);
    }

    [Fact]
    public void Follows_until_the_daemon_is_gone()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new();
        int asked = 0;
        daemon.EventsJson = after => ++asked < 3 ? new EventPage(1, 0, []).ToJson() : asked < 8 ? Page(after) : throw new OperationCanceledException();
        Assert.Equal(1, machine.Run("events", "--follow", "--socket", daemon.Socket));
        Assert.Equal(3, machine.Lines.Length);
        Assert.Throws<InvalidOperationException>(daemon.Dispose);
    }
}
