namespace Xinim.Host.Tests.Commands;

public sealed class CommandLineTests
{
    public static TheoryData<string> CommandPaths => ["status", "top", "events", "metrics", "start", "stop", "restart", "update", "list", "bind", "unbind", "hugepages", "ping", "net", "net send", "net receive", "net dump"];

    [Theory]
    [MemberData(nameof(CommandPaths))]
    public void Every_command_explains_itself_with_an_example(string command)
    {
        using FakeMachine machine = new();
        Assert.Equal(0, machine.Run([.. command.Split(' '), "--help"]));
        string help = machine.Output.ToString();
        Assert.Contains($"xinim {command}", help, StringComparison.Ordinal);
        Assert.Contains("Example", help, StringComparison.Ordinal);
        Assert.Contains("--socket", help, StringComparison.Ordinal);
        Assert.Equal("", machine.Error.ToString());
    }

    [Fact]
    public void The_whole_shows_all_commands()
    {
        using FakeMachine machine = new();
        Assert.Equal(0, machine.Run("--help"));
        foreach (string name in (string[])["daemon", "status", "top", "events", "metrics", "start", "stop", "restart", "update", "list", "bind", "unbind", "hugepages", "ping", "net"])
            Assert.Contains($"  {name} ", machine.Output.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("nonsense")]
    [InlineData("bind")]
    [InlineData("bind 00:03")]
    [InlineData("unbind x")]
    [InlineData("hugepages many")]
    [InlineData("hugepages -5")]
    [InlineData("hugepages 5 --size 4M")]
    [InlineData("ping net0")]
    [InlineData("ping net0 10.0.2")]
    [InlineData("ping net0 10.0.2.256")]
    [InlineData("ping net0 -x-")]
    [InlineData("ping net0 no_name")]
    [InlineData("ping net0 10.0.2.2 --count -1")]
    [InlineData("ping net0 10.0.2.2 --size 1473")]
    [InlineData("ping net0 10.0.2.2 --interval -1")]
    [InlineData("ping net0 10.0.2.2 --interval nan")]
    [InlineData("ping net0 10.0.2.2 --timeout 0")]
    [InlineData("ping net0 10.0.2.2 --source 10.0.2.20")]
    [InlineData("ping net0 10.0.2.2 --gateway 10.0.2.1")]
    [InlineData("ping net0 10.0.2.2 --source 10.0.2.20/24 --gateway router")]
    [InlineData("net")]
    [InlineData("net send net0 --size 59")]
    [InlineData("net send net0 --batch 0")]
    [InlineData("net send net0 --buffers 8")]
    [InlineData("net send net0 --buffers 48")]
    [InlineData("net send net0 --rate -1")]
    [InlineData("net send net0 --destination 52:54:00")]
    [InlineData("net send net0 --stamp --fixed")]
    [InlineData("net send net0 --queues 0")]
    [InlineData("net send net0 --queues 4 --count 3")]
    [InlineData("net receive net0 --queues 9")]
    [InlineData("net receive")]
    [InlineData("net dump net0 --seconds soon")]
    [InlineData("net dump net0 --seconds 1,5")]
    [InlineData("ping net0 10.0.2.2 --interval 1,5")]
    [InlineData("status --yaml")]
    [InlineData("restart")]
    [InlineData("update net0")]
    [InlineData("update --executable x")]
    [InlineData("metrics --listen 9464")]
    [InlineData("metrics --listen localhost:0")]
    [InlineData("top --interval 0")]
    public void A_wrong_command_line_is_one_line_and_two(string arguments)
    {
        using FakeMachine machine = new();
        Assert.Equal(2, machine.Run(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)));
        Assert.StartsWith("xinim: ", machine.ErrorLine, StringComparison.Ordinal);
        Assert.Equal("", machine.Output.ToString());
    }

    [Theory]
    [InlineData("status")]
    [InlineData("start net0")]
    [InlineData("update net0 --executable x")]
    [InlineData("events --follow")]
    [InlineData("top --once")]
    [InlineData("ping net0 10.0.2.2")]
    [InlineData("net send net0")]
    [InlineData("net receive net0")]
    [InlineData("net dump net0")]
    public void Without_a_daemon_commands_say_how_to_start_one(string arguments)
    {
        using FakeMachine machine = new();
        Assert.Equal(1, machine.Run(["--socket", "/nonexistent/xinim.sock", .. arguments.Split(' ')]));
        Assert.Contains("start it with 'xinim daemon'", machine.ErrorLine, StringComparison.Ordinal);
        Assert.Contains("/nonexistent/xinim.sock", machine.ErrorLine, StringComparison.Ordinal);
    }
}
