using System.Diagnostics;
using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.Lab.Tests.Vfio;
using Xinim.Net.Ports;
using Xinim.TestKit.Block;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>
/// The daemon as systemd's service, under load: whatever ends it, its clients are told, the next one serves at once, and after <c>systemctl stop</c> nothing of it is left: no process, huge page,
/// memory file, mount, namespace or binding, and no device that could still write.
/// </summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
public sealed class SystemdLabTests : IDisposable
{
    // An 82540EM with a gateway on its network, and a virtio disk (scripts/lab.sh).
    private const string Nic = "0000:00:02.0", Disk = "0000:00:08.0";
    private const ulong Frames = 500;
    private const long Requests = 20;
    private const string ToldByDaemon = "^the daemon closed the connection$|^the connection to the daemon broke|^the daemon does not answer";

    private static readonly TimeSpan s_settled = TimeSpan.FromSeconds(30);

    // Bound before: it is the daemon's to make quiet, and not to give back to the kernel, as the disk is.
    private readonly LabDevice _nic;
    private readonly Systemd _systemd;
    private readonly string _before;
    private readonly string _mounts;

    public SystemdLabTests()
    {
        LabDevice.RequireLab();
        _nic = LabDevice.TakeE1000();
        _systemd = new Systemd($$"""{ "device": "{{Nic}}", "name": "lan" }, { "device": "{{Disk}}", "name": "data" }""");
        (_before, _mounts) = (MachineState.Of(Nic, Disk), _systemd.Mounts);
        _systemd.Control("start");
    }

    public void Dispose()
    {
        _systemd.Dispose();
        _nic.Dispose();
    }

    [Fact]
    public async Task Restart_under_load()
    {
        string serving = Serving();
        for (int round = 0; round < 3; round++)
        {
            string former = _systemd.MainPid;
            await UnderLoad(() => _systemd.Control("restart"));
            Assert.NotEqual(former, _systemd.MainPid);
        }

        Ping();
        AssertServing(serving);
        AssertNothingIsLeftByStop();
    }

    [Theory]
    [InlineData("--kill-whom=all")] // drivers as well
    [InlineData("--kill-whom=main")] // drivers notice, and end
    public async Task Kill_under_load_is_followed_by_the_next_daemon(string whom)
    {
        string serving = Serving();
        await UnderLoad(() =>
        {
            _systemd.Control("kill", "--signal=KILL", whom);
            _systemd.Await(() => _systemd.Restarts == 1 && _systemd.State == "active", "systemd has started the next daemon");
        });
        Assert.Equal(["signal"], _systemd.Results);
        Ping();
        AssertServing(serving);
        AssertNothingIsLeftByStop();
    }

    [Fact]
    public async Task A_daemon_that_hangs_is_ended_by_the_watchdog_and_followed_by_the_next()
    {
        string serving = Serving();
        await UnderLoad(() =>
        {
            _systemd.Signal("STOP");
            _systemd.Await(() => _systemd.Restarts == 1 && _systemd.State == "active", "systemd has started the next daemon");
        });
        Assert.Equal(["watchdog"], _systemd.Results);
        Ping();
        AssertServing(serving);
        AssertNothingIsLeftByStop();
    }

    [Fact]
    public async Task Stop_under_load_and_start_again()
    {
        for (int round = 0; round < 2; round++)
        {
            if (round > 0) _systemd.Control("start");
            Ping();
            await UnderLoad(AssertNothingIsLeftButClients);
            AssertNothingIsLeft();
        }
    }

    /// <summary>What there is while the daemon runs, with a driver for each device and one that waits. Namespaces are others each time.</summary>
    private string Serving()
    {
        string now = "", before;
        _systemd.Await(
            () =>
            {
                // One look is not enough: while it lasts, processes start and get their memory.
                (before, now) = (now, string.Join('\n', MachineState.Of(Nic, Disk).Split('\n').Where(line => !line.StartsWith("namespaces", StringComparison.Ordinal))));
                return now == before && now.Contains("xinim xinim-driver xinim-driver xinim-driver xinim-driver\n", StringComparison.Ordinal);
            },
            "a driver serves each device and another one waits");
        return now;
    }

