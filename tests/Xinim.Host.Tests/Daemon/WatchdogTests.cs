using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Hosting.Systemd;
using Xinim.Host.Daemon;
using Xinim.Ipc.Events;

namespace Xinim.Host.Tests.Daemon;

/// <summary>Signs of life for systemd: they come from the loop, and from nowhere else.</summary>
public sealed class WatchdogTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"xinim-notify-{Guid.NewGuid():n}");
    private readonly Socket _systemd = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
    private readonly EventLoop _loop = new();
    private readonly SystemdNotifier _notifier;

    public WatchdogTests()
    {
        _systemd.Bind(new UnixDomainSocketEndPoint(_path));
        string? before = Environment.GetEnvironmentVariable("NOTIFY_SOCKET");
        Environment.SetEnvironmentVariable("NOTIFY_SOCKET", _path);
        _notifier = new SystemdNotifier();
        Environment.SetEnvironmentVariable("NOTIFY_SOCKET", before);
    }

    [Fact]
    public void Signs_come_while_the_loop_runs_and_stop_when_it_hangs()
    {
        Assert.Equal(TimeSpan.FromMilliseconds(5), Watchdog.Start(_loop, _notifier, "10000", $"{Environment.ProcessId}"));
        for (int sign = 0; sign < 3; sign++) Assert.Equal("WATCHDOG=1", Next());
        // The loop's thread is this one: nobody runs it now, for many periods.
        Assert.False(_systemd.Poll(TimeSpan.FromMilliseconds(200), SelectMode.SelectRead));
        Assert.Equal("WATCHDOG=1", Next());
    }

    [Theory]
    [InlineData(null, null)]
    [InlineData("", null)]
    [InlineData("0", null)]
    [InlineData("-1", null)]
    [InlineData("soon", null)]
    [InlineData("99999999999999999999", null)]
    [InlineData("10000", "1")]
    public void Nobody_is_told_who_does_not_ask(string? limit, string? process) => Assert.Null(Watchdog.Start(_loop, _notifier, limit, process));

    [Fact]
    public void Without_systemd_there_is_nobody_to_tell() => Assert.Null(Watchdog.Start(_loop));

    public void Dispose()
    {
        _loop.Dispose();
        _systemd.Dispose();
        File.Delete(_path);
    }

    private string Next()
    {
        long start = Environment.TickCount64;
        while (_systemd.Available == 0)
        {
            Assert.True(Environment.TickCount64 - start < 60_000, "no sign of life");
            _loop.RunOnce(TimeSpan.FromMilliseconds(20));
        }

        byte[] message = new byte[64];
        return Encoding.ASCII.GetString(message, 0, _systemd.Receive(message));
    }
}
