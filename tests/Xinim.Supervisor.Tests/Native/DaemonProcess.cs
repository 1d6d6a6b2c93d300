using System.Collections.Concurrent;
using System.Diagnostics;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Status;
using Xinim.TestPeer;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>The published daemon with one device model, ready.</summary>
internal sealed class DaemonProcess : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-daemon-");
    private readonly Process _process;
    private readonly ConcurrentQueue<string> _log = new();
    private readonly ManualResetEventSlim _started = new();

    /// <param name="environment">Beside the test's own.</param>
    public DaemonProcess(params IEnumerable<(string Name, string Value)> environment)
        : this("""{ "device": "remote:e1000" }""", environment)
    {
    }

    /// <param name="device">As in the configuration.</param>
    /// <param name="environment">Beside the test's own.</param>
    public DaemonProcess(string device, params IEnumerable<(string Name, string Value)> environment)
    {
        string configuration = Path.Combine(_folder.FullName, "xinim.json");
        File.WriteAllText(configuration, $$"""{ "socket": "{{Socket}}", "devices": [ {{device}} ] }""");
        ProcessStartInfo start = new(Path.Combine(Machine.Binaries, "xinim"), ["daemon", "--config", configuration]) { RedirectStandardOutput = true };
        foreach ((string name, string value) in environment) start.Environment[name] = value;
        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, line) => Heard(line.Data);
        _process.BeginOutputReadLine();
        Assert.True(_started.Wait(PeerProcess.Limit), $"the daemon's driver does not get ready\n{this}");
        Assert.True(_log.Any(IsReady), $"the daemon ended\n{this}");
    }

    /// <summary>Ready is when a client is served; the log says what happens until then.</summary>
    private static bool IsReady(string line) => line.Contains(" ready after ", StringComparison.Ordinal);

    private void Heard(string? line)
    {
        if (line is not null) _log.Enqueue(line);
        if (line is null || IsReady(line)) _started.Set();
    }

    /// <summary>What it logged.</summary>
    public override string ToString() => string.Join('\n', _log.TakeLast(100));

    /// <summary>Kills drivers, each at least so long after the one before, whatever they are doing.</summary>
    public void KillDrivers(int count, TimeSpan pace)
    {
        int last = 0;
        for (int death = 0; death < count; death++)
        {
            long start = Stopwatch.GetTimestamp();
            Assert.True(SpinWait.SpinUntil(() => Stopwatch.GetElapsedTime(start) >= pace && Status().Pid is { } pid && pid != last && Kill(last = pid), PeerProcess.Limit), $"no driver follows\n{this}");
        }
    }

    private static bool Kill(int pid)
    {
        using Process driver = Process.GetProcessById(pid);
        driver.Kill();
        return true;
    }

    /// <summary>Runs the published command line against this daemon.</summary>
    /// <returns>Its status, and what it printed.</returns>
    public (int Status, string Output, string Error) Operate(params IEnumerable<string> arguments)
    {
        using Process process = Process.Start(
            new ProcessStartInfo(Path.Combine(Machine.Binaries, "xinim"), [.. arguments, "--socket", Socket]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }

    public string Socket => Path.Combine(_folder.FullName, "xinim.sock");

    /// <summary>Process ids of the driver, of the one that waits, and of the device model.</summary>
    public (int Driver, int Standby, int Model) Children()
    {
        DeviceReport device;
        long start = Environment.TickCount64;
        do
        {
            Assert.True(Environment.TickCount64 - start < PeerProcess.Limit.TotalMilliseconds, "no driver is kept ready");
            device = Status();
        }
        while (device.StandbyPid is null);
        int driver = device.Pid!.Value, standby = device.StandbyPid.Value;
        // A child belongs to the thread that made it, or to another one when that has ended.
        int[] all =
        [
            .. Directory.GetDirectories($"/proc/{_process.Id}/task").SelectMany(task => File.ReadAllText($"{task}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Select(child => int.Parse(child, System.Globalization.CultureInfo.InvariantCulture)),
        ];
        Assert.Contains(driver, all);
        Assert.Contains(standby, all);
        return (driver, standby, all.Single(child => child != driver && child != standby));
    }

    public DeviceReport Status()
    {
        using Channel channel = ChannelListener.Connect(Socket);
        channel.Send(new MessageHeader((uint)ClientMessage.GetStatus, 0, 1));
        using ChannelMessage report = channel.Receive(PeerProcess.Limit);
        return StatusReport.FromJson(report.Text).Devices[0];
    }

    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    /// <summary>SIGTERM, as systemd sends it.</summary>
    /// <returns>The exit status.</returns>
    public int Terminate()
    {
        using (Process kill = Process.Start("kill", ["-TERM", $"{_process.Id}"])) kill.WaitForExit();
        Assert.True(_process.WaitForExit(PeerProcess.Limit), "the daemon does not end");
        return _process.ExitCode;
    }

    /// <summary>Waits for the end of a process that is nobody's child here any more.</summary>
    public static bool Ends(int pid)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            return process.WaitForExit(PeerProcess.Limit);
        }
        catch (ArgumentException)
        {
            // It has ended already.
            return true;
        }
    }

    public void Dispose()
    {
        if (!_process.HasExited) Kill();
        _process.Dispose();
        _started.Dispose();
        _folder.Delete(recursive: true);
    }
}
