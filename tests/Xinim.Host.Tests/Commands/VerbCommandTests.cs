using System.Text.Json;
using Xinim.Supervisor.Devices;
using Xinim.TestKit.Net;

namespace Xinim.Host.Tests.Commands;

public sealed class VerbCommandTests
{
    [Theory]
    [InlineData("start", "net0")]
    [InlineData("restart", "0000:00:03.0")]
    [InlineData("restart", "00:03.0")]
    public void Says_what_runs_now(string verb, string name)
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { StatusJson = Reports.Of(Reports.Device("net0")).ToJson() };
        Assert.Equal(0, machine.Run(verb, name, "--socket", daemon.Socket));
        Assert.Equal([$"{verb} {name} "], daemon.Controls);
        Assert.Equal("net0: e1000 generation 3 ready after 4.2 ms, process 4711", Assert.Single(machine.Lines));
    }

    [Fact]
    public void Says_that_it_is_stopped()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { StatusJson = Reports.Of(Reports.Device("net1"), Reports.Device("net0") with { State = DeviceState.Stopped, Pid = null }).ToJson() };
        Assert.Equal(0, machine.Run("stop", "net0", "--socket", daemon.Socket));
        Assert.Equal("net0: stopped", Assert.Single(machine.Lines));
    }

    [Fact]
    public void Update_names_the_executable_as_the_daemon_can_find_it()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { StatusJson = Reports.Of(Reports.Device("net0")).ToJson() };
        Assert.Equal(0, machine.Run("update", "net0", "--executable", "new/../driver 2", "--json", "--socket", daemon.Socket));
        Assert.Equal([$"update net0 {Path.Combine(Environment.CurrentDirectory, "driver 2")}"], daemon.Controls);
        JsonElement device = JsonDocument.Parse(machine.Output.ToString()).RootElement;
        Assert.Equal(("net0", 4711, "Ready"), (device.GetProperty("name").GetString(), device.GetProperty("pid").GetInt32(), device.GetProperty("state").GetString()));
    }

    [Fact]
    public void A_refusal_is_one_line()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { ControlRefusal = "driver2 did not become ready: wrong chip; driver serves again" };
        Assert.Equal(1, machine.Run("update", "net0", "--executable", "driver2", "--socket", daemon.Socket));
        Assert.Equal("xinim: driver2 did not become ready: wrong chip; driver serves again", machine.ErrorLine);
        Assert.Empty(machine.Lines);
    }
}
