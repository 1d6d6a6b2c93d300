using System.Buffers.Binary;
using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Manifests;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Status;
using Xinim.Supervisor.Tests.Harness;
using Xinim.TestKit.Block;
using Xinim.TestKit.Remote;
using Xinim.Vfio.Remote;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>A supervisor, a driver's process as the product has them, and a controller of several disks in the test's memory.</summary>
internal sealed class ControllerMachine : IDisposable
{
    public const uint Blocks = 16384;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-controller-");
    private readonly RemoteServer _server;
    private readonly RecordingLog _log = new();
    private readonly Supervisor _supervisor;
    private readonly Thread _thread;

    public ControllerMachine()
    {
        RemoteServer? server = null;
        Model = new ControllerModel(Blocks, (at, to) => server!.ReadMemory(at, to), (at, from) => server!.WriteMemory(at, from)) { Line = level => server!.SetLine(level) };
        (SafeFileHandle link, SafeFileHandle model) = RemoteLink.CreateSocketPair();
        byte[] config = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(config, 0x0d15_1234);
        BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(8), 0x0106_0100);
        config[0x3d] = 1; // INTA
        _server = server = new RemoteServer(model, config, [ControllerModel.BarBytes], Model) { OnReset = Model.Reset };
        string drivers = Path.Combine(_folder.FullName, "drivers");
        Directory.CreateDirectory(drivers);
        File.WriteAllText(Path.Combine(drivers, "test.json"), $$"""
            { "name": "{{TestController.Name}}", "version": "1", "executable": "{{Executable}}", "class": "block", "prefix": "sata", "matches": [ "class:010601" ] }
            """);
        // Drivers run as users of their own where the test is root.
        File.SetUnixFileMode(_folder.FullName, (UnixFileMode)0b111_101_101);
        _supervisor = new Supervisor(new DaemonConfiguration { Socket = Socket }, new ManifestStore(drivers), _log);
        _supervisor.Add(new RemoteBackend(link, "remote:ours"), new DeviceConfiguration { Device = "remote:ours", Restart = new RestartSettings { GiveUpAfter = 0, FirstPause = 0, MaxPause = 0 } });
        _thread = new Thread(_supervisor.Run) { IsBackground = true, Name = "supervisor" };
        _thread.Start();
        Until(() => Report().State == DeviceState.Ready, "the first driver is ready");
    }

    /// <summary>Where scripts/test.sh puts it.</summary>
    public static string Executable => Path.GetFullPath(Path.Combine(Machine.Binaries, "..", "tests", "test-driver", "test-driver"));

    public ControllerModel Model { get; }

    public string Socket => Path.Combine(_folder.FullName, "xinim.sock");

    public BlockClient Open(string disk) => BlockClient.Open(disk, new BlockPortOptions { PoolBytes = 1 << 20, RetryBudget = int.MaxValue, AnswerLimit = Machine.Limit }, Socket);

    public DeviceReport Report() => Ask(() => _supervisor.Report().Devices[0]);

    public bool HasHappened(string text) => Ask(() => _supervisor.EventsAfter(0).Events).Any(one => one.Kind == EventKind.Changed && one.Text.Contains(text, StringComparison.Ordinal));

    /// <summary>Kills the driver's process, and waits for the next one.</summary>
    public void KillDriver()
    {
        DeviceReport before = Report();
        using (Process process = Process.GetProcessById(before.Pid!.Value)) process.Kill();
        Until(() => Report() is { State: DeviceState.Ready } now && now.Generation > before.Generation, "the next driver is ready");
    }

    public void Until(Func<bool> condition, string what) => Assert.True(SpinWait.SpinUntil(condition, Machine.Limit), $"waited in vain until {what}\n{string.Join('\n', _log.Lines)}");

    public void Dispose()
    {
        _supervisor.Stop();
        Assert.True(_thread.Join(Machine.Limit), "the supervisor does not stop");
        _supervisor.Dispose();
        _server.Dispose();
        _folder.Delete(recursive: true);
    }

    /// <summary>Asks on the supervisor's thread.</summary>
    private T Ask<T>(Func<T> question)
    {
        TaskCompletionSource<T> answer = new();
        _supervisor.Loop.Post(() => answer.SetResult(question()));
        Assert.True(answer.Task.Wait(Machine.Limit), "the supervisor does not answer");
        return answer.Task.Result;
    }
}
