using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Xinim.Faults.Processes;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Status;

namespace Xinim.Faults.Targets;

/// <summary>
/// The published daemon in a process of its own, with manifests of the campaign's: the product's driver on one device and the faulty one on another. What is
/// asked of it has limits: a daemon that does not answer is a finding.
/// </summary>
internal sealed class DaemonTarget : IDisposable
{
    /// <summary>Far more than an answer takes, also on a busy machine: reached only when the daemon hangs.</summary>
    public static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(10);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-faults-");
    private readonly IReadOnlyList<DevicePlan> _plans;
    private readonly Process _process;

    /// <param name="plans">The devices; owned.</param>
    /// <param name="answerLimit">For drivers; a silent one is noticed after this.</param>
    public DaemonTarget(IReadOnlyList<DevicePlan> plans, TimeSpan answerLimit)
    {
        _plans = plans;
        foreach (DeviceKind kind in plans.Select(plan => plan.Kind).Distinct()) WriteManifests(kind, answerLimit);
        string configuration = Path.Combine(_folder.FullName, "xinim.json");
        File.WriteAllText(configuration, Configuration(plans));
        ProcessStartInfo start = new(Path.Combine(Binaries, "xinim"), ["daemon", "--config", configuration, "--drivers", Path.Combine(_folder.FullName, "drivers")]) { RedirectStandardOutput = true, RedirectStandardError = true };
        _process = Process.Start(start) ?? throw new CampaignException($"cannot start {start.FileName}; run scripts/build.sh");
        Log = new DaemonLog(_process, LogPath);
        foreach (DevicePlan plan in plans)
        {
            if (Log.Await($"{plan.Name}: generation 1 ready", TimeSpan.FromSeconds(60)) is null)
                throw new CampaignException($"{plan.Name} did not become ready; see {LogPath}");
        }

        DevicePlan[] models = [.. plans.Where(plan => plan.IsModel)];
        Devices = [.. plans.Where(plan => plan.Load is not null).Select(plan => new DeviceTarget(plan.Name, plan.Kind, plan.Faulty, ModelPid(Array.IndexOf(models, plan)), plan.Load!(this), this))];
        foreach (DeviceTarget device in Devices) _ = device.Refresh();
    }

    /// <summary>artifacts/bin, two folders above this assembly's.</summary>
    public static string Binaries => Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", ".."));

    /// <summary>Where results go.</summary>
    public static string Results => Directory.CreateDirectory(Environment.GetEnvironmentVariable("XINIM_LAB_OUT") ?? Path.Combine(Binaries, "..", "faults")).FullName;

    public string Socket => Path.Combine(_folder.FullName, "xinim.sock");

    public int Pid => _process.Id;

    public bool IsAlive => !_process.HasExited;

    public DaemonLog Log { get; }

    public IReadOnlyList<DeviceTarget> Devices { get; }

    private static string LogPath => Path.Combine(Results, "daemon.log");

    public Footprint Footprint => Footprint.Of(Pid);

    /// <exception cref="CampaignException">No answer within the limit.</exception>
    public StatusReport Status()
    {
        try
        {
            using Channel channel = ChannelListener.Connect(Socket);
            channel.Send(new MessageHeader((uint)ClientMessage.GetStatus, 0, 1));
            using ChannelMessage report = channel.Receive(AnswerLimit);
            return StatusReport.FromJson(report.Text);
        }
        catch (Exception exception) when (exception is ChannelException or Ipc.LinuxException)
        {
            throw new DaemonLostException($"the daemon {(IsAlive ? "does not answer" : $"ended with status {_process.ExitCode}")}: {exception.Message}; see {LogPath}");
        }
    }

    /// <summary>SIGTERM, as systemd sends it.</summary>
    /// <returns>The exit status; null where it had to be killed.</returns>
    public int? Stop()
    {
        foreach (DeviceTarget device in Devices) device.Workload.Dispose();
        Signals.Send(Pid, PosixSignalNumber.Terminate);
        bool ended = _process.WaitForExit(TimeSpan.FromSeconds(30));
        if (!ended) _process.Kill();
        return ended ? _process.ExitCode : null;
    }

    /// <summary>Has the kernel read what was written to disks that are its own again, after <see cref="Stop"/>.</summary>
    /// <returns>Lines for the user.</returns>
    public IReadOnlyList<string> CheckThroughKernel(Campaigns.Ledger ledger) =>
    [
        .. _plans.Where(plan => plan.IsFunction && plan.Kind.IsDisk)
            .Select(plan => KernelCheck.Run(plan.Device, plan.Kind, (DiskWorkload)Devices.First(device => device.Name == plan.Name).Workload, ledger)),
    ];

    public void Dispose()
    {
        if (IsAlive) _process.Kill();
        Log.Dispose();
        _process.Dispose();
        foreach (DevicePlan plan in _plans) plan.Dispose();
        _folder.Delete(recursive: true);
    }

    private int? ModelPid(int index) => index < 0 ? null : int.Parse(Log.With("model runs as process ")[index].Split(' ')[^1], CultureInfo.InvariantCulture);

    private void WriteManifests(DeviceKind kind, TimeSpan answerLimit)
    {
        // Drivers run as other users, and need to reach nothing here; clients of root need the socket only.
        DirectoryInfo drivers = _folder.CreateSubdirectory("drivers");
        string faulty = Path.Combine(Binaries, "..", "faults", "bin", "xinim-driver-faulty");
        foreach ((string name, string executable) in new[] { (kind.Driver, Path.Combine(Binaries, "xinim-driver")), (kind.Faulty, faulty) })
        {
            File.WriteAllText(Path.Combine(drivers.FullName, $"{name}.json"), JsonSerializer.Serialize(new Dictionary<string, object>
            {
                ["name"] = name,
                ["version"] = "0.1.0",
                ["executable"] = Path.GetFullPath(executable),
                ["class"] = kind.Class,
                ["matches"] = kind.Matches,
                ["dmaBytes"] = kind.IsDisk ? 4 << 20 : 2 << 20,
                ["answerLimit"] = (int)answerLimit.TotalMilliseconds,
                ["heartbeat"] = new Dictionary<string, int> { ["period"] = 50, ["limit"] = (int)answerLimit.TotalMilliseconds },
                // A campaign's drivers fail more often in a row than anybody's: no pauses, and never given up.
                ["restart"] = new Dictionary<string, int> { ["firstPause"] = 0, ["maxPause"] = 0, ["quietPeriod"] = 0, ["giveUpAfter"] = 0 },
            }));
        }
    }

    private string Configuration(IReadOnlyList<DevicePlan> plans) => JsonSerializer.Serialize(new Dictionary<string, object>
    {
        ["socket"] = Socket,
        ["devices"] = plans.Select(plan =>
        {
            Dictionary<string, object> device = new() { ["name"] = plan.Name, ["device"] = plan.Device, ["driver"] = plan.Driver };
            if (plan.Netdev is { } netdev) device["netdev"] = netdev;
            if (plan.Port is { } port) device["ports"] = new[] { new Dictionary<string, string> { ["name"] = ConsoleWorkload.EchoPort, ["socket"] = port } };
            if (plan.Drive is { } drive) device["drives"] = new[] { drive };
            return device;
        }),
    });
}
