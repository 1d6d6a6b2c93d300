using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Status;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Events;

/// <summary>What happens to a device is told in order, with reasons, over the socket.</summary>
public sealed class DeviceEventsTests
{
    [Fact]
    public void A_life_a_death_and_a_second_life_are_told_with_reasons()
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);
        first.Say(ControlMessage.LinkChanged, new LinkState(0, 0, 0));
        bench.Until(() => ((NetworkSlot)bench.Device.Client).Info.Link.Up == 0, "the link is down");
        first.Kill();
        bench.NextReadyDriver().Obey(ControlMessage.Attach).Dispose();
        client.AwaitReopened();
        client.Dispose();
        ScriptedClient reader = bench.Connect();
        bench.Until(() => Ask(reader)[^1].Kind == EventKind.Closed, "the client is gone");

        IReadOnlyList<DeviceEvent> events = Ask(reader);

        Assert.Equal(
            [EventKind.Attached, EventKind.Ready, EventKind.Opened, EventKind.Link, EventKind.Failed, EventKind.Ready, EventKind.Closed],
            events.Select(one => one.Kind));
        Assert.All(events, one => Assert.Equal("net0", one.Device));
        Assert.Equal((1u, FaultKind.Signal, "generation 1 ended: killed by signal 9"), (events[4].Generation, events[4].Fault, events[4].Text));
        Assert.Equal(2u, events[5].Generation);
        Assert.True(events[5].Milliseconds > 0);
        Assert.Equal(1ul, bench.Device.Events.Faults[FaultKind.Signal]);
        DeviceReport report = bench.Supervisor.Report().Devices[0];
        Assert.Equal(events[4].Time, report.LastFaultTime);
        Assert.Equal([new(FaultKind.Signal, 1ul)], report.Faults);
    }

    [Fact]
    public void Pauses_giving_up_and_stops_are_told()
    {
        using Bench bench = new(policy: """ "standby": false, "heartbeat": { "limit": 600000 }, "restart": { "giveUpAfter": 2, "firstPause": 1 } """);
        for (int life = 0; life < 3; life++) bench.NextDriver().Exit(7);
        bench.Until(() => bench.Device.State == DeviceState.Failed, "it is given up");
        ScriptedClient operation = bench.Connect();
        operation.SendControl("stop");
        operation.Expect(ClientMessage.Done).Dispose();

        IReadOnlyList<DeviceEvent> events = Ask(operation);

        Assert.Equal(
            [EventKind.Attached, EventKind.Failed, EventKind.Failed, EventKind.Waiting, EventKind.Failed, EventKind.GivenUp],
            events.Select(one => one.Kind));
        Assert.Equal("given up after 2 failures in a row; the last one: exit status 7", events[^1].Text);
        Assert.Equal(3ul, bench.Device.Events.Faults[FaultKind.Start]);
    }

    [Fact]
    public void Updates_and_their_failures_are_told()
    {
        using Bench bench = new();
        ScriptedDriver old = bench.NextReadyDriver();
        ScriptedClient operation = bench.Connect();
        operation.SendControl("update", bench.CopyDriver("driver2"));
        ScriptedDriver candidate = bench.NextProcess();
        candidate.SayHello();
        old.Leave();
        candidate.AwaitStart().Exit(3);
        ScriptedDriver again = bench.NextReadyDriver();
        operation.ExpectText(ClientMessage.Refused);
        operation.SendControl("update", bench.PathOf("driver2"));
        ScriptedDriver better = bench.NextProcess();
        better.SayHello();
        again.Leave();
        better.AwaitStart().BeReady();
        operation.Expect(ClientMessage.Done).Dispose();

        Assert.Equal(
            [
                EventKind.Attached, EventKind.Ready, EventKind.Stopped, EventKind.Failed, EventKind.RolledBack, EventKind.Ready, EventKind.Stopped, EventKind.Ready,
                EventKind.Updated,
            ],
            Ask(operation).Select(one => one.Kind));
    }

    [Fact]
    public void A_device_that_disappears_is_told_once()
    {
        using Bench bench = new();
        bench.NextReadyDriver();
        bench.Supervisor.Disappear(bench.Backend, "pulled");
        bench.Until(() => bench.Device.Pid is null, "its driver has ended");
        Assert.Equal(["gone: pulled"], Ask(bench.Connect()).Skip(2).Select(one => one.Text));
        Assert.Equal(1ul, bench.Device.Events.Faults[FaultKind.Gone]);
        Assert.NotNull(bench.Device.Events.LastFailure);
    }

    [Fact]
    public void A_question_without_a_number_ends_the_connection()
    {
        using Bench bench = new();
        ScriptedClient client = bench.Connect();
        client.Send(ClientMessage.GetEvents, 1u);
        client.AwaitClosed();
    }

    private static IReadOnlyList<DeviceEvent> Ask(ScriptedClient client)
    {
        client.Send(ClientMessage.GetEvents, 0ul);
        using ChannelMessage page = client.Expect(ClientMessage.Events);
        return EventPage.FromJson(page.Text).Events;
    }
}
