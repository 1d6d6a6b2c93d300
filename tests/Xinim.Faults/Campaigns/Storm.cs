using System.Diagnostics;
using System.Globalization;
using Xinim.Faults.Processes;
using Xinim.Faults.Targets;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Processes;

namespace Xinim.Faults.Campaigns;

/// <summary>A transfer both ways, as fast as it goes, while its driver is killed at a fixed pace; beside the same transfer undisturbed, before and after.</summary>
/// <param name="what">Frames or requests.</param>
internal sealed class Storm(DeviceTarget target, Ledger ledger, string what)
{
    private static readonly TimeSpan s_serveLimit = TimeSpan.FromSeconds(30);

    /// <summary>Runs it.</summary>
    /// <param name="every">From kill to kill.</param>
    /// <param name="length">Of the transfer under kills; the undisturbed ones take a third each.</param>
    /// <returns>Lines for the user.</returns>
    public IReadOnlyList<string> Run(TimeSpan every, TimeSpan length)
    {
        Workload load = target.Workload;
        if (!load.Await(() => load.Life is { FirstSent: not 0, FirstReceived: not 0 }, s_serveLimit)) throw new CampaignException($"{target.Name} moves no {what}");
        Rates before = Measure(length / 3, null);
        (StreamCounts tx, StreamCounts rx) = (load.Tx, load.Rx);
        int kills = 0;
        load.BeginOutage();
        Rates under = Measure(length, () => (every, () => kills += Kill() ? 1 : 0));
        if (!load.Await(() => load.Life is { FirstSent: not 0, FirstReceived: not 0 }, s_serveLimit)) ledger.Breach($"{target.Name} moves no {what} after {kills} kills");
        load.EndOutage();
        ledger.CheckFrames($"{kills} kills", mayLie: false, load.Tx - tx, load.Rx - rx);
        ledger.CheckClient($"{kills} kills", load.Errors);
        Rates after = Measure(length / 3, null);
        return
        [
            string.Create(CultureInfo.InvariantCulture, $"{kills} kills, one every {every.TotalSeconds:0.##} s for {length.TotalSeconds:0} s; the undisturbed transfer before and after {length.TotalSeconds / 3:0} s each"),
            Line(what == "frames" ? "sent" : "written", before.Tx, under.Tx, after.Tx),
            Line(what == "frames" ? "received" : "read", before.Rx, under.Rx, after.Rx),
            Line("both", before.Tx + before.Rx, under.Tx + under.Rx, after.Tx + after.Rx),
        ];
    }

    private bool Kill() => target.Refresh().Pid is { } pid && Signals.Send(pid, PosixSignalNumber.Kill);

    /// <summary>Good frames a second over a time.</summary>
    private Rates Measure(TimeSpan length, Func<(TimeSpan Every, Action Do)>? disturb)
    {
        Workload load = target.Workload;
        (ulong sent, ulong received) = (load.Tx.Good, load.Rx.Good);
        long start = Stopwatch.GetTimestamp();
        int done = 0;
        while (Stopwatch.GetElapsedTime(start) is var elapsed && elapsed < length)
        {
            TimeSpan wait = length - elapsed;
            if (disturb?.Invoke() is var (every, act))
            {
                if (elapsed >= every * (done + 0.5))
                {
                    done++;
                    act();
                    continue;
                }

                wait = TimeSpan.FromTicks(Math.Min(wait.Ticks, ((every * (done + 0.5)) - elapsed).Ticks));
            }

            Pause(wait);
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return new Rates((load.Tx.Good - sent) / seconds, (load.Rx.Good - received) / seconds);
    }

    // Nothing is waited for but the time of the measurement.
    private static void Pause(TimeSpan time)
    {
        using ManualResetEventSlim never = new();
        never.Wait(time);
    }

    private string Line(string way, double before, double under, double after) => string.Create(CultureInfo.InvariantCulture,
        $"{way}: {before / 1000:0.00} thousand {what} a second before, {under / 1000:0.00} under kills, {after / 1000:0.00} after: {200 * under / (before + after):0.0} % kept");

    private readonly record struct Rates(double Tx, double Rx);
}
