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

    /// <param name="environment">Beside the test's own.</param>
    public DaemonProcess(params IEnumerable<(string Name, string Value)> environment)
    {
        string configuration = Path.Combine(_folder.FullName, "xinim.json");
        File.WriteAllText(configuration, $$"""{ "socket": "{{Socket}}", "devices": [ { "device": "remote:e1000" } ] }""");
        ProcessStartInfo start = new(Path.Combine(Machine.Binaries, "xinim"), ["daemon", "--config", configuration]) { RedirectStandardOutput = true };
        foreach ((string name, string value) in environment) start.Environment[name] = value;
        _process = Process.Start(start)!;
        // Ready is when a client is served; the log says what happens until then.
        while (_process.StandardOutput.ReadLine() is { } line)
        {
            if (line.Contains(" ready after ", StringComparison.Ordinal)) return;
        }

        Assert.Fail($"the daemon ended with status {Terminate()}");
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

    private DeviceReport Status()
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
        _process.StandardOutput.Dispose();
        _process.Dispose();
        _folder.Delete(recursive: true);
    }
}
