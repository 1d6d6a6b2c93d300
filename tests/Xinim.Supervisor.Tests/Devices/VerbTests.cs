using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>start, stop, restart, update: what an operator asks for, and that a client's frames survive it in order.</summary>
public sealed class VerbTests
{
    [Fact]
    public void Restart_lets_the_driver_finish_and_starts_the_next_at_once()
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);
        ScriptedClient operation = bench.Connect();
        operation.SendControl("restart");

        first.Obey(ControlMessage.Quiesce).Dispose();
        Assert.False(client.Rings!.IsClosed);
        first.Obey(ControlMessage.Stop).Dispose();
        first.Exit(0);
        ScriptedDriver second = bench.NextDriver();
        Assert.True(client.Rings!.IsClosed);
        second.BeReady().Obey(ControlMessage.Attach).Dispose();

        client.AwaitReopened();
        operation.Expect(ClientMessage.Done).Dispose();
        Assert.Equal((2u, 0u, null), (bench.Device.Generation, bench.Device.Restarts, bench.Device.LastFault));
    }

    [Fact]
    public void Stop_keeps_clients_waiting_and_start_serves_them_again()
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);
        ScriptedClient operation = bench.Connect();
        operation.SendControl("stop");
        first.Leave();
        operation.Expect(ClientMessage.Done).Dispose();
        Assert.Equal((DeviceState.Stopped, null), (bench.Device.State, bench.Device.Pid));

        operation.SendControl("start");
        bench.NextReadyDriver().Obey(ControlMessage.Attach).Dispose();
        client.AwaitReopened();
        operation.Expect(ClientMessage.Done).Dispose();
    }

    [Fact]
    public void Start_brings_a_device_back_that_was_given_up()
    {
        using Bench bench = new(policy: """ "standby": false, "restart": { "giveUpAfter": 1, "firstPause": 1 } """);
        bench.NextDriver().Exit(1);
        bench.NextDriver().Exit(1);
        bench.Until(() => bench.Device.State == DeviceState.Failed, "it is given up");
        ScriptedClient operation = bench.Connect();

        operation.SendControl("start");
        bench.NextReadyDriver();

        operation.Expect(ClientMessage.Done).Dispose();
    }

    [Fact]
    public void A_stopped_device_is_refused_with_what_to_do()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient operation = bench.Connect();
        operation.SendControl("start");
        Assert.Equal("net0 has a driver already (state Ready)", operation.ExpectText(ClientMessage.Refused));
        operation.SendControl("stop");
        driver.Leave();
        operation.Expect(ClientMessage.Done).Dispose();

        operation.SendOpen();

        Assert.Equal("net0 is stopped; 'xinim start net0' starts its driver", operation.ExpectText(ClientMessage.Refused));
    }

    [Fact]
    public void A_start_that_fails_is_told_with_the_reason_and_the_policy_goes_on()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient operation = bench.Connect();
        operation.SendControl("restart");
        driver.Leave();
        bench.NextDriver().Exit(9);

        Assert.Equal("exit status 9", operation.ExpectText(ClientMessage.Refused));
        Assert.Equal(3u, bench.NextReadyDriver().Generation);
        Assert.Equal(FaultKind.Start, bench.Device.LastFaultKind);
    }

    [Fact]
    public void Update_replaces_the_driver_after_it_has_finished()
    {
        using Bench bench = new();
        ScriptedDriver old = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(old);
        ScriptedClient operation = bench.Connect();
        string version2 = bench.CopyDriver("driver2");
        operation.SendControl("update", version2);

        ScriptedDriver candidate = bench.NextProcess();
        bench.Settle();
        Assert.False(old.IsAsked); // not before the new one has shown that it runs
        candidate.SayHello("other scripted");
        old.Leave();
        candidate.AwaitStart().BeReady().Obey(ControlMessage.Attach).Dispose();

        client.AwaitReopened();
        operation.Expect(ClientMessage.Done).Dispose();
        Assert.Equal((version2, 2u, null), (bench.Device.Launch.Executable, bench.Device.Generation, bench.Device.LastFault));
        candidate.Kill();
        bench.NextReadyDriver();
        Assert.Equal(version2, bench.Device.Launch.Executable);
    }

    [Theory]
    [InlineData("other", "is no driver for net0: it has no driver 'scripted', only other; the present version goes on")]
    [InlineData(null, "is no driver for net0: it ended at once (exit status 4); the present version goes on")]
    public void Update_to_what_is_no_driver_leaves_the_old_one_alone(string? hello, string reason)
    {
        using Bench bench = new();
        ScriptedDriver old = bench.NextReadyDriver();
        ScriptedClient operation = bench.Connect();
        operation.SendControl("update", bench.CopyDriver("driver2"));

        ScriptedDriver candidate = bench.NextProcess();
        if (hello is not null) candidate.SayHello(hello);
        else candidate.Exit(4, releaseChannel: true);

        Assert.EndsWith(reason, operation.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
        Assert.False(old.IsAsked);
        Assert.False(candidate.Exists);
        Assert.Equal((DeviceState.Ready, 1u), (bench.Device.State, bench.Device.Generation));
    }

    [Fact]
    public void Update_to_what_does_not_become_ready_brings_the_old_version_back()
    {
        using Bench bench = new();
        ScriptedDriver old = bench.NextReadyDriver();
        string version1 = bench.Device.Launch.Executable;
        ScriptedClient client = bench.ConnectAndOpen(old);
        ScriptedClient operation = bench.Connect();
        operation.SendControl("update", bench.CopyDriver("driver2"));
        ScriptedDriver candidate = bench.NextProcess();
        candidate.SayHello();
        old.Leave();
        candidate.AwaitStart().SayText(ControlMessage.Fault, "wrong chip");
        candidate.Exit(3);

        ScriptedDriver again = bench.NextReadyDriver();
        again.Obey(ControlMessage.Attach).Dispose();

        client.AwaitReopened();
        string told = operation.ExpectText(ClientMessage.Refused);
        Assert.Contains("did not become ready: wrong chip (exit status 3)", told, StringComparison.Ordinal);
        Assert.EndsWith("serves again", told, StringComparison.Ordinal);
        Assert.Equal((version1, 3u), (bench.Device.Launch.Executable, bench.Device.Generation));
    }

    [Theory]
    [InlineData("update", "driver2", "'driver2' is no absolute path of an executable")]
    [InlineData("update", "/nowhere/driver", "cannot start /nowhere/driver")]
    [InlineData("explode", "", "there is no verb 'explode'")]
    public void Nonsense_is_refused_with_a_reason_and_changes_nothing(string verb, string argument, string reason)
    {
        using Bench bench = new();
        bench.NextReadyDriver();
        ScriptedClient operation = bench.Connect();
        operation.SendControl(verb, argument);
        Assert.Contains(reason, operation.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
        Assert.Equal(DeviceState.Ready, bench.Device.State);
    }

    [Fact]
    public void One_change_at_a_time()
    {
        using Bench bench = new();
        bench.NextReadyDriver();
        ScriptedClient first = bench.Connect(), second = bench.Connect();
        first.SendControl("stop");
        bench.Until(() => bench.Device.State == DeviceState.Stopping, "it is asked to stop");
        second.SendControl("restart");
        Assert.Equal("net0 is being changed already; wait for that", second.ExpectText(ClientMessage.Refused));
    }

    [Fact]
    public void A_client_that_reports_nonsense_gets_another_driver()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);

        client.Channel.SendText(new MessageHeader((uint)ClientMessage.ReportDriver, 7, 0), "of another generation");
        bench.Settle();
        Assert.Equal(DeviceState.Ready, bench.Device.State);
        client.Channel.SendText(new MessageHeader((uint)ClientMessage.ReportDriver, 1, 0), "buffer 9\nwhich it does not hold");
        bench.NextReadyDriver().Obey(ControlMessage.Attach).Dispose();

        client.AwaitReopened();
        Assert.Equal(("its client reports: buffer 9 which it does not hold (killed by signal 9)", FaultKind.Client), (bench.Device.LastFault, bench.Device.LastFaultKind));
    }

    [Fact]
    public void A_standby_takes_over_and_is_followed_by_another()
    {
        using Bench bench = new(policy: """ "standby": true, "heartbeat": { "limit": 600000 }, "restart": { "quietPeriod": 0 } """);
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedDriver standby = bench.NextProcess();
        standby.SayHello();
        first.Kill();
        standby.AwaitStart().BeReady();
        Assert.Equal((2u, standby.Pid), (bench.Device.Generation, bench.Device.Pid));

        // One that died unused is not used.
        ScriptedDriver unused = bench.NextProcess();
        unused.Kill();
        bench.Until(() => unused.HasEnded, "the standby has ended");
        standby.Kill();
        Assert.Equal(3u, bench.NextDriver().Generation);
    }
}
