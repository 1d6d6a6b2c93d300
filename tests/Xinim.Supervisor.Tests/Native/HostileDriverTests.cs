using System.Diagnostics;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Manifests;
using Xinim.Supervisor.Status;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>A driver that works against its supervisor: it is ended, and everybody else is served meanwhile.</summary>
[Trait("needs", "qemu")]
public sealed class HostileDriverTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-hostile-");
    private readonly RecordingLog _log = new();
    private Supervisor? _supervisor;

    [Theory]
    [InlineData("flood", "messages without being asked")]
    [InlineData("silent", "no answer to Start within 500 ms")]
    [InlineData("processor", "no answer to Start within 500 ms")]
    [InlineData("foreign-code", "killed by signal 31")]
    public void It_is_ended_and_others_are_served(string attack, string reason)
    {
        Start(attack);

        Until(() => _log.Has(reason), $"'{reason}'");

        Until(() => _supervisor!.Find("net0")!.Generation > 1, "the next one follows");
        AssertServes();
    }

    [Theory]
    [InlineData("memory")]
    [InlineData("descriptors")]
    [InlineData("threads")]
    [InlineData("escape")]
    public void What_does_not_succeed_leaves_a_driver_like_any_other(string attack)
    {
        Start(attack, startLimit: 60_000);

        Until(() => _supervisor!.Find("net0")!.State == DeviceState.Ready, "it is ready");

        Assert.False(_log.Has("succeeded"), string.Join('\n', _log.Lines));
        AssertServes();
    }

    public void Dispose()
    {
        _supervisor?.Dispose();
        _folder.Delete(recursive: true);
    }

    private void Start(string attack, int startLimit = 500)
    {
        string drivers = _folder.CreateSubdirectory("drivers").FullName;
        File.WriteAllText(Path.Combine(drivers, $"{attack}.json"), $$"""
            {
              "name": "{{attack}}", "version": "1", "executable": "{{HostileProcess.Executable}}", "class": "network", "matches": [ "8086:100e" ], "standby": false,
              "startLimit": {{startLimit}}, "limits": { "memoryBytes": 100663296, "descriptors": 64, "threads": 8 }
            }
            """);
        _supervisor = new Supervisor(new DaemonConfiguration { Socket = Path.Combine(_folder.FullName, "xinim.sock") }, new ManifestStore(drivers), _log);
        _supervisor.Add(new RecordingBackend(), new DeviceConfiguration { Device = "0000:00:03.0" });
    }

    /// <summary>A client gets its answer.</summary>
    private void AssertServes()
    {
        using Channel client = ChannelListener.Connect(Path.Combine(_folder.FullName, "xinim.sock"));
        client.Send(new MessageHeader((uint)ClientMessage.GetStatus, 0, 1));
        ChannelMessage? answer = null;
        Until(() => client.TryReceive(out answer) && answer is not null, "a client is answered");
        using (answer) Assert.Equal("net0", StatusReport.FromJson(answer!.Text).Devices[0].Name);
    }

    private void Until(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Machine.Limit, $"waited in vain until {what}; the log:\n{string.Join('\n', _log.Lines)}");
            _supervisor!.Loop.RunOnce(TimeSpan.FromMilliseconds(20));
        }
    }
}
