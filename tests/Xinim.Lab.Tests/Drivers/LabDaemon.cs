using System.Diagnostics;
using System.Text.Json;
using Xinim.Lab.Tests.Vfio;
using Xinim.Net.Ports;
using Xinim.Vfio.Pci;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>The published <c>xinim daemon</c> in the lab's guest, serving.</summary>
public sealed class LabDaemon : IDisposable
{
    /// <summary>Of a device whose drivers are killed more often in a row than anybody's.</summary>
    public const string NeverGivenUp = """ "restart": { "firstPause": 0, "maxPause": 0, "giveUpAfter": 0 } """;

    private static readonly TimeSpan Limit = LabProgram.Limit;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-lab-");
    private readonly List<string> _log = [];
    private readonly Process _process;
    private readonly Thread _reader;

    /// <param name="devices">Addresses, or ADDRESS=NAME; without, their names are net0, disk0 and so on.</param>
    /// <param name="socket">By default one of its own.</param>
    /// <param name="prefix">A program that starts it, with arguments; by default it is started as root.</param>
    /// <param name="drivers">Folder of manifests; by default the product's.</param>
    /// <param name="others">More devices, as in a configuration; they may come later, and are not waited for.</param>
    public LabDaemon(string[] devices, string? socket = null, string[]? prefix = null, string? drivers = null, string? others = null)
    {
        LabDevice.RequireLab();
        LabDevice.Shell("modprobe", "vfio-pci");
        Socket = socket ?? Path.Combine(_folder.FullName, "xinim.sock");
        // Whoever it runs as makes its socket there.
        File.SetUnixFileMode(_folder.FullName, (UnixFileMode)0b111_111_111);
        string[] folder = drivers is null ? [] : ["--drivers", drivers];
        _process = Start([.. prefix ?? [], Executable, "daemon", "--config", Write(_folder.FullName, Socket, others, devices), .. folder]);
        _reader = new Thread(Read) { IsBackground = true };
        _reader.Start();
        Await("serving", 1);
        Await("ready after", devices.Length);
    }

    /// <summary>The published executable, two folders above this assembly's.</summary>
    public static string Executable => Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "xinim"));

    public string Socket { get; }

    public string Log
    {
        get
        {
            lock (_log) return string.Join('\n', _log);
        }
    }

    public static string WriteConfiguration(string folder, string socket, params string[] devices) => Write(folder, socket, null, devices);

    /// <summary>The kernel's or VFIO's driver of a function; null for none.</summary>
    public static string? DriverOf(string address) => new PciEnumerator().Find(PciAddress.Parse(address)).Driver;

    public NetworkPort Open(string name, NetworkPortOptions? options = null) =>
        NetworkPort.Open(name, (options ?? new NetworkPortOptions()) with { AnswerLimit = Limit }, Socket);

    /// <summary>One device of <c>xinim status --json</c>.</summary>
    public JsonElement Status(string name)
    {
        (_, string output, _) = LabProgram.Run(Executable, "status", "--json", "--socket", Socket);
        using JsonDocument report = JsonDocument.Parse(output);
        return report.RootElement.GetProperty("devices").EnumerateArray().Single(device => device.GetProperty("name").GetString() == name).Clone();
    }

    public void KillDriver(string name)
    {
        long start = Stopwatch.GetTimestamp();
        JsonElement pid;
        // Between two lives there is none.
        while ((pid = Status(name).GetProperty("pid")).ValueKind == JsonValueKind.Null)
            Assert.True(Stopwatch.GetElapsedTime(start) < Limit, $"{name} has no driver that could be killed");
        LabDevice.Shell("kill", "-KILL", $"{pid.GetInt32()}");
    }

    /// <summary>Waits until the log holds a text so many times.</summary>
    public void Await(string text, int times)
    {
        long start = Stopwatch.GetTimestamp();
        lock (_log)
        {
            while (_log.Count(line => line.Contains(text, StringComparison.Ordinal)) < times)
            {
                bool more = Monitor.Wait(_log, TimeSpan.FromSeconds(1)) || !_process.HasExited;
                Assert.True(more && Stopwatch.GetElapsedTime(start) < Limit, $"the daemon did not say '{text}' {times} times:\n{string.Join('\n', _log)}");
            }
        }
    }

    /// <summary>Ends it without a word.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
        _reader.Join();
    }

    /// <summary>SIGTERM, as systemd sends it.</summary>
    /// <returns>The exit status.</returns>
    public int Terminate()
    {
        LabDevice.Shell("kill", "-TERM", $"{_process.Id}");
        Assert.True(_process.WaitForExit(Limit), "the daemon does not end");
        _reader.Join();
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited) Terminate();
        _process.StandardOutput.Dispose();
        _process.Dispose();
        _folder.Delete(recursive: true);
    }

    private static string Write(string folder, string socket, string? others, string[] devices)
    {
        string path = Path.Combine(folder, "xinim.json");
        string wait = devices.Length == 0 || others is not null ? "true" : "false";
        IEnumerable<string> all = devices.Select(Entry);
        if (others is not null) all = all.Append(others);
        File.WriteAllText(path, $$"""{ "socket": "{{socket}}", "waitForDevices": {{wait}}, "devices": [ {{string.Join(", ", all)}} ] }""");
        return path;
    }

    private static string Entry(string device) => device.Split('=') is [var address, var name]
        ? $$"""{ "device": "{{address}}", "name": "{{name}}" }"""
        : $$"""{ "device": "{{device}}" }""";

    private static Process Start(string[] command) => Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true })!;

    private void Read()
    {
        while (_process.StandardOutput.ReadLine() is { } line)
        {
            lock (_log)
            {
                _log.Add(line);
                Monitor.PulseAll(_log);
            }
        }
    }
}
