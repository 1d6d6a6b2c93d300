using System.Diagnostics;
using System.Globalization;
using Xinim.Faults.Processes;
using Xinim.Faults.Targets;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Measurement;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Status;

namespace Xinim.Faults.Campaigns;

/// <summary>
/// kill -9 to the first frame through the next driver, with its parts: quiet, spawn and bring-up as the daemon took them, the others as they
/// are seen from outside: when the daemon logs the end, when the client takes the new rings, when a frame comes out of the wire.
/// </summary>
internal sealed class RecoveryTimes(DeviceTarget target, Ledger ledger)
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private static readonly string[] s_parts =
        ["notice", "quiet", "spawn", "bring-up, link included", "attach", "first frame", "kill to first frame sent", "kill to first frame received"];

    private readonly LatencyHistogram[] _times = [.. s_parts.Select(_ => new LatencyHistogram())];

    /// <summary>Kills so many drivers one after another.</summary>
    /// <returns>A table in Markdown.</returns>
    public IReadOnlyList<string> Run(long rounds, Action progress)
    {
        Workload load = target.Workload;
        for (long round = 0; round < rounds; round++)
        {
            if (!load.Await(() => load.Life is { FirstSent: not 0, FirstReceived: not 0 }, s_limit)) throw new CampaignException($"{target.Name} moves no frames");
            int answers = load.Answers;
            load.Ask();
            load.Await(() => load.Answers != answers, s_limit);
            if (!One($"round {round}")) break;
            progress();
        }

        ledger.CheckClient("recovery", load.Errors);
        ledger.CheckFrames("recovery", mayLie: false, load.Tx, load.Rx with { LostSilently = 0 });
        return [.. Table()];
    }

    private bool One(string where)
    {
        Workload load = target.Workload;
        DeviceReport report = target.Refresh();
        if (report.State != DeviceState.Ready) throw new CampaignException($"{target.Name} is {report.State}");
        target.Daemon.Log.Clear();
        uint next = report.Generation + 1;
        load.BeginOutage();
        long killed = Stopwatch.GetTimestamp();
        Signals.Send(report.Pid!.Value, PosixSignalNumber.Kill);
        bool serves = load.Await(() => load.Life is var life && life.Generation >= next && life.FirstSent != 0 && life.FirstReceived != 0, s_limit);
        load.EndOutage();
        ledger.Require(serves, where, $"no frame within {s_limit.TotalSeconds:0} s of the kill");
        if (!serves) return false;
        var (_, adopted, sent, received) = load.Life;
        RecoveryReport steps = target.Refresh().Recovery;
        long quiet = Ticks(steps.Quiet), spawn = Ticks(steps.Spawn), bringUp = Ticks(steps.BringUp);
        // Of what passed before the client had its new rings, the rest is the notice of the death and the way to the client; the daemon logs between the two.
        long rest = adopted - killed - quiet - spawn - bringUp;
        long notice = target.Daemon.Log.Await($"generation {next - 1} ended", s_limit) is { } ended ? Math.Clamp(ended - killed - quiet, 0, Math.Max(rest, 0)) : 0;
        long[] parts = [notice, quiet, spawn, bringUp, Math.Max(rest - notice, 0), sent - adopted, sent - killed, received - killed];
        for (int i = 0; i < parts.Length; i++) _times[i].Add(parts[i]);
        return true;
    }

    private IEnumerable<string> Table()
    {
        yield return "| part | p50, ms | p90 | p99 | max |";
        yield return "|---|---:|---:|---:|---:|";
        for (int i = 0; i < s_parts.Length; i++)
        {
            yield return string.Create(CultureInfo.InvariantCulture,
                $"| {s_parts[i]} | {Milliseconds(i, 0.5):0.00} | {Milliseconds(i, 0.9):0.00} | {Milliseconds(i, 0.99):0.00} | {Milliseconds(i, 1):0.00} |");
        }
    }

    private static long Ticks(double milliseconds) => (long)(milliseconds * Stopwatch.Frequency / 1000);

    private double Milliseconds(int part, double share) => _times[part].Percentile(share).TotalMilliseconds;
}
