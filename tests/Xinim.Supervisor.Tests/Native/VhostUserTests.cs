using System.Diagnostics;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Manifests;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Tests.Harness;
using Xinim.TestKit.Virtio;
using Xinim.Vfio.VhostUser;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>A driver process in its sandbox, on a disk that a process of QEMU's serves.</summary>
[Trait("needs", "qemu")]
public sealed class VhostUserTests : IDisposable
{
    private const string Line = "BLOCK 256 sectors, sector 5 holds 5, outcome 0";
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-vu-");
    private readonly RecordingLog _log = new();
    private readonly StorageDaemon _disk;
    private readonly Supervisor _supervisor;

    public VhostUserTests()
    {
        _disk = new StorageDaemon(_folder.FullName);
        string drivers = _folder.CreateSubdirectory("drivers").FullName;
        File.WriteAllText(Path.Combine(drivers, "block-probe.json"), $$"""
            {
              "name": "block-probe", "version": "1", "executable": "{{HostileProcess.Executable}}", "class": "network", "matches": [ "1af4:1042" ], "standby": false,
              "startLimit": 60000, "limits": { "memoryBytes": 100663296, "descriptors": 64, "threads": 8 }
            }
            """);
        _supervisor = new Supervisor(new DaemonConfiguration { Socket = Path.Combine(_folder.FullName, "xinim.sock") }, new ManifestStore(drivers), _log);
    }

    private ManagedDevice Device => _supervisor.Find("net0")!;

    public void Dispose()
    {
        _supervisor.Dispose();
        _disk.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public void A_driver_serves_it_and_the_next_one_when_driver_or_back_end_was_killed()
    {
        string name = $"vhost-user-blk:{_disk.Socket}";
        _supervisor.Add(new VhostUserBackend(VhostUserAddress.Parse(name)), new DeviceConfiguration { Device = name });
        Assert.Contains($"waiting for the back end at {_disk.Socket}", Device.Missing, StringComparison.Ordinal);
        _disk.Start();
        AwaitLife(1);

        _disk.Kill();
        Until(() => Device.Missing is not null, "the device waits for the back end");
        Assert.Equal(FaultKind.Gone, Device.LastFaultKind);
        _disk.Start();
        AwaitLife(2);

        using (Process driver = Process.GetProcessById(Device.Pid!.Value)) driver.Kill();
        AwaitLife(3);
        Assert.Equal(FaultKind.Signal, Device.LastFaultKind);
    }

    private void AwaitLife(uint generation)
    {
        Until(() => Device.State == DeviceState.Ready && Device.Generation == generation, $"driver {generation} serves");
        Assert.Equal((int)generation, _log.Lines.Count(line => line.Contains(Line, StringComparison.Ordinal)));
    }

    private void Until(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Machine.Limit, $"waited in vain until {what}; the log:\n{string.Join('\n', _log.Lines)}");
            _supervisor.Loop.RunOnce(TimeSpan.FromMilliseconds(20));
        }
    }
}
