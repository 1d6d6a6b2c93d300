using Xinim.Host.Tests.Commands;
using Xinim.Host.Top;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Status;
using Xinim.TestKit.Net;

namespace Xinim.Host.Tests.Top;

/// <summary>The picture of <c>xinim top</c> and what is in it.</summary>
public sealed class TopTests
{
    private static readonly DeviceEvent[] News = [.. Enumerable.Range(1, 60).Select(number => Reports.Event((ulong)number, "net1", EventKind.Failed, $"event {number} {new string('x', 150)}"))];

    private static TopState State(params IReadOnlyList<DeviceReport> devices)
    {
        TopState state = new();
        state.Update(Reports.Of(devices), News);
        return state;
    }

    private static DeviceReport Later(DeviceReport before, double seconds, ulong frames) => before with
    {
        CountersAt = before.CountersAt + seconds,
        Counters = new Dictionary<string, ulong>(before.Counters) { ["txFrames"] = before.Counters["txFrames"] + frames, ["txBytes"] = before.Counters["txBytes"] + (60 * frames) },
    };

    [Theory]
    [InlineData(80, 24)]
    [InlineData(140, 40)]
    [InlineData(40, 10)]
    [InlineData(20, 5)]
    public void A_picture_fills_the_screen_and_never_exceeds_it(int width, int height)
    {
        TopState state = State(Reports.Device("net0"), Reports.Device("net1"));
        foreach (string? problem in (string?[])[null, new string('p', 300)])
        {
            state.Problem = problem;
            IReadOnlyList<string> lines = TopFrame.Draw(state, width, height, colours: false, keys: true);
            Assert.Equal(height, lines.Count);
            Assert.All(lines, line => Assert.True(line.TrimEnd().Length < width, $"{line.Length} columns of {width}: {line}"));
            Assert.StartsWith("q quit", lines[^1], StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_row_shows_everything_where_there_is_room()
    {
        DeviceReport device = Reports.Device("net1");
        TopState state = State(device);
        state.Update(Reports.Of(Later(device, 2, 3_000_000)), []);
        IReadOnlyList<string> lines = TopFrame.Draw(state, 140, 40, colours: false, keys: true);
        Assert.Equal("xinim top: daemon 99, up 01:01:01, 1 device", lines[0].TrimEnd());
        Assert.Matches(@"^ +NAME DRIVER +PID STATE GEN RST RX/S RXBIT/S +TX/S TXBIT/S MISS ERR P50µs P99µs MAXµs LAST FAULT *$", lines[2]);
        Assert.Matches(@"^> net1 e1000 +4711 Ready +3 +2 +0 +0 1\.50M +720M +0 +3 +3\.5 +20 +1235 Signal \d+s ago *$", lines[3]);
        Assert.Matches(@"^net1: Signal \d+s ago: killed by signal 11", lines[5]);
        Assert.Contains("event 60", lines[^2], StringComparison.Ordinal);
    }

    [Fact]
    public void Little_room_keeps_what_matters()
    {
        string header = TopFrame.Draw(State(Reports.Device("net0")), 80, 24, colours: false, keys: true)[2];
        foreach (string wanted in (string[])["NAME", "PID", "STATE", "GEN", "RST", "RX/S", "TX/S", "MISS", "ERR", "P50", "P99"]) Assert.Contains(wanted, header, StringComparison.Ordinal);
    }

    [Fact]
    public void Rates_are_those_between_two_answers_of_the_driver()
    {
        DeviceReport first = Reports.Device("net0");
        TopState state = State(first);
        Assert.Null(state.RatesOf(first));
        DeviceReport second = Later(first, 0.5, 100);
        state.Update(Reports.Of(second), []);
        Assert.Equal(new Rates(0, 0, 200, 96_000), state.RatesOf(second));
        // No new answer: the rate stays what it was. Counters that went back: none.
        state.Update(Reports.Of(second), []);
        Assert.Equal(200, state.RatesOf(second)!.Value.TxFrames);
        state.Update(Reports.Of(first with { CountersAt = 200 }), []);
        Assert.Equal(0, state.RatesOf(first)!.Value.TxFrames);
    }

    [Fact]
    public void Another_daemon_starts_anew()
    {
        TopState state = State(Reports.Device("net0"));
        state.Update(Reports.Of(Reports.Device("net0")) with { DaemonPid = 100 }, []);
        Assert.Empty(state.Events);
    }

    [Fact]
    public void The_selection_stays_inside()
    {
        TopState state = State(Reports.Device("net0"), Reports.Device("net1"));
        foreach ((int step, string name) in ((int, string)[])[(-1, "net0"), (1, "net1"), (1, "net1"), (-1, "net0")])
        {
            state.Select(step);
            Assert.Equal(name, state.Selected!.Name);
        }
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(9999, "9999")]
    [InlineData(9999.6, "10.0k")]
    [InlineData(12345, "12.3k")]
    [InlineData(123456, "123k")]
    [InlineData(999_600, "1.00M")]
    [InlineData(1.5e9, "1.50G")]
    [InlineData(1.8446744073709552e19, "18.4E")]
    public void Numbers_are_short(double value, string text) => Assert.Equal(text, TopColumns.Short(value));

    [Fact]
    public void A_daemon_that_goes_and_comes_back_is_shown_so()
    {
        TopState state = new();
        using FakeDaemon daemon = new() { StatusJson = Reports.Of(Reports.Device("net0")).ToJson() };
        using TopSource source = new(state, daemon.Socket);
        source.Refresh();
        Assert.Equal((null, 1), (state.Problem, state.Report!.Devices.Count));
        daemon.StatusJson = "nonsense";
        source.Refresh();
        Assert.StartsWith("waiting for the daemon: ", TopFrame.Draw(state, 80, 24, colours: false, keys: true)[1], StringComparison.Ordinal);
        Assert.DoesNotContain(nameof(DeviceState.Ready), TopFrame.Draw(state, 80, 24, colours: false, keys: true)[4], StringComparison.Ordinal);
        daemon.StatusJson = Reports.Of(Reports.Device("net0"), Reports.Device("net1")).ToJson();
        source.Refresh();
        Assert.Equal((null, 2), (state.Problem, state.Report!.Devices.Count));
    }

    [Fact]
    public async Task Restarting_says_what_came_of_it()
    {
        TopState state = new();
        using FakeDaemon daemon = new();
        using TopSource source = new(state, daemon.Socket);
        await source.Restart("net0");
        Assert.Equal(["restart net0 "], daemon.Controls);
        Assert.Equal("net0: restarted", state.Notice);
        daemon.ControlRefusal = "net0 is being changed already; wait for that";
        await source.Restart("net0");
        Assert.Equal(daemon.ControlRefusal, state.Notice);
    }

    [Fact]
    public void Once_prints_plain_text()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { StatusJson = Reports.Of(Reports.Device("net1")).ToJson(), EventsJson = after => new EventPage(1, 60, [.. News.Where(one => one.Number > after)]).ToJson() };
        Assert.Equal(0, machine.Run("top", "--once", "--interval", "0.1", "--socket", daemon.Socket));
        Assert.DoesNotContain('\e', machine.Output.ToString());
        Assert.Contains(machine.Lines, line => line.StartsWith("> net1", StringComparison.Ordinal));
        Assert.Contains("event 60", machine.Lines[^1], StringComparison.Ordinal);
    }
}
