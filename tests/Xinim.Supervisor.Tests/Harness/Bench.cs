using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Manifests;

namespace Xinim.Supervisor.Tests.Harness;

/// <summary>
/// A supervisor with one recording device, drivers whose words the test chooses, and clients of the test's own. Everything runs on the test's
/// thread: nothing happens between two calls of <see cref="Until"/>.
/// </summary>
internal sealed class Bench : IDisposable
{
    /// <summary>Restarts follow after pauses that a test can wait for.</summary>
    public const string CalmPolicy = """
        "standby": false, "heartbeat": { "period": 1000, "limit": 600000 }, "restart": { "firstPause": 20, "quietPeriod": 600000, "giveUpAfter": 5 }
        """;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-sup-");
    private readonly ChannelListener _lenders;
    private readonly Queue<ScriptedDriver> _new = [];
    private readonly List<IDisposable> _owned = [];
    private readonly List<ScriptedDriver> _drivers = [];

    /// <param name="answerLimit">Milliseconds that a driver has for an answer; long, but where the test is about its end.</param>
    /// <param name="startLimit">Milliseconds from start to Ready.</param>
    /// <param name="start">False: the test adds the device itself.</param>
    /// <param name="deviceClass">What the manifest says of that.</param>
    /// <param name="policy">What the manifest says of heartbeat, restart and standby; by default hearts may stand still and nothing is kept ready.</param>
    public Bench(int answerLimit = 60_000, int startLimit = 60_000, bool start = true, string policy = CalmPolicy, string deviceClass = "network")
    {
        // Drivers run as users of their own where the test is root.
        File.SetUnixFileMode(_folder.FullName, (UnixFileMode)0b111_101_101);
        _lenders = ChannelListener.Listen(PathOf("drivers.sock"), (UnixFileMode)0b110_110_110);
        WatchesHearts = policy != CalmPolicy;
        WriteDriver(answerLimit, startLimit, policy, deviceClass);
        Supervisor = new Supervisor(new DaemonConfiguration { Socket = PathOf("xinim.sock"), Sandbox = false }, new ManifestStore(PathOf("drivers")), Log);
        Supervisor.Loop.Watch(_lenders.Handle, OnLend);
        if (start) Supervisor.Add(Backend, new DeviceConfiguration { Device = Backend.Name });
    }

    public RecordingLog Log { get; } = new();

    public RecordingBackend Backend { get; } = new();

    public Supervisor Supervisor { get; }

    /// <summary>Drivers hold their page of vital signs in the test's process.</summary>
    public bool WatchesHearts { get; }

    /// <summary>The one device.</summary>
    public ManagedDevice Device => Supervisor.Find(Backend.Name)!;

    public string PathOf(string name) => Path.Combine(_folder.FullName, name);

    /// <summary>The next driver process, which has received Start and says nothing yet.</summary>
    public ScriptedDriver NextDriver() => NextProcess().AwaitStart();

    /// <summary>The next driver process, which may be a standby or a new version: it has said and heard nothing yet.</summary>
    public ScriptedDriver NextProcess()
    {
        Until(() => _new.Count > 0, "a driver's process starts");
        ScriptedDriver driver = _new.Dequeue();
        _drivers.Add(driver);
        return driver;
    }

    public ScriptedDriver NextReadyDriver() => NextDriver().BeReady();

    /// <summary>Another version of the driver: the same program under another name.</summary>
    public string CopyDriver(string name)
    {
        File.Copy(PathOf("driver"), PathOf(name));
        return PathOf(name);
    }

    /// <summary>True where a process has been started that the test has not taken.</summary>
    public bool HasNewDriver => _new.Count > 0;

    /// <summary>A new connection to the supervisor.</summary>
    public ScriptedClient Connect()
    {
        ScriptedClient client = new(this, ChannelListener.Connect(PathOf("xinim.sock")));
        _owned.Add(client);
        return client;
    }

    /// <summary>A client that has opened net0 and whose rings the driver serves.</summary>
    public ScriptedClient ConnectAndOpen(ScriptedDriver driver)
    {
        ScriptedClient client = Connect();
        client.SendOpen();
        driver.Obey(ControlMessage.Attach).Dispose();
        client.AwaitOpened();
        return client;
    }

    /// <summary>Runs the supervisor until something is so. The limit is for a broken supervisor; no outcome depends on it.</summary>
    public void Until(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            foreach (ScriptedDriver driver in _drivers) driver.Hear();
            if (condition()) return;
            Assert.True(Stopwatch.GetElapsedTime(start) < Limit, $"waited in vain until {what}; the log:\n{string.Join('\n', Log.Lines)}");
            Supervisor.Loop.RunOnce(TimeSpan.FromMilliseconds(20));
        }
    }

    /// <summary>Runs what is due now: everything that was sent to the supervisor before is handled afterwards.</summary>
    public void Settle()
    {
        for (int round = 0; round < 8; round++) Supervisor.Loop.RunOnce(TimeSpan.Zero);
    }

    public void Dispose()
    {
        Supervisor.Dispose();
        foreach (IDisposable owned in _owned.Concat(_drivers).Concat(_new)) owned.Dispose();
        _lenders.Dispose();
        _folder.Delete(recursive: true);
    }

    private void OnLend()
    {
        if (_lenders.Accept() is not { } accepted) return;
        using ChannelMessage lend = accepted.Channel.Receive(Limit);
        _new.Enqueue(new ScriptedDriver(this, accepted.Channel, lend));
    }

    private void WriteDriver(int answerLimit, int startLimit, string policy, string deviceClass)
    {
        string root = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));
        string script = PathOf("driver");
        File.WriteAllText(script, $"""
            #!/bin/sh
            export DOTNET_ROOT='{root}' DOTNET_EnableDiagnostics=0 DOTNET_TieredPGO=0
            exec '{Path.Combine(AppContext.BaseDirectory, "Xinim.TestPeer")}' lend '{PathOf("drivers.sock")}'
            """);
        File.SetUnixFileMode(script, (UnixFileMode)0b111_101_101);
        Directory.CreateDirectory(PathOf("drivers"));
        File.WriteAllText(PathOf("drivers/scripted.json"), string.Create(CultureInfo.InvariantCulture, $$"""
            {
              "name": "scripted", "version": "1", "executable": "driver", "class": "{{deviceClass}}", "matches": [ "8086:100e" ],
              "dmaBytes": 4096, "answerLimit": {{answerLimit}}, "startLimit": {{startLimit}}, {{policy}}
            }
            """));
    }
}
