using System.Diagnostics;
using Xinim.Net.Ports;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Manifests;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Status;
using Xinim.Supervisor.Tests.Harness;
using Xinim.Vfio.Remote;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>
/// The whole product in small: a supervisor on a thread of its own, the published driver as its process, and one of QEMU's NIC models as the
/// device, whose wire the test holds.
/// </summary>
internal sealed class Machine : IDisposable
{
    /// <summary>Reached only when something is broken.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>For messages of tests that fail; they run one at a time.</summary>
    private static Machine? _current;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-native-");
    private readonly Thread _thread;
    private readonly RemoteMachine _model;
    private readonly List<NetworkPort> _ports = [];

    public Machine(string model, IReadOnlyDictionary<string, string>? options = null)
    {
        // Drivers run as users of their own where the test is root.
        File.SetUnixFileMode(_folder.FullName, (UnixFileMode)0b111_101_101);
        Wire = new Wire();
        _model = RemoteMachine.Start(QemuProgram.Find(), RemoteModel.Parse($"remote:{model}", Wire.Netdev, null, [new("mac", "52:54:00:12:34:56")]), null);
        Supervisor = new Supervisor(new DaemonConfiguration { Socket = Socket }, new ManifestStore(Path.Combine(Binaries, "drivers")), Log);
        Supervisor.Add(_model.Backend, new DeviceConfiguration
        {
            Device = _model.Backend.Name,
            Restart = new RestartSettings { QuietPeriod = 0 },
            Options = options ?? new Dictionary<string, string>(),
        });
        _model.Watch(Supervisor.Loop, reason => Supervisor.Disappear(_model.Backend, reason));
        _thread = new Thread(Supervisor.Run) { IsBackground = true, Name = "supervisor" };
        _thread.Start();
        _current = this;
    }

    /// <summary>Where scripts/build.sh puts the executables: artifacts/bin, two folders above this assembly's.</summary>
    public static string Binaries => Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", ".."));

    public RecordingLog Log { get; } = new();

    public Supervisor Supervisor { get; }

    public Wire Wire { get; }

    public int ModelPid => _model.Pid;

    private string Socket => PathOf("xinim.sock");

    /// <summary>A file of this machine's own, which its drivers can read.</summary>
    public string PathOf(string name) => Path.Combine(_folder.FullName, name);

    /// <summary>The published command line, ready to be run against this supervisor.</summary>
    public Func<Process> Operate(params IEnumerable<string> arguments) => () => Process.Start(
        new ProcessStartInfo(Path.Combine(Binaries, "xinim"), [.. arguments, "--socket", Socket]) { RedirectStandardOutput = true, RedirectStandardError = true })!;

    public NetworkPort Open(NetworkPortOptions? options = null)
    {
        NetworkPort port = NetworkPort.Open("net0", (options ?? new NetworkPortOptions { TxBuffers = 256, RxBuffers = 256 }) with { AnswerLimit = Limit }, Socket);
        _ports.Add(port);
        return port;
    }

    /// <summary>The device's state.</summary>
    public DeviceReport Report() => Ask(() => Supervisor.Report().Devices[0]);

    /// <summary>What has happened so far.</summary>
    public IReadOnlyList<DeviceEvent> Events() => Ask(() => Supervisor.EventsAfter(0).Events);

    /// <summary>Waits for something that the port brings about; whatever comes meanwhile is kept by the port.</summary>
    public static void Until(NetworkPort port, Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > Limit) Assert.Fail($"waited in vain until {what}\n{_current}");
            port.Wait(TimeSpan.FromMilliseconds(20));
            port.Collect();
        }
    }

    /// <summary>Kills the driver's process, as a bug would.</summary>
    public int KillDriver()
    {
        int pid = Report().Pid ?? throw new InvalidOperationException("no driver runs");
        using Process process = Process.GetProcessById(pid);
        process.Kill();
        return pid;
    }

    public void KillModel()
    {
        using Process process = Process.GetProcessById(_model.Pid);
        process.Kill();
    }

    /// <summary>Asks on the supervisor's thread.</summary>
    private T Ask<T>(Func<T> question)
    {
        T answer = default!;
        using ManualResetEventSlim done = new();
        Supervisor.Loop.Post(() =>
        {
            answer = question();
            done.Set();
        });
        Assert.True(done.Wait(Limit), "the supervisor does not answer");
        return answer;
    }

    /// <summary>All that is known, for a test that fails.</summary>
    public override string ToString()
    {
        DeviceReport report = Report();
        return $"{report.State}, {string.Join(", ", report.Counters)}\n{string.Join('\n', Log.Lines)}";
    }

    public void Dispose()
    {
        _current = null;
        foreach (NetworkPort port in _ports) port.Dispose();
        Supervisor.Stop();
        Assert.True(_thread.Join(Limit), "the supervisor does not stop");
        Supervisor.Dispose();
        _model.Dispose();
        Wire.Dispose();
        _folder.Delete(recursive: true);
    }
}
