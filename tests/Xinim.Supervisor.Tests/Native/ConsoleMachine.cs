using System.Diagnostics;
using System.Net.Sockets;
using Xinim.Serial.Ports;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Manifests;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Status;
using Xinim.Supervisor.Tests.Harness;
using Xinim.TestKit.Remote;
using Xinim.Vfio.Remote;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>A supervisor on a thread of its own, the published driver as its process, and QEMU's virtio-serial, whose ports' other sides the test holds.</summary>
internal sealed class ConsoleMachine : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-console-");
    private readonly Thread _thread;
    private readonly RemoteMachine _model;

    /// <param name="names">Of the ports for data, from number 1 on.</param>
    public ConsoleMachine(params string[] names)
    {
        File.SetUnixFileMode(_folder.FullName, (UnixFileMode)0b111_101_101);
        RemotePort[] ports = [.. names.Select((name, i) => new RemotePort { Name = name, Socket = PathOf($"port{i}") })];
        _model = RemoteMachine.Start(QemuProgram.Find(), RemoteModel.Parse("remote:virtio-serial-pci", ports: ports), null);
        Supervisor = new Supervisor(new DaemonConfiguration { Socket = Socket }, new ManifestStore(Path.Combine(Machine.Binaries, "drivers")), Log);
        Supervisor.Add(_model.Backend, new DeviceConfiguration { Device = _model.Backend.Name, Restart = new RestartSettings { QuietPeriod = 0 } });
        _thread = new Thread(Supervisor.Run) { IsBackground = true, Name = "supervisor" };
        _thread.Start();
    }

    public RecordingLog Log { get; } = new();

    public Supervisor Supervisor { get; }

    public string Socket => PathOf("xinim.sock");

    public string PathOf(string name) => Path.Combine(_folder.FullName, name);

    public ConsolePort Open(string port) => ConsolePort.Open("con0", port, Socket);

    /// <summary>Connects to the other side of the i-th port.</summary>
    public Socket Connect(int index) => PortSocket.Connect(PathOf($"port{index}"));

    public DeviceReport Report()
    {
        DeviceReport answer = null!;
        using ManualResetEventSlim done = new();
        Supervisor.Loop.Post(() =>
        {
            answer = Supervisor.Report().Devices[0];
            done.Set();
        });
        Assert.True(done.Wait(Machine.Limit), "the supervisor does not answer");
        return answer;
    }

    /// <summary>Waits until the driver serves, and kills it.</summary>
    public void KillDriver()
    {
        DeviceReport report = Report();
        if (report.State != DeviceState.Ready || report.Pid is not { } pid) return;
        using Process process = Process.GetProcessById(pid);
        process.Kill();
    }

    /// <summary>The published command line against this supervisor, with pipes for its input and outputs.</summary>
    public Process Command(params IEnumerable<string> arguments) => Process.Start(
        new ProcessStartInfo(Path.Combine(Machine.Binaries, "xinim"), [.. arguments, "--socket", Socket]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;

    public void Until(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Machine.Limit, $"waited in vain until {what}\n{Report().State}\n{string.Join('\n', Log.Lines)}");
            Thread.Yield();
        }
    }

    public void Dispose()
    {
        Supervisor.Stop();
        Assert.True(_thread.Join(Machine.Limit), "the supervisor does not stop");
        Supervisor.Dispose();
        _model.Dispose();
        _folder.Delete(recursive: true);
    }
}
