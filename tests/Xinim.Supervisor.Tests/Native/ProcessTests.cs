using System.Net.Sockets;
using System.Text;
using Xinim.Net.Ports;
using Xinim.Supervisor.Devices;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>What a driver process is and holds, as the kernel tells it; and that it does not outlive its daemon.</summary>
[Trait("needs", "qemu")]
public sealed class ProcessTests
{
    [Fact]
    public void A_driver_has_no_privilege_and_exactly_the_descriptors_it_needs()
    {
        using Machine machine = new("e1000");
        // A stray that the daemon itself inherited or forgot to mark.
        using FileStream stray = File.OpenRead("/etc/hostname");
        Assert.True(SpinWait.SpinUntil(() => machine.Report().State == DeviceState.Ready, Machine.Limit), "the driver does not get ready");
        int driver = machine.Report().Pid!.Value;
        string[] idle = Descriptors(driver);
        using NetworkPort port = machine.Open();
        string[] serving = Descriptors(driver);
        Dictionary<string, string> status = File.ReadLines($"/proc/{driver}/status").Select(line => line.Split(':', 2)).ToDictionary(pair => pair[0], pair => pair[1].Trim());

        Assert.Equal("1", status["NoNewPrivs"]);
        if (Environment.IsPrivilegedProcess)
        {
            string user = $"{machine.Report().User}";
            Assert.Equal("64100", user);
            Assert.Equal([user, user, user, user], status["Uid"].Split('\t'));
            Assert.Equal([user, user, user, user], status["Gid"].Split('\t'));
            Assert.Equal("", status["Groups"]);
            foreach (string set in new[] { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" }) Assert.Equal("0000000000000000", status[set]);
        }

        Assert.Equal("/dev/null", idle[0]);
        // Beyond standard input, output and error: the channel and the device's socket, its work memory and vital signs, its loop and its interrupt pair; the runtime's
        // source of random numbers is everybody's.
        string[] own = [.. idle.Skip(3).Select(Kind).Where(kind => kind != "dev/urandom").Order()];
        Assert.Equal(["anon_inode:[eventfd]", "anon_inode:[eventfd]", "anon_inode:[eventfd]", "anon_inode:[eventpoll]", "memfd:xinim-vital", "memfd:xinim-work-net0", "socket", "socket"], own);
        Assert.Equal(["anon_inode:[eventfd]", "anon_inode:[eventfd]", "memfd:xinim-net-rings"], Without(serving.Skip(3).Select(Kind).Where(kind => kind != "dev/urandom"), own));
        Assert.Empty(File.ReadAllText($"/proc/{driver}/environ"));
    }

    [Fact]
    public void A_driver_maps_no_packet_memory()
    {
        using Machine machine = new("e1000");
        using NetworkPort port = machine.Open();

        string maps = File.ReadAllText($"/proc/{machine.Report().Pid}/maps");

        Assert.Contains("xinim-net-rings", maps, StringComparison.Ordinal);
        Assert.DoesNotContain("xinim-net-tx", maps, StringComparison.Ordinal);
        Assert.DoesNotContain("xinim-net-rx", maps, StringComparison.Ordinal);
    }

    [Fact]
    public void A_driver_and_a_model_do_not_outlive_a_daemon_that_is_killed()
    {
        using DaemonProcess daemon = new();
        (int driver, int standby, int model) = daemon.Children();

        daemon.Kill();

        Assert.True(DaemonProcess.Ends(driver), "the driver lives on");
        Assert.True(DaemonProcess.Ends(standby), "the standby lives on");
        Assert.True(DaemonProcess.Ends(model), "the device model lives on");
    }

    [Fact]
    public void A_daemon_that_is_asked_to_stop_leaves_nothing()
    {
        using DaemonProcess daemon = new();
        (int driver, int standby, int model) = daemon.Children();

        Assert.Equal(0, daemon.Terminate());

        Assert.False(Directory.Exists($"/proc/{driver}"));
        Assert.False(Directory.Exists($"/proc/{standby}"));
        Assert.False(Directory.Exists($"/proc/{model}"));
        Assert.False(File.Exists(daemon.Socket));
    }

    [Fact]
    public void A_daemon_tells_systemd_that_its_loop_goes_round()
    {
        string path = Path.Combine(Path.GetTempPath(), $"xinim-notify-{Guid.NewGuid():n}");
        using Socket systemd = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        systemd.Bind(new UnixDomainSocketEndPoint(path));
        try
        {
            using DaemonProcess daemon = new(("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "100000"));
            byte[] message = new byte[256];
            for (int signs = 0; signs < 3;)
            {
                Assert.True(systemd.Poll(Machine.Limit, SelectMode.SelectRead), "no sign of life");
                if (Encoding.ASCII.GetString(message, 0, systemd.Receive(message)) == "WATCHDOG=1") signs++;
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static string[] Descriptors(int process) =>
        [.. Directory.GetFiles($"/proc/{process}/fd").OrderBy(path => int.Parse(Path.GetFileName(path), System.Globalization.CultureInfo.InvariantCulture)).Select(path => new FileInfo(path).LinkTarget ?? "?")];

    private static string Kind(string target) => target.StartsWith("socket:", StringComparison.Ordinal) ? "socket" : target.Replace(" (deleted)", "", StringComparison.Ordinal).TrimStart('/');

    private static string[] Without(IEnumerable<string> all, IEnumerable<string> some)
    {
        List<string> rest = [.. all.Order()];
        foreach (string one in some) Assert.True(rest.Remove(one), $"{one} is gone");
        return [.. rest];
    }
}