    /// <summary>Nobody's memory and processes have become more.</summary>
    private void AssertServing(string expected)
    {
        long start = Stopwatch.GetTimestamp();
        string now;
        // What has just been started, or is just being closed, takes a moment.
        while ((now = Serving()) != expected && Stopwatch.GetElapsedTime(start) < s_settled) Thread.Yield();
        Assert.Equal(expected, now);
    }

    private void AssertNothingIsLeftByStop()
    {
        _systemd.Control("stop");
        AssertNothingIsLeft();
    }

    private void AssertNothingIsLeftButClients()
    {
        _systemd.Control("stop");
        Assert.Equal("inactive", _systemd.State);
        foreach (string device in (string[])[Nic, Disk]) Assert.False(MachineState.CanWrite(device), $"{device} may still write\n{_systemd.Log}");
    }

    private void AssertNothingIsLeft()
    {
        AssertNothingIsLeftButClients();
        Assert.False(Systemd.HasCgroup, "the unit's cgroup is still there");
        Assert.Equal(_mounts, _systemd.Mounts);
        Assert.Equal(_before, MachineState.Of(Nic, Disk));
        Assert.False(File.Exists(_systemd.Socket), "the socket is still there");
    }

    private void Ping()
    {
        (int status, string output, string error) = LabProgram.Run(LabDaemon.Executable, "ping", "lan", "10.0.2.2", "--count", "2", "--quiet", "--socket", _systemd.Socket);
        Assert.True(status == 0, $"{output}{error}\n{_systemd.Log}");
    }

    /// <summary>Frames and requests pass, something is done to the daemon, and both clients end with its reason.</summary>
    private async Task UnderLoad(Action disturb)
    {
        using NetworkPort lan = NetworkPort.Open("lan", new NetworkPortOptions { AnswerLimit = LabProgram.Limit }, _systemd.Socket);
        using BlockClient data = BlockClient.Open("data", new BlockPortOptions { AnswerLimit = LabProgram.Limit }, _systemd.Socket);
        await data.WriteZeroesAsync(0, 4096, cancellation: TestContext.Current.CancellationToken);
        DiskWorkers workers = new(data);
        using ManualResetEventSlim flows = new();
        Task<NetworkPortException> sender = Task.Run(() => SendUntilTold(lan, () => workers.Requests >= Requests, flows), TestContext.Current.CancellationToken);
        Assert.True(flows.Wait(LabProgram.Limit, TestContext.Current.CancellationToken), $"no frames or no requests pass\n{_systemd.Log}");
        Assert.True(MachineState.CanWrite(Nic), "a device that serves reads its client's memory");

        disturb();

        Assert.Matches(ToldByDaemon, (await sender.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken)).Message);
        BlockException told = await Assert.ThrowsAsync<BlockException>(() => workers.StopAsync().WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken));
        Assert.Matches(ToldByDaemon, told.Message);
    }

    /// <summary>Sends as fast as it goes until the daemon says that it ends.</summary>
    private static NetworkPortException SendUntilTold(NetworkPort port, Func<bool> others, ManualResetEventSlim flows)
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            while (Stopwatch.GetElapsedTime(start) < LabProgram.Limit)
            {
                for (int frame = 0; frame < 32 && port.TryRent(out uint slot); frame++)
                {
                    Span<byte> bytes = port.TxMemory(slot)[..60];
                    bytes.Clear();
                    // A local experiment's, to nobody.
                    (bytes[0], bytes[6], bytes[12], bytes[13]) = (2, 2, 0x88, 0xb5);
                    port.Send(slot, 60);
                }

                port.Flush();
                port.Collect();
                if (port.SentFrames >= Frames && others()) flows.Set();
                port.Wait(TimeSpan.FromMilliseconds(1));
            }
        }
        catch (NetworkPortException told)
        {
            return told;
        }

        throw new TimeoutException("the NIC's client is not told");
    }
}
