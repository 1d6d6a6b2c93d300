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
/// The published daemon in a process of its own, with manifests of the campaign's: the product's driver on one NIC and the faulty one on another. What is
/// asked of it has limits: a daemon that does not answer is a finding.
/// </summary>
internal sealed class DaemonTarget : IDisposable
{
    /// <summary>Far more than an answer takes, also on a busy machine: reached only when the daemon hangs.</summary>
    public static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(10);

    private static readonly string[] s_matches = ["8086:100e", "8086:100f", "8086:100c", "8086:10d3"];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-faults-");
    private readonly Process _process;

    /// <param name="plans">The NICs.</param>
    /// <param name="answerLimit">For drivers; a silent one is noticed after this.</param>
    /// <param name="workload">Traffic on each.</param>
    public DaemonTarget(IReadOnlyList<NicPlan> plans, TimeSpan answerLimit, WorkloadOptions workload)
    {
        WriteManifests(answerLimit);
        string configuration = Path.Combine(_folder.FullName, "xinim.json");
        File.WriteAllText(configuration, Configuration(plans));
        ProcessStartInfo start = new(Path.Combine(Binaries, "xinim"), ["daemon", "--config", configuration, "--drivers", Path.Combine(_folder.FullName, "drivers")]) { RedirectStandardOutput = true, RedirectStandardError = true };
        _process = Process.Start(start) ?? throw new CampaignException($"cannot start {start.FileName}; run scripts/build.sh");
        Log = new DaemonLog(_process, LogPath);
        foreach (NicPlan plan in plans)
        {
            if (Log.Await($"{plan.Name}: generation 1 ready", TimeSpan.FromSeconds(60)) is null)
                throw new CampaignException($"{plan.Name} did not become ready; see {LogPath}");
        }

        Devices = [.. plans.Where(plan => plan.Line is not null).Select((plan, index) => new DeviceTarget(
            plan.Name, plan.Driver == FaultyDriver, ModelPid(plan, index), new Workload(plan.Name, Socket, plan.Line!(this), workload), this))];
        foreach (DeviceTarget device in Devices) _ = device.Refresh();
    }

    public const string ProductDriver = "e1000";
    public const string FaultyDriver = "e1000-faulty";

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

    public void Dispose()
    {
        if (IsAlive) _process.Kill();
        Log.Dispose();
        _process.Dispose();
        _folder.Delete(recursive: true);
    }

    private int? ModelPid(NicPlan plan, int index)
    {
        if (plan.Netdev is null) return null;
        return int.Parse(Log.With("model runs as process ")[index].Split(' ')[^1], CultureInfo.InvariantCulture);
    }

    private void WriteManifests(TimeSpan answerLimit)
    {
        // Drivers run as other users, and need to reach nothing here; clients of root need the socket only.
        DirectoryInfo drivers = _folder.CreateSubdirectory("drivers");
        string faulty = Path.Combine(Binaries, "..", "faults", "bin", "xinim-driver-faulty");
        foreach ((string name, string executable) in new[] { (ProductDriver, Path.Combine(Binaries, "xinim-driver")), (FaultyDriver, faulty) })
        {
            File.WriteAllText(Path.Combine(drivers.FullName, $"{name}.json"), JsonSerializer.Serialize(new Dictionary<string, object>
            {
                ["name"] = name,
                ["version"] = "0.1.0",
                ["executable"] = Path.GetFullPath(executable),
                ["class"] = "network",
                ["matches"] = s_matches,
                ["answerLimit"] = (int)answerLimit.TotalMilliseconds,
                ["heartbeat"] = new Dictionary<string, int> { ["period"] = 50, ["limit"] = (int)answerLimit.TotalMilliseconds },
                // A campaign's drivers fail more often in a row than anybody's: no pauses, and never given up.
                ["restart"] = new Dictionary<string, int> { ["firstPause"] = 0, ["maxPause"] = 0, ["quietPeriod"] = 0, ["giveUpAfter"] = 0 },
            }));
        }
    }

    private string Configuration(IReadOnlyList<NicPlan> plans) => JsonSerializer.Serialize(new Dictionary<string, object>
    {
        ["socket"] = Socket,
        ["devices"] = plans.Select(plan =>
        {
            Dictionary<string, object> device = new() { ["name"] = plan.Name, ["device"] = plan.Device, ["driver"] = plan.Driver };
            if (plan.Netdev is { } netdev) device["netdev"] = netdev;
            return device;
        }),
    });
}
