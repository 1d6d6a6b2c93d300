using System.Diagnostics;
using System.Globalization;
using Xinim.Lab.Tests.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>
/// A systemd of its own, process 1 of a PID namespace, with scripts/xinim.service as docs/OPERATION.md installs it. The guest's process 1 is the lab's script, so systemd runs as
/// in a container [systemd.io/CONTAINER_INTERFACE]: mounts, cgroups and /run of its own, and of the host's units none but ours. Nothing of the kernel is missing for that.
/// </summary>
public sealed class Systemd : IDisposable
{
    /// <summary>Far more than the daemon's loop ever takes in the guest, far less than the unit's 30 s.</summary>
    private const string WatchdogLimit = "WatchdogSec=10";

    private const string Cgroups = "/sys/fs/cgroup/xinim-systemd";

    // $1: the folder of this object, $2: the published executables. Mounts are seen by nobody else; where they go is in the guest's memory.
    private const string Prepare = """
        set -e
        mount -t proc proc /proc
        mount --bind "$1/run" /run
        umount /sys/fs/cgroup
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        mkdir -p /usr/local/lib/xinim
        mount --bind "$2" /usr/local/lib/xinim
        touch /etc/xinim.json
        mount --bind "$1/xinim.json" /etc/xinim.json
        exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=null --show-status=no
        """;

    private static readonly string[] s_targets = ["sysinit", "basic", "multi-user", "shutdown", "umount"];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-systemd-");
    private readonly Process _outside;
    private readonly int _pid;

    /// <param name="devices">As in the daemon's configuration.</param>
    public Systemd(string devices)
    {
        Assert.True(File.Exists("/lib/systemd/systemd"), "systemd is missing: scripts/install.sh lab");
        LabDevice.Shell("sh", "-c", "mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup");
        Directory.CreateDirectory(Cgroups);
        _folder.CreateSubdirectory("run");
        Write("xinim.json", $$"""{ "devices": [ {{devices}} ] }""");
        Install(_folder.CreateSubdirectory("units").FullName);
        string start = $"echo $$ > {Cgroups}/cgroup.procs; exec unshare --pid --fork --kill-child --mount --cgroup --propagation private sh -c \"$0\" sh \"$@\" > \"$1/systemd.log\" 2>&1";
        ProcessStartInfo info = new("sh", ["-c", start, Prepare, _folder.FullName, Path.GetDirectoryName(LabDaemon.Executable)!]);
        (info.Environment["container"], info.Environment["SYSTEMD_UNIT_PATH"]) = ("lab", Path.Combine(_folder.FullName, "units"));
        _outside = Process.Start(info)!;
        _pid = Inside();
        Await(() => Try("is-system-running").Output.Trim() == "running", "systemd runs");
    }

    /// <summary>The daemon's, as seen from outside.</summary>
    public string Socket => Path.Combine(_folder.FullName, "run", "xinim", "xinim.sock");

    /// <summary>What the daemons said, and what systemd, until it ran.</summary>
    public string Log => Read("systemd.log") + Read("daemon.log");

    /// <summary>How each daemon so far came to its end [systemd.exec(5), SERVICE_RESULT].</summary>
    public string[] Results => Read("run/results").Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Restarts that systemd made by itself since the last start.</summary>
    public int Restarts => int.Parse(Show("NRestarts"), CultureInfo.InvariantCulture);

    public string State => Show("ActiveState");

    /// <summary>The daemon's process as systemd knows it; 0 where there is none.</summary>
    public string MainPid => Show("MainPID");

    /// <summary>What is mounted for whoever systemd starts.</summary>
    public string Mounts => File.ReadAllText($"/proc/{_pid}/mountinfo");

    /// <summary>Whether the unit has processes, or a cgroup that could have some.</summary>
    public static bool HasCgroup => Directory.Exists($"{Cgroups}/system.slice/xinim.service");

    /// <summary>Runs systemctl for the daemon's unit, and waits for its outcome as an operator does.</summary>
    public void Control(string verb, params string[] arguments)
    {
        // Tests start and stop faster than any operator; systemd would refuse the sixth start within 10 s [systemd.unit(5), StartLimitBurst].
        if (verb is "start" or "restart") Try("reset-failed", "xinim");
        (int status, string output, string error) = Try([verb, .. arguments, "xinim"]);
        Assert.True(status == 0, $"systemctl {verb}: {output}{error}\n{Log}");
    }

    /// <summary>Sends a signal to the daemon alone, without systemd knowing.</summary>
    public void Signal(string signal) => Assert.Equal(0, Enter("kill", $"-{signal}", MainPid).Status);

    public void Await(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition()) Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, $"waited in vain until {what}\n{Log}");
    }

    public void Dispose()
    {
        // Process 1 ends when every process of its namespace has ended, and unshare with it.
        using (Process inside = Process.GetProcessById(_pid)) inside.Kill();
        _outside.WaitForExit();
        _outside.Dispose();
        _folder.Delete(recursive: true);
    }

    private void Install(string units)
    {
        string root = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(LabDaemon.Executable)!, "..", ".."));
        File.Copy(Path.Combine(root, "scripts", "xinim.service"), Path.Combine(units, "xinim.service"));
        // There is no journal, and PrivateTmp hides the folder from whatever the unit runs.
        string log = Path.Combine(_folder.FullName, "daemon.log");
        Directory.CreateDirectory(Path.Combine(units, "xinim.service.d"));
        File.WriteAllText(Path.Combine(units, "xinim.service.d", "lab.conf"), $"[Service]\n{WatchdogLimit}\nStandardOutput=append:{log}\nStandardError=append:{log}\nExecStopPost=/bin/sh -c 'echo $SERVICE_RESULT >> /run/results'\n");
        foreach (string target in s_targets) File.WriteAllText(Path.Combine(units, $"{target}.target"), $"[Unit]\nDescription={target}\n");
    }

    /// <summary>Process 1 of the namespace, as the guest numbers it: the only child of unshare.</summary>
    private int Inside()
    {
        string children = "";
        Await(() => (children = File.ReadAllText($"/proc/{_outside.Id}/task/{_outside.Id}/children").Trim()).Length != 0 || _outside.HasExited, "unshare has a child");
        Assert.False(_outside.HasExited, Log);
        return int.Parse(children, CultureInfo.InvariantCulture);
    }

    private string Show(string property) => Try("show", "--value", $"--property={property}", "xinim").Output.Trim();

    private (int Status, string Output, string Error) Try(params string[] arguments) => Enter(["systemctl", .. arguments]);

    private (int Status, string Output, string Error) Enter(params string[] command) => LabProgram.Run("nsenter", ["--target", $"{_pid}", "--all", .. command]);

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(_folder.FullName, name), text);

    private string Read(string name) => File.Exists(Path.Combine(_folder.FullName, name)) ? File.ReadAllText(Path.Combine(_folder.FullName, name)) : "";
}
