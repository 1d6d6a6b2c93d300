using System.Text;
using System.Text.Json;
using Xinim.Host.Commands;
using Xinim.Supervisor.Status;
using Xinim.TestKit.Net;

namespace Xinim.Host.Tests.Commands;

/// <summary>console: what it lists, what it refuses, and the way out of it.</summary>
public sealed class ConsoleCommandTests
{
    private static readonly DeviceReport Serial = Reports.Device("con0") with
    {
        Class = "console", Mac = null, Link = null, Counters = new Dictionary<string, ulong> { ["rxBytes"] = 5 },
        Ports = [new ConsolePortReport(0, "", true, true, 80, 25, "process 7 of user 1000"), new ConsolePortReport(3, "org.xinim.0", false, false, 0, 0, null)],
    };

    [Fact]
    public void Lists_ports()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { StatusJson = Reports.Of(Serial, Reports.Device("net0")).ToJson() };
        Assert.Equal(0, machine.Run("console", "con0", "--list", "--socket", daemon.Socket));
        Assert.Matches(@"^0 +- +console +open +80x25 +process 7 of user 1000 *$", machine.Lines[1]);
        Assert.Matches(@"^3 +org\.xinim\.0 +data +closed +- +- *$", machine.Lines[2]);
    }

    [Fact]
    public void Lists_ports_as_json()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { StatusJson = Reports.Of(Serial).ToJson() };
        Assert.Equal(0, machine.Run("console", "con0", "--list", "--json", "--socket", daemon.Socket));
        JsonElement ports = JsonDocument.Parse(machine.Output.ToString()).RootElement;
        Assert.Equal((2, "org.xinim.0"), (ports.GetArrayLength(), ports[1].GetProperty("name").GetString()));
    }

    [Theory]
    [InlineData("net0", "has no ports")]
    [InlineData("con7", "there is no device 'con7'; the daemon has con0, net0")]
    public void Other_devices_have_none(string name, string reason)
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { StatusJson = Reports.Of(Serial, Reports.Device("net0")).ToJson() };
        Assert.Equal(1, machine.Run("console", name, "--list", "--socket", daemon.Socket));
        Assert.Contains(reason, machine.ErrorLine, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--all")]
    [InlineData("--link", "/tmp/x")]
    [InlineData("--json")]
    [InlineData("--port", "1", "--port", "2")]
    [InlineData("--pty", "--all", "--port", "1")]
    [InlineData("--pty", "--all", "--link", "/tmp/x")]
    public void Words_that_do_not_fit_are_refused(params string[] words)
    {
        using FakeMachine machine = new();
        Assert.Equal(2, machine.Run(["console", "con0", .. words]));
    }

    [Theory]
    [InlineData("abc", "abc", true)]
    [InlineData("ab\u001dqcd", "ab", false)]
    [InlineData("a\u001d\u001db", "a\u001db", true)]
    [InlineData("a\u001dx", "a\u001dx", true)]
    public void The_way_out(string typed, string sent, bool stays)
    {
        EscapeKeys keys = new();
        Assert.Equal(stays, keys.Take(Encoding.ASCII.GetBytes(typed), out byte[] send));
        Assert.Equal(sent, Encoding.ASCII.GetString(send));
    }

    [Fact]
    public void The_way_out_over_two_reads()
    {
        EscapeKeys keys = new();
        Assert.True(keys.Take([0x1d], out byte[] first));
        Assert.False(keys.Take("q"u8, out byte[] second));
        Assert.Empty(first);
        Assert.Empty(second);
    }
}
