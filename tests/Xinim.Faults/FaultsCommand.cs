using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Xinim.Faults.Campaigns;
using Xinim.Faults.Faults;
using Xinim.Faults.Model;
using Xinim.Faults.Targets;
using Xinim.Faults.Traffic;

namespace Xinim.Faults;

/// <summary>The command line; scripts/faults.sh calls it.</summary>
internal static class FaultsCommand
{
    public static RootCommand Create() => FaultsOptions.Command(options => Guard(() => Run(options)));

    private static int Run(FaultsOptions options)
    {
        options.Check();
        File.Delete(Path.Combine(DaemonTarget.Results, "daemon.log"));
        using StreamWriter log = new(Path.Combine(DaemonTarget.Results, "faults.tsv")) { AutoFlush = true };
        Ledger ledger = new();
        Report report = new(log);
        // Also opens what the console needs, before anybody counts descriptors.
        Console.Error.WriteLine($"seed {options.Campaign.Seed}, {options.Campaign.Count} faults");
        if (options.KillEvery.Count != 0 || options.Recovery) return Measure(options, ledger);
        Frames frames = options.Target == "model" ? OnModels(options, ledger, report) : OnDaemon(options, ledger, report);
        return Print(report, ledger, frames, options);
    }

    private static Frames OnModels(FaultsOptions options, Ledger ledger, Report report)
    {
        ModelSet models = ModelSet.Of(DeviceKind.Of(options.Device));
        IReadOnlyList<ModelFault> faults = FaultCatalogue.Choose(models.Faults, fault => fault.Kind, options.Kinds);
        (StreamCounts tx, StreamCounts rx) = ModelJobs.Run(options.Jobs, options.Campaign, models, faults, ledger, report, options.First, Progress(report, ledger));
        return new Frames(tx, rx, 0);
    }

    private static Frames OnDaemon(FaultsOptions options, Ledger ledger, Report report)
    {
        IReadOnlyList<IFault> faults = FaultCatalogue.Choose(FaultCatalogue.All, fault => fault.Kind, options.Kinds);
        using Campaign campaign = new(() => new DaemonTarget(DevicePlan.For(options, both: true), options.Campaign.AnswerLimit), faults, options.Campaign, ledger, report);
        try
        {
            campaign.Run(options.First, Progress(report, ledger));
        }
        catch (DaemonLostException exception)
        {
            ledger.Breach(exception.Message);
        }

        if (!options.Json) Print(campaign.Notes);
        return new Frames(campaign.Tx, campaign.Rx, campaign.LineDropped);
    }

    private static int Measure(FaultsOptions options, Ledger ledger)
    {
        using DaemonTarget daemon = new(DevicePlan.For(options, both: false), options.Campaign.AnswerLimit);
        DeviceTarget target = daemon.Devices[0];
        if (options.Recovery) Print(new RecoveryTimes(target, ledger).Run(options.Campaign.Count, () => { }));
        foreach (TimeSpan every in options.KillEvery) Print(new Storm(target, ledger, options.IsDisk ? "requests" : "frames").Run(every, options.Campaign.Duration ?? TimeSpan.FromSeconds(60)));
        Stop(daemon, ledger);
        Print(daemon.CheckThroughKernel(ledger));
        foreach (string breach in ledger.Breaches) Console.WriteLine($"BROKEN: {breach}");
        Console.WriteLine($"faults: {ledger.BreachCount} invariants broken");
        return ledger.BreachCount == 0 ? 0 : 1;
    }

    private static void Print(IReadOnlyList<string> lines)
    {
        foreach (string line in lines) Console.WriteLine(line);
    }

    private static void Stop(DaemonTarget daemon, Ledger ledger)
    {
        if (daemon.Stop() is var status && status != 0) ledger.Breach($"the daemon did not stop cleanly ({status?.ToString(CultureInfo.InvariantCulture) ?? "killed after 30 s"})");
    }

    private static int Print(Report report, Ledger ledger, Frames frames, FaultsOptions options)
    {
        (StreamCounts tx, StreamCounts rx) = (frames.Tx, frames.Rx);
        if (options.Json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new { seed = options.Campaign.Seed, result = report.ForJson(), sent = tx, received = rx, breaches = ledger.Breaches }));
        }
        else
        {
            foreach (string line in report.Table()) Console.WriteLine(line);
            Console.WriteLine(Describe(options.IsDisk ? "wrote" : "sent", tx, options.IsDisk));
            Console.WriteLine(Describe(options.IsDisk ? "read" : "received", rx, options.IsDisk));
            if (report.Missed != 0) Console.WriteLine($"{report.Missed} more could not be injected: no driver was there");
            if (frames.LineDropped != 0) Console.WriteLine($"the wire itself dropped {frames.LineDropped} frames for want of room in a socket: they count as lost");
            foreach (string breach in ledger.Breaches) Console.WriteLine($"BROKEN: {breach}");
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"faults: {report.Faults} injected (seed {options.Campaign.Seed}, {report.PerMinute:0} a minute), {report.Failures} drivers failed, {report.Failures - report.Count(Effect.Unrecovered)} recovered, {ledger.BreachCount} invariants broken"));
        return ledger.BreachCount == 0 ? 0 : 1;
    }

    private static string Describe(string verb, in StreamCounts counts, bool disk)
        => $"{verb} {counts.Good:N0} {(disk ? "requests" : "frames")}: {counts.Damaged} damaged and caught, {counts.Lost} lost and noticed, {counts.Duplicates} twice, {counts.Forged} wrong and believed";

    private static Action Progress(Report report, Ledger ledger)
    {
        long last = Stopwatch.GetTimestamp();
        return () =>
        {
            long before = Interlocked.Read(ref last);
            if (Stopwatch.GetElapsedTime(before) < TimeSpan.FromSeconds(2) || Interlocked.CompareExchange(ref last, Stopwatch.GetTimestamp(), before) != before) return;
            Console.Error.WriteLine($"{report.Faults} faults, {report.Failures} drivers failed, {ledger.BreachCount} invariants broken, {report.PerMinute:0} a minute");
        };
    }

    private static int Guard(Func<int> run)
    {
        try
        {
            return run();
        }
        catch (Exception exception) when (exception is CampaignException or DeviceLostException or Ipc.LinuxException)
        {
            Console.Error.WriteLine($"faults: {exception.Message}");
            return 2;
        }
    }

    /// <summary>All frames of a campaign.</summary>
    private sealed record Frames(StreamCounts Tx, StreamCounts Rx, ulong LineDropped);
}
