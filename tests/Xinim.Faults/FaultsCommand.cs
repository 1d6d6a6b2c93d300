using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Xinim.Faults.Campaigns;
using Xinim.Faults.Model;
using Xinim.Faults.Targets;
using Xinim.Faults.Traffic;

namespace Xinim.Faults;

/// <summary>The command line; scripts/faults.sh calls it.</summary>
internal static class FaultsCommand
{
    public static RootCommand Create()
    {
        Option<long> count = new("--count") { Description = "Faults", DefaultValueFactory = _ => 500L };
        Option<int> seed = new("--seed") { Description = "Chooses kinds and places", DefaultValueFactory = _ => 1 };
        Option<long> first = new("--first") { Description = "Number of the first fault: repeats a part of a campaign" };
        Option<string> device = new("--device") { Description = "Device model of the remote target", DefaultValueFactory = _ => "remote:e1000e" };
        Option<string?> kinds = new("--kinds") { Description = $"Only these, separated by commas: {string.Join(", ", FaultCatalogue.All.Select(fault => fault.Kind))}" };
        Option<double?> duration = new("--duration") { Description = "End after so many seconds" };
        Option<int> perDriver = new("--per-driver") { Description = "Faults without effect until a driver is replaced", DefaultValueFactory = _ => 10 };
        Option<bool> json = new("--json") { Description = "Print the result as JSON" };
        Option<string> target = new("--target") { Description = "remote or model", DefaultValueFactory = _ => "remote" };
        target.AcceptOnlyFromAmong("remote", "model");
        RootCommand command = new("Injects faults into running drivers and checks that nobody else is harmed") { target, count, seed, first, device, kinds, duration, perDriver, json };
        command.SetAction(result => Guard(() => RunCampaign(
            result.GetValue(target)!,
            new CampaignOptions
            {
                Count = result.GetValue(count),
                Seed = result.GetValue(seed),
                Duration = result.GetValue(duration) is { } seconds ? TimeSpan.FromSeconds(seconds) : null,
                FaultsPerDriver = result.GetValue(perDriver),
            },
            result.GetValue(first),
            result.GetValue(device)!,
            result.GetValue(kinds),
            result.GetValue(json))));
        return command;
    }

    private static int RunCampaign(string target, CampaignOptions options, long first, string device, string? kinds, bool json)
    {
        using StreamWriter log = new(Path.Combine(DaemonTarget.Results, "faults.tsv"));
        Ledger ledger = new();
        Report report = new(log);
        Console.Error.WriteLine($"seed {options.Seed}, {options.Count} faults");
        Frames frames = target == "model" ? OnModels(options, first, kinds, ledger, report) : OnDaemon(options, first, device, kinds, ledger, report);
        return Print(report, ledger, frames, options, json);
    }

    private static Frames OnModels(CampaignOptions options, long first, string? kinds, Ledger ledger, Report report)
    {
        using ModelCampaign campaign = new(options, FaultCatalogue.Choose(ModelFault.All, fault => fault.Kind, kinds), ledger, report);
        campaign.Run(first, Progress(report, ledger));
        return new Frames(campaign.Tx, campaign.Rx);
    }

    private static Frames OnDaemon(CampaignOptions options, long first, string device, string? kinds, Ledger ledger, Report report)
    {
        UdpLine one = new(), two = new();
        using DaemonTarget daemon = new(
            [
                new NicPlan("net0", device, DaemonTarget.ProductDriver, one.Netdev, _ => one),
                new NicPlan("net1", device, DaemonTarget.FaultyDriver, two.Netdev, _ => two),
            ],
            options.AnswerLimit, new WorkloadOptions());
        try
        {
            new Campaign(daemon, FaultCatalogue.Choose(FaultCatalogue.All, fault => fault.Kind, kinds), options, ledger, report).Run(first, Progress(report, ledger));
        }
        catch (DaemonLostException exception)
        {
            ledger.Breach(exception.Message);
        }

        if (daemon.Stop() is var status && status != 0) ledger.Breach($"the daemon did not stop cleanly ({status?.ToString(CultureInfo.InvariantCulture) ?? "killed after 30 s"})");
        return new Frames(
            daemon.Devices.Aggregate(default(StreamCounts), (sum, device) => sum + device.Workload.Tx),
            daemon.Devices.Aggregate(default(StreamCounts), (sum, device) => sum + device.Workload.Rx));
    }

    private static int Print(Report report, Ledger ledger, Frames frames, CampaignOptions options, bool json)
    {
        (StreamCounts tx, StreamCounts rx) = (frames.Tx, frames.Rx);
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new { seed = options.Seed, result = report.ForJson(), sent = tx, received = rx, knownClientErrors = ledger.KnownClientErrors, breaches = ledger.Breaches }));
        }
        else
        {
            foreach (string line in report.Table()) Console.WriteLine(line);
            Console.WriteLine($"sent {tx.Good:N0} frames: {tx.Damaged} damaged and caught, {tx.Lost} lost and noticed, {tx.Duplicates} twice, {tx.Forged} wrong and believed");
            Console.WriteLine($"received {rx.Good:N0} frames: {rx.Damaged} damaged and caught, {rx.Lost} lost and noticed, {rx.Duplicates} twice, {rx.Forged} wrong and believed");
            if (ledger.KnownClientErrors != 0) Console.WriteLine($"known limit: {ledger.KnownClientErrors} clients ended on a driver's nonsense");
            foreach (string breach in ledger.Breaches) Console.WriteLine($"BROKEN: {breach}");
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"faults: {report.Faults} injected (seed {options.Seed}, {report.PerMinute:0} a minute), {report.Failures} drivers failed, {report.Failures - report.Count(Effect.Unrecovered)} recovered, {ledger.BreachCount} invariants broken"));
        return ledger.BreachCount == 0 ? 0 : 1;
    }

    private static Action Progress(Report report, Ledger ledger)
    {
        long last = Stopwatch.GetTimestamp();
        return () =>
        {
            if (Stopwatch.GetElapsedTime(last) < TimeSpan.FromSeconds(2)) return;
            last = Stopwatch.GetTimestamp();
            Console.Error.WriteLine($"{report.Faults} faults, {report.Failures} drivers failed, {ledger.BreachCount} invariants broken, {report.PerMinute:0} a minute");
        };
    }

    private static int Guard(Func<int> run)
    {
        try
        {
            return run();
        }
        catch (Exception exception) when (exception is CampaignException or Ipc.LinuxException)
        {
            Console.Error.WriteLine($"faults: {exception.Message}");
            return 2;
        }
    }

    /// <summary>All frames of a campaign.</summary>
    private sealed record Frames(StreamCounts Tx, StreamCounts Rx);
}
