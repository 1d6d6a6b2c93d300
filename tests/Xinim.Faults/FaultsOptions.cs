using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Xinim.Faults.Campaigns;

namespace Xinim.Faults;

/// <summary>What was said on the command line; scripts/faults.sh explains it to users.</summary>
internal sealed record FaultsOptions(string Target, CampaignOptions Campaign, long First, string Device, string? Kinds, bool Json, IReadOnlyList<TimeSpan> KillEvery, bool Recovery, int Jobs)
{
    private const int MaxJobs = 64;

    /// <summary>Whether the device that suffers is a disk.</summary>
    public bool IsDisk => Targets.DeviceKind.Of(Device.Split(',')[0]).IsDisk;

    /// <summary>Whether it is a console.</summary>
    public bool IsConsole => Targets.DeviceKind.Of(Device.Split(',')[0]) == Targets.DeviceKind.VirtioConsole;

    /// <exception cref="CampaignException">They do not fit together.</exception>
    public void Check()
    {
        if (Jobs is < 1 or > MaxJobs) throw new CampaignException($"--jobs {Jobs}: 1 to {MaxJobs}");
        // With other targets a campaign measures times, and counts what its own process holds.
        if (Jobs > 1 && Target != "model") throw new CampaignException($"--jobs {Jobs}: only with --target model; campaigns on {Target} would disturb each other");
    }

    public static RootCommand Command(Func<FaultsOptions, int> run)
    {
        Option<string> target = new("--target") { Description = "Where drivers run", DefaultValueFactory = _ => "remote" };
        target.AcceptOnlyFromAmong("remote", "model", "vfio");
        Option<long> count = new("--count") { Description = "Faults", DefaultValueFactory = _ => 500L };
        Option<int> seed = new("--seed") { Description = "Chooses kinds and places", DefaultValueFactory = _ => 1 };
        Option<long> first = new("--first") { Description = "Number of the first fault" };
        Option<string?> device = new("--device") { Description = "Device model, virtio-net, virtio-blk, vhost-user-blk, ahci, virtio-console, or PCI addresses of the device and of its peer" };
        Option<string?> kinds = new("--kinds") { Description = "Only these, separated by commas" };
        Option<double?> duration = new("--duration") { Description = "End after so many seconds" };
        Option<int> perDriver = new("--per-driver") { Description = "Faults without effect until a driver is replaced", DefaultValueFactory = _ => 10 };
        Option<IReadOnlyList<TimeSpan>> killEvery = new("--kill-every")
        {
            Description = "Measure a transfer under one kill every so many seconds; several times, separated by commas",
            CustomParser = Times,
            DefaultValueFactory = _ => [],
        };
        Option<bool> recovery = new("--recovery") { Description = "Measure the time from kill -9 to the next driver's first frame" };
        Option<bool> json = new("--json") { Description = "Print the result as JSON" };
        Option<int> jobs = new("--jobs") { Description = "Campaigns beside each other, on device models", DefaultValueFactory = _ => 1 };
        RootCommand command = new("Injects faults into running drivers and checks that nobody else is harmed")
        {
            target, count, seed, first, device, kinds, duration, perDriver, killEvery, recovery, json, jobs,
        };
        command.SetAction(result => run(new FaultsOptions(
            result.GetValue(target)!,
            Limits(result.GetValue(target)!) with
            {
                Count = result.GetValue(count),
                Seed = result.GetValue(seed),
                Duration = Seconds(result.GetValue(duration)),
                FaultsPerDriver = result.GetValue(perDriver),
            },
            result.GetValue(first),
            result.GetValue(device) ?? DefaultDevice(result.GetValue(target)!, result.GetValue(recovery)),
            result.GetValue(kinds),
            result.GetValue(json),
            result.GetValue(killEvery)!,
            result.GetValue(recovery),
            result.GetValue(jobs))));
        return command;
    }

    /// <summary>In the guest everything takes ten times as long.</summary>
    private static CampaignOptions Limits(string target)
    {
        CampaignOptions options = new() { Count = 0, Seed = 0 };
        return target == "vfio" ? options with { AnswerLimit = TimeSpan.FromSeconds(3), Patience = TimeSpan.FromSeconds(1), RecoveryLimit = TimeSpan.FromSeconds(60) } : options;
    }

    /// <summary>
    /// QEMU's e1000 holds back every frame for a second after its receiver is switched on (hw/net/e1000.c, flush_queue_timer), its e1000e does not:
    /// a campaign takes the latter, or each recovery would last a second.
    /// </summary>
    private static string DefaultDevice(string target, bool recovery) => target == "vfio" ? "0000:00:0c.0,0000:00:0d.0" : recovery ? "remote:e1000" : "remote:e1000e";

    private static List<TimeSpan> Times(ArgumentResult result)
    {
        List<TimeSpan> times = [];
        foreach (string part in result.Tokens[0].Value.Split(','))
        {
            if (!double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds) || seconds is not (>= 0.1 and <= 3600))
                result.AddError($"--kill-every: '{part}' is no number of seconds from 0.1 to 3600");
            times.Add(TimeSpan.FromSeconds(seconds));
        }

        return times;
    }

    private static TimeSpan? Seconds(double? value) => value is { } seconds ? TimeSpan.FromSeconds(seconds) : null;
}
