using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Policy;

/// <summary>An administrator's program that is asked before each restart.</summary>
public sealed class PolicyScriptTests
{
    [Fact]
    public void It_is_told_device_kind_generation_and_reason_and_lets_the_policy_go_on()
    {
        using Bench bench = new(start: false);
        string told = bench.PathOf("told");
        Add(bench, $"printf '%s|' \"$@\" > '{told}'");
        ScriptedDriver driver = bench.NextReadyDriver();

        driver.SayText(ControlMessage.Fault, "TDH ran past the ring");
        driver.Exit(3);

        Assert.Equal(2u, bench.NextDriver().Generation);
        Assert.Equal("net0|Device|1|TDH ran past the ring (exit status 3)|", File.ReadAllText(told));
    }

    [Fact]
    public void It_can_leave_the_device_stopped_until_an_operator_starts_it()
    {
        using Bench bench = new(start: false);
        Add(bench, "exit 1");
        bench.NextReadyDriver().Kill();

        bench.Until(() => bench.Device.State == DeviceState.Stopped, "the script has decided");

        Assert.False(bench.HasNewDriver);
        ScriptedClient operation = bench.Connect();
        operation.SendControl("start");
        bench.NextReadyDriver();
        operation.Expect(ClientMessage.Done).Dispose();
    }

    [Theory]
    [InlineData("exit 7")]
    [InlineData("kill -9 $$")]
    [InlineData(null)]
    public void One_that_fails_changes_nothing(string? body)
    {
        using Bench bench = new(start: false);
        Add(bench, body);
        bench.NextReadyDriver().Kill();
        Assert.Equal(2u, bench.NextDriver().Generation);
        if (body is null) Assert.True(bench.Log.Has("the policy script cannot be run"));
    }

    [Fact]
    public void One_that_hangs_is_ended_and_changes_nothing()
    {
        using Bench bench = new(start: false);
        Add(bench, "exec sleep 600");
        bench.NextReadyDriver().Kill();
        bench.Until(() => bench.Device.State == DeviceState.Waiting, "the script is asked");

        Assert.Equal(2u, bench.NextDriver().Generation);
        Assert.True(bench.Log.Has("took more than 5 s and was killed"));
    }

    [Fact]
    public void A_device_that_is_stopped_meanwhile_stays_so()
    {
        using Bench bench = new(start: false);
        Add(bench, "exec sleep 600");
        bench.NextReadyDriver().Kill();
        bench.Until(() => bench.Device.State == DeviceState.Waiting, "the script is asked");

        bench.Supervisor.Stop();
        bench.Supervisor.Run();

        Assert.Equal(DeviceState.Stopped, bench.Device.State);
        Assert.False(bench.HasNewDriver);
    }

    /// <summary>Adds the device with a script; null for a path where there is none.</summary>
    private static void Add(Bench bench, string? body)
    {
        string script = bench.PathOf("policy");
        if (body is not null)
        {
            File.WriteAllText(script, $"#!/bin/sh\n{body}\n");
            File.SetUnixFileMode(script, (UnixFileMode)0b111_101_101);
        }

        bench.Supervisor.Add(bench.Backend, new DeviceConfiguration { Device = bench.Backend.Name, Restart = new RestartSettings { Script = script } });
    }
}
