using System.Diagnostics;
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
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "what a driver holds is nobody's to see but root's");
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
        // The wide filter and the tight one.
        Assert.Equal(("2", "2"), (status["Seccomp"], status["Seccomp_filters"]));
        string user = $"{machine.Report().User}";
        Assert.Equal("64100", user);
        Assert.Equal([user, user, user, user], status["Uid"].Split('\t'));
        Assert.Equal([user, user, user, user], status["Gid"].Split('\t'));
        Assert.Equal("", status["Groups"]);
        foreach (string set in new[] { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" }) Assert.Equal("0000000000000000", status[set]);
        Assert.Equal(["/dev/null", "/dev/null", "/dev/null"], idle[..3]);
        // Beyond those: the channel and the device's socket, its work memory and vital signs, its loop and its interrupt pair.
        string[] own = [.. idle.Skip(3).Select(Kind).Order()];
        Assert.Equal(["anon_inode:[eventfd]", "anon_inode:[eventfd]", "anon_inode:[eventfd]", "anon_inode:[eventpoll]", "memfd:xinim-vital", "memfd:xinim-work-net0", "socket", "socket"], own);
        Assert.Equal(["anon_inode:[eventfd]", "anon_inode:[eventfd]", "memfd:xinim-net-rings"], Without(serving.Skip(3).Select(Kind), own));
        Assert.Empty(File.ReadAllText($"/proc/{driver}/environ"));
    }

    [Fact]
    public void A_driver_takes_its_options_and_refuses_one_that_it_does_not_know()
    {
        using (Machine machine = new("e1000", new Dictionary<string, string> { ["rxDescriptors"] = "128" }))
        using (NetworkPort port = machine.Open())
            Assert.Equal(127u, port.Info.RxDescriptors);

        using Machine wrong = new("e1000", new Dictionary<string, string> { ["rings"] = "128" });
        Assert.True(SpinWait.SpinUntil(() => wrong.Report().State == DeviceState.Failed, Machine.Limit), "the device is not given up");
        Assert.StartsWith("unknown option 'rings'; allowed: txDescriptors,", wrong.Report().LastFault, StringComparison.Ordinal);
    }

    [Fact]
    public void A_driver_maps_no_packet_memory()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "what a driver holds is nobody's to see but root's");
        using Machine machine = new("e1000");
        using NetworkPort port = machine.Open();

        string maps = File.ReadAllText($"/proc/{machine.Report().Pid}/maps");

        Assert.Contains("xinim-net-rings", maps, StringComparison.Ordinal);
        Assert.DoesNotContain("xinim-net-tx", maps, StringComparison.Ordinal);
        Assert.DoesNotContain("xinim-net-rx", maps, StringComparison.Ordinal);
    }

    [Fact]
    public void A_drivers_memory_is_nobodys_to_read()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only who is not its user sees the difference");
        using Machine machine = new("e1000");
        Assert.True(SpinWait.SpinUntil(() => machine.Report().State == DeviceState.Ready, Machine.Limit), "the driver does not get ready");

        // Of a process that may be dumped and traced they belong to its user (proc(5)).
        using Process stat = Process.Start(new ProcessStartInfo("stat", ["--format=%u", $"/proc/{machine.Report().Pid}/mem"]) { RedirectStandardOutput = true })!;
        Assert.Equal("0", stat.StandardOutput.ReadToEnd().Trim());
    }

    [Fact]
    public void A_driver_that_hears_nothing_does_not_outlive_a_daemon_that_is_killed()
    {
        using DaemonProcess daemon = new();
        int driver = daemon.Children().Driver;
        using (Process stop = Process.Start("kill", ["-STOP", $"{driver}"])) stop.WaitForExit();

        daemon.Kill();

        Assert.True(DaemonProcess.Ends(driver), "the driver lives on");
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

    /// <summary>sd_notify(3): systemctl start returns with READY, the watchdog hears of the loop, and a daemon that goes says so before its devices do.</summary>
    [Fact]
    public void A_daemon_tells_systemd_that_it_serves_that_its_loop_goes_round_and_that_it_stops()
    {
        string path = Path.Combine(Path.GetTempPath(), $"xinim-notify-{Guid.NewGuid():n}");
        using Socket systemd = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        systemd.Bind(new UnixDomainSocketEndPoint(path));
        try
        {
            using DaemonProcess daemon = new(("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "100000"));
            List<string> heard = [];
            while (!heard.Contains("READY=1") || heard.Count(sign => sign == "WATCHDOG=1") < 3) heard.Add(Next(systemd));
            Assert.DoesNotContain("STOPPING=1", heard);
            Assert.Equal(0, daemon.Terminate());
            string last;
            while ((last = Next(systemd)) != "STOPPING=1") Assert.Equal("WATCHDOG=1", last);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static string Next(Socket systemd)
    {
        byte[] message = new byte[256];
        Assert.True(systemd.Poll(Machine.Limit, SelectMode.SelectRead), "the daemon tells systemd nothing more");
        return Encoding.ASCII.GetString(message, 0, systemd.Receive(message));
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
