using System.Diagnostics;
using Xinim.Lab.Tests.Vfio;
using Xinim.Net.Ports;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>Devices that come and go under a daemon that runs, and a daemon that crashes over them.</summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
public sealed class HotPlugLabTests
{
    private const string Nic = "0000:00:02.0", OtherNic = "0000:00:03.0";

    public HotPlugLabTests() => LabDevice.RequireLab();

    [Fact]
    public async Task A_device_that_is_removed_under_its_client_leaves_and_is_taken_again_when_it_comes_back()
    {
        using LabDaemon daemon = new([Nic, OtherNic]);
        using NetworkPort stays = daemon.Open("net0");
        using NetworkPort goes = daemon.Open("net1");

        // Waits in the kernel until the daemon has let go.
        Task removal = Task.Run(() => File.WriteAllText($"/sys/bus/pci/devices/{OtherNic}/remove", "1"), TestContext.Current.CancellationToken);
        daemon.Await("0000:00:03.0 is given up", 1);
        await removal.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);

        Assert.False(Directory.Exists($"/sys/bus/pci/devices/{OtherNic}"));
        NetworkPortException told = Assert.Throws<NetworkPortException>(() => Wait(goes, () => false));
        Assert.Equal("it was unbound or unplugged", told.Message);
        Assert.Equal(1u, stays.Generation);
        stays.GetStatistics();

        File.WriteAllText("/sys/bus/pci/rescan", "1");
        daemon.Await("net1: generation 1 ready", 2);
        using NetworkPort again = daemon.Open("net1");
        Assert.Equal(0, daemon.Terminate());
        Assert.NotEqual("vfio-pci", LabDaemon.DriverOf(OtherNic));
    }

    [Fact]
    public void A_device_that_is_bound_while_the_daemon_runs_is_taken_and_leaves_when_it_is_unbound()
    {
        using LabDaemon daemon = new([]);
        Run("bind", Nic);
        daemon.Await("net0: generation 1 ready", 1);

        File.WriteAllText("/sys/bus/pci/drivers/vfio-pci/unbind", Nic);

        daemon.Await("0000:00:02.0 is given up", 1);
        Run("unbind", Nic);
        Assert.NotEqual("vfio-pci", LabDaemon.DriverOf(Nic));
        Run("bind", Nic);
        daemon.Await("net0: generation 1 ready", 2);
        Assert.Equal(0, daemon.Terminate());
        Run("unbind", Nic);
    }

    [Fact]
    public void What_a_killed_daemon_left_is_put_in_order_by_the_next()
    {
        string? before = LabDaemon.DriverOf(Nic);
        string socket = Path.Combine(Path.GetTempPath(), $"xinim-crash-{Guid.NewGuid():n}.sock");
        int driver;
        using (LabDaemon first = new([Nic], socket))
        {
            driver = first.Status("net0").GetProperty("pid").GetInt32();
            // A driver that hangs does not hear that its supervisor is gone.
            LabDevice.Shell("kill", "-STOP", $"{driver}");
            first.Kill();
        }

        Assert.Equal("vfio-pci", LabDaemon.DriverOf(Nic));
        using LabDaemon second = new([Nic], socket);
        Assert.False(Directory.Exists($"/proc/{driver}"));
        Assert.Equal("Ready", second.Status("net0").GetProperty("state").GetString());
        Assert.Equal(0, second.Terminate());
        Assert.Equal(before, LabDaemon.DriverOf(Nic));
        Assert.Empty(Directory.GetFiles(socket + ".state", "*", SearchOption.AllDirectories));
    }

    private static void Run(string verb, string address)
    {
        (int status, _, string error) = LabProgram.Run(LabDaemon.Executable, verb, address);
        Assert.True(status == 0, error);
    }

    private static void Wait(NetworkPort port, Func<bool> condition)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, "nothing happened");
            port.Wait(TimeSpan.FromMilliseconds(100));
        }
    }
}
