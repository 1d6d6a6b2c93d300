using Xinim.Lab.Tests.Vfio;
using Xinim.Net.Ports;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>What the daemon does with the machine around it: bindings, memory, and every way in which it cannot start.</summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
public sealed class DaemonLabTests : IDisposable
{
    private const UnixFileMode Everybody = (UnixFileMode)0b111_111_111;
    private static readonly string[] AsNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    private const string Nic = "0000:00:02.0", OtherNic = "0000:00:03.0", Unsupported = "0000:00:13.0";
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-lab-");

    public DaemonLabTests()
    {
        LabDevice.RequireLab();
        LabDevice.Shell("modprobe", "vfio-pci");
    }

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Bindings_are_as_before_when_the_daemon_has_stopped()
    {
        string? before = LabDaemon.DriverOf(Nic);
        using LabDaemon daemon = new([Nic]);
        Assert.Equal("vfio-pci", LabDaemon.DriverOf(Nic));

        Assert.Equal(0, daemon.Terminate());

        Assert.Equal(before, LabDaemon.DriverOf(Nic));
        Assert.False(File.Exists(daemon.Socket));
    }

    [Fact]
    public void A_device_that_was_bound_before_stays_bound()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        using LabDaemon daemon = new([lab.Address.ToString()]);

        Assert.Equal(0, daemon.Terminate());

        Assert.Equal("vfio-pci", LabDaemon.DriverOf(Nic));
    }

    [Fact]
    public void Without_huge_pages_everything_works_and_the_log_says_why_it_is_slower()
    {
        string pages = File.ReadAllText("/proc/sys/vm/nr_hugepages");
        File.WriteAllText("/proc/sys/vm/nr_hugepages", "0");
        try
        {
            using LabDaemon daemon = new([Nic]);
            using NetworkPort port = daemon.Open("net0");
            Assert.Contains("xinim hugepages", daemon.Log, StringComparison.Ordinal);
            Assert.Equal(1u, port.Generation);
        }
        finally
        {
            File.WriteAllText("/proc/sys/vm/nr_hugepages", pages);
        }
    }

    [Fact]
    public void A_device_that_is_not_there() => AssertRefuses("0000:00:1e.0", "0000:00:1e.0", "xinim list");

    [Fact]
    public void A_device_that_no_driver_is_for() => AssertRefuses(Unsupported, "no driver is installed for 0000:00:13.0 (1b36:0005)", "installed: ahci, e1000, ");

    [Fact]
    public void Vfio_is_not_loaded()
    {
        LabDevice.Shell("modprobe", "-r", "vfio-pci");
        try
        {
            AssertRefuses(Nic, "the driver vfio-pci is not loaded", "'modprobe vfio-pci'");
        }
        finally
        {
            LabDevice.Shell("modprobe", "vfio-pci");
        }
    }

    [Fact]
    public void Nobody_but_root_can_take_a_device_from_the_kernel()
    {
        File.SetUnixFileMode(_folder.FullName, Everybody);
        AssertRefuses(Nic, Nic, "root", AsNobody);
    }

    [Fact]
    public void A_user_who_may_lock_too_little_memory_for_the_driver()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        lab.GiveGroupTo(65534);
        File.SetUnixFileMode(_folder.FullName, Everybody);

        // RLIMIT_MEMLOCK, in bytes.
        AssertRefuses(Nic, "needs 2 MiB of locked memory, 1 MiB are allowed", "'LimitMEMLOCK=infinity'", ["prlimit", "--memlock=1048576", .. AsNobody]);
    }

    [Fact]
    public void A_user_who_may_lock_too_little_memory_for_a_client()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        lab.GiveGroupTo(65534);
        // 2 MiB for the driver, and 2 for each of the smallest pools, to the last byte; the usual ones have 4 and 6: each buffer has its headroom.
        using LabDaemon daemon = new([Nic], prefix: ["prlimit", "--memlock=6291456", .. AsNobody]);

        NetworkPortException refused = Assert.Throws<NetworkPortException>(() => daemon.Open("net0"));

        Assert.Contains("needs 6 MiB of locked memory, 6 MiB are allowed and 6 MiB in use; raise it to at least 12 MiB", refused.Message, StringComparison.Ordinal);
        using NetworkPort modest = daemon.Open("net0", new NetworkPortOptions { TxBuffers = 256, RxBuffers = 256 });
        Assert.Equal(1u, modest.Generation);
    }

    [Fact]
    public void A_socket_that_another_daemon_uses()
    {
        using LabDaemon first = new([Nic]);

        AssertRefusesAt(first.Socket, OtherNic, ["another daemon listens at", "choose another 'socket'"]);

        using NetworkPort port = first.Open("net0");
        Assert.Equal(1u, port.Generation);
    }

    [Fact]
    public void A_device_that_another_process_uses()
    {
        using LabDaemon first = new([Nic]);

        AssertRefuses(Nic, "cannot open /dev/vfio/", "another process");

        Assert.Equal("vfio-pci", LabDaemon.DriverOf(Nic));
        using NetworkPort port = first.Open("net0");
        Assert.Equal(1u, port.Generation);
    }

    private void AssertRefuses(string device, string says, string remedy = "", params string[] prefix)
        => AssertRefusesAt(Path.Combine(_folder.FullName, "xinim.sock"), device, [says, remedy], prefix);

    /// <summary>Status 1, one line that says what and what to do, and every device as it was.</summary>
    private void AssertRefusesAt(string socket, string device, string[] says, params string[] prefix)
    {
        Dictionary<string, string?> before = Drivers();
        string configuration = LabDaemon.WriteConfiguration(_folder.FullName, socket, device);
        string[] command = [.. prefix, LabDaemon.Executable, "daemon", "--config", configuration];
        (int status, string output, string error) = LabProgram.Run(command[0], command[1..]);

        Assert.True(status == 1, $"status {status}: {output}{error}");
        string line = Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("xinim daemon: ", line, StringComparison.Ordinal);
        foreach (string part in says) Assert.Contains(part, line, StringComparison.Ordinal);
        Assert.Equal(before, Drivers());
    }

    private static Dictionary<string, string?> Drivers() => new[] { Nic, OtherNic, Unsupported }.ToDictionary(address => address, LabDaemon.DriverOf);
}
