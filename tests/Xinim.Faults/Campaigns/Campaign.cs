using System.Diagnostics;
using System.Globalization;
using Xinim.Faults.Faults;
using Xinim.Faults.Processes;
using Xinim.Faults.Targets;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Processes;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Status;

namespace Xinim.Faults.Campaigns;

/// <summary>
/// Injects one fault after another into drivers under traffic, sees what comes of each, and holds everybody else to the <see cref="Ledger"/>.
/// Fault n of a seed is always the same kind at the same place, whatever came before; what it meets is a running system.
/// </summary>
/// <param name="start">Starts the daemon; again where a device is lost.</param>
internal sealed class Campaign(Func<DaemonTarget> start, IReadOnlyList<IFault> faults, CampaignOptions options, Ledger ledger, Report report) : IDisposable
{
    private const int Warmup = 4;
    private const int SampleEvery = 50;

    /// <summary>More than the wire can have held when the fault struck, so that a driver must have moved some of them.</summary>
    private static readonly ulong s_proof = WorkloadOptions.UsualWindow + 8;

    private readonly Dictionary<DeviceTarget, int> _faultsOfDriver = [];
    private readonly HashSet<DeviceTarget> _tainted = [];
    private readonly List<long> _resident = [];
    private DaemonTarget _daemon = start();
    private Footprint _daemonBefore;
    private Footprint _ownBefore;

    /// <summary>All frames from clients.</summary>
    public StreamCounts Tx { get; private set; }

    /// <summary>All frames to clients.</summary>
    public StreamCounts Rx { get; private set; }

    /// <summary>What else there is to say, at the end.</summary>
    public IReadOnlyList<string> Notes { get; private set; } = [];

    /// <summary>Frames that the wire itself dropped.</summary>
    public ulong LineDropped { get; private set; }

    /// <param name="first">Number of the first fault: a campaign can be taken up anywhere.</param>
    /// <param name="progress">Told now and then.</param>
    public void Run(long first, Action progress)
    {
        WarmUp();
        long begin = Stopwatch.GetTimestamp();
        for (long number = first; number < first + options.Count; number++)
        {
            if (options.Duration is { } limit && Stopwatch.GetElapsedTime(begin) > limit) break;
            report.Add(One(number));
            if (number % SampleEvery == 0) _resident.Add(_daemon.Footprint.ResidentKilobytes);
            progress();
        }

        foreach (DeviceTarget device in _daemon.Devices) Renew(device, "end");
        CheckGrowth();
        Stop();
        Notes = _daemon.CheckThroughKernel(ledger);
    }

    public void Dispose() => _daemon.Dispose();

    /// <summary>Which fault a number is.</summary>
    internal static (IFault Fault, DeviceTarget Target, Random Random) Choose(int seed, long number, IReadOnlyList<IFault> faults, IReadOnlyList<DeviceTarget> devices)
    {
        Random random = new(HashOf(seed, number));
        IFault[] possible = [.. faults.Where(fault => devices.Any(fault.Fits)).SelectMany(fault => Enumerable.Repeat(fault, fault.Weight))];
        IFault fault = possible[random.Next(possible.Length)];
        DeviceTarget[] fitting = [.. devices.Where(fault.Fits)];
        return (fault, fitting[random.Next(fitting.Length)], random);
    }

    // SplitMix64's last step: neighbouring numbers get unlike generators.
    internal static int HashOf(int seed, long number)
    {
        ulong mixed = unchecked(((ulong)(uint)seed << 32) + ((ulong)number * 0x9e3779b97f4a7c15));
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
        return (int)(mixed ^ (mixed >> 31));
    }

    private void WarmUp()
    {
        foreach (DeviceTarget device in _daemon.Devices) AwaitServing(device, 0, "the start");
        for (int i = 0; i < Warmup; i++)
        {
            foreach (DeviceTarget device in _daemon.Devices) Renew(device, "warm-up");
        }

        AwaitStandbys();
        _daemonBefore = _daemon.Footprint;
        _ownBefore = Footprint.Of(Environment.ProcessId);
    }

    private FaultRecord One(long number)
    {
        (IFault fault, DeviceTarget target, Random random) = Choose(options.Seed, number, faults, _daemon.Devices);
        string where = $"fault {number} ({fault.Kind} on {target.Name})";
        // An earlier fault may have shown late, in between.
        if (target.Generation != target.Workload.Generation) _ = target.Refresh();
        Snapshot[] before = [.. _daemon.Devices.Select(Snapshot.Of)];
        Snapshot mine = before.First(snapshot => snapshot.Device == target);
        target.Workload.BeginOutage();
        long struck = Stopwatch.GetTimestamp();
        string? injected = Inject(fault, target, random);
        if (fault.Lies) _tainted.Add(target);
        bool mayLie = _tainted.Contains(target);
        Effect effect;
        TimeSpan? recovery = null;
        string? detail = null;
        try
        {
            effect = Observe(target, mine);
            if (effect != Effect.None) (recovery, detail) = Recover(target, ref effect, struck, where);
            ledger.CheckClient(where, target.Workload.Errors.Skip(mine.Errors));
        }
        catch (DeviceLostException lost)
        {
            (effect, detail) = (Effect.DeviceLost, lost.Message);
            ledger.Require(mayLie && lost.Message.Contains("device model", StringComparison.Ordinal), where, lost.Message);
        }

        target.Workload.EndOutage();
        ledger.CheckFrames(where, mayLie, target.Workload.Tx - mine.Tx, target.Workload.Rx - mine.Rx);
        foreach (Snapshot other in before.Where(other => other.Device != target && !_tainted.Contains(other.Device))) CheckBystander(where, other);
        ledger.CheckDaemon(where, _daemon);
        if (effect == Effect.DeviceLost) StartAgain();
        else if (effect == Effect.None && fault.Lies && Count(target) >= options.FaultsPerDriver) Renew(target, where);
        return new FaultRecord(number, fault.Kind, target.Name, injected, effect, recovery, detail);
    }

    private static string? Inject(IFault fault, DeviceTarget target, Random random)
    {
        for (int attempt = 0; attempt < 2; attempt++)
        {
            try
            {
                return fault.Inject(target, random);
            }
            catch (IOException)
            {
                // The driver has ended of an earlier fault. Its successor's turn, if there is one already; otherwise what follows is that fault's effect.
                _ = target.Refresh();
            }
        }

        return null;
    }

    private int Count(DeviceTarget target) => _faultsOfDriver[target] = _faultsOfDriver.GetValueOrDefault(target) + 1;

    private void StartAgain()
    {
        Stop();
        _daemon.Dispose();
        _faultsOfDriver.Clear();
        _tainted.Clear();
        _resident.Clear();
        _daemon = start();
        WarmUp();
    }

    private void Stop()
    {
        LineDropped += _daemon.Devices.Aggregate(0ul, (sum, device) => sum + device.Workload.LineDropped);
        if (_daemon.Stop() is var status && status != 0) ledger.Breach($"the daemon did not stop cleanly (status {status?.ToString(CultureInfo.InvariantCulture) ?? "none, killed"})");
        foreach (DeviceTarget device in _daemon.Devices)
        {
            Tx += device.Workload.Tx;
            Rx += device.Workload.Rx;
        }
    }

    private Effect Observe(DeviceTarget target, Snapshot before)
    {
        Workload load = target.Workload;
        bool Ended() => load.Life.Generation != before.Generation || load.Errors.Count > before.Errors || before.IsWrong(load.Tx, load.Rx);
        bool Serves() => load.Tx.Good >= before.Tx.Good + s_proof && load.Rx.Good >= before.Rx.Good + s_proof;
        if (!load.Await(() => Ended() || Serves(), options.Patience))
        {
            int answers = load.Answers;
            load.Ask();
            // Either it answers, and then nobody but its client can notice, or it is ended; the daemon asks once a second by itself, too.
            load.Await(() => Ended() || Serves() || load.Answers != answers, options.AnswerLimit + TimeSpan.FromSeconds(2));
            bool sees = load.Await(() => Ended() || Serves(), options.Patience + (2 * WorkloadOptions.StallLimit));
            if (!sees && IsSame(target)) return Effect.Stall;
            // Its successor is on its way.
            if (!sees) load.Await(() => Ended() || Serves(), options.RecoveryLimit);
        }

        if (load.Errors.Count > before.Errors) return Effect.ClientError;
        if (load.Life.Generation != before.Generation) return Effect.Exit;
        return before.IsWrong(load.Tx, load.Rx) ? Effect.WrongData : Effect.None;
    }

    /// <summary>True while the driver that the fault struck is the one that runs.</summary>
    private static bool IsSame(DeviceTarget target)
    {
        (int pid, uint generation) = (target.DriverPid, target.Generation);
        DeviceReport now = target.Refresh();
        return now.State == DeviceState.Ready && now.Generation == generation && now.Pid == pid;
    }

    /// <summary>Waits for the next driver; one that is not ended by itself or by the daemon is ended here.</summary>
    private (TimeSpan? Recovery, string? Detail) Recover(DeviceTarget target, ref Effect effect, long start, string where)
    {
        string? detail = null;
        if (effect is Effect.Stall or Effect.WrongData or Effect.ClientError)
        {
            Kill(target);
        }

        if (!AwaitServing(target, start, where))
        {
            effect = Effect.Unrecovered;
            detail = $"{target.Refresh().State}, last fault: {target.Refresh().LastFault}";
            return (null, detail);
        }

        var (_, _, sent, received) = target.Workload.Life;
        if (effect == Effect.Exit)
        {
            detail = target.Refresh().LastFault;
            effect = EndReason.Classify(detail);
        }

        Settle(target, where);
        return (Stopwatch.GetElapsedTime(start, Math.Max(sent, received)), detail);
    }

    private bool AwaitServing(DeviceTarget target, long since, string where)
    {
        Workload load = target.Workload;
        bool serves = load.Await(() => load.Life is var life && life.Adopted > since && life.FirstSent != 0 && life.FirstReceived != 0, options.RecoveryLimit);
        ledger.Require(serves, where, $"no driver serves {target.Name} after {options.RecoveryLimit.TotalSeconds:0} s");
        return serves;
    }

    /// <summary>A fresh driver, of which nothing is known yet.</summary>
    private void Renew(DeviceTarget target, string where)
    {
        long start = Stopwatch.GetTimestamp();
        target.Workload.BeginOutage();
        Kill(target);
        AwaitServing(target, start, where);
        Settle(target, where);
        target.Workload.EndOutage();
    }

    private static void Kill(DeviceTarget target)
    {
        if (target.Refresh().Pid is { } pid) Signals.Send(pid, PosixSignalNumber.Kill);
    }

    private void Settle(DeviceTarget target, string where)
    {
        // What a liar left is put down to it, not to its successor.
        if (_tainted.Contains(target)) ledger.Require(target.Workload.Scrub(options.RecoveryLimit), where, "what the driver left is not read again in time");
        _faultsOfDriver[target] = 0;
        _tainted.Remove(target);
        _ = target.Refresh();
        // A driver that has answered once does not count as one that dies young. One that does not answer is the next fault's to find.
        int answers = target.Workload.Answers;
        target.Workload.Ask();
        target.Workload.Await(() => target.Workload.Answers != answers, options.AnswerLimit);
    }

    private void CheckBystander(string where, Snapshot before)
    {
        Workload load = before.Device.Workload;
        ledger.CheckBystander($"{where}, {before.Device.Name}", load.Tx - before.Tx, load.Rx - before.Rx);
        ledger.CheckClient($"{where}, {before.Device.Name}", load.Errors.Skip(before.Errors));
        ledger.Require(load.Generation == before.Generation, where, $"the driver of {before.Device.Name} was replaced too");
    }

    /// <summary>The drivers that wait hold descriptors too, and are there a moment after those that serve: with all of them the daemon is what it was before.</summary>
    private void AwaitStandbys()
    {
        long start = Stopwatch.GetTimestamp();
        while (!_daemon.Status().Devices.All(device => device.StandbyPid is not null))
        {
            if (Stopwatch.GetElapsedTime(start) > options.RecoveryLimit) throw new CampaignException($"no driver is kept ready after {options.RecoveryLimit.TotalSeconds:0} s; see daemon.log");
            _daemon.Devices[0].Workload.Await(() => false, TimeSpan.FromMilliseconds(20));
        }
    }

    private void CheckGrowth()
    {
        AwaitStandbys();
        ledger.Require(!Ledger.Grows(_resident), "memory", $"the daemon's grows: {string.Join(", ", _resident)} kB");
        string? daemonGrowth = null, ownGrowth = null;
        // What has just been closed may take a moment to be gone.
        for (int look = 0; look < 50; look++)
        {
            daemonGrowth = Ledger.Growth(_daemonBefore, _daemon.Footprint);
            ownGrowth = Ledger.Growth(_ownBefore, Footprint.Of(Environment.ProcessId));
            if (daemonGrowth is null && ownGrowth is null) return;
            _daemon.Devices[0].Workload.Await(() => false, TimeSpan.FromMilliseconds(100));
        }

        if (daemonGrowth is not null) ledger.Breach($"the daemon grew: {daemonGrowth}");
        if (ownGrowth is not null) ledger.Breach($"the clients grew: {ownGrowth}");
    }

    /// <summary>Counts of a device at a moment.</summary>
    private sealed record Snapshot(DeviceTarget Device, uint Generation, StreamCounts Tx, StreamCounts Rx, int Errors)
    {
        public static Snapshot Of(DeviceTarget device) => new(device, device.Workload.Generation, device.Workload.Tx, device.Workload.Rx, device.Workload.Errors.Count);

        /// <summary>Whether checks have caught something since that a working driver does not do.</summary>
        public bool IsWrong(in StreamCounts tx, in StreamCounts rx)
            => (tx - Tx) is var sent && (rx - Rx) is var received
                && sent.Damaged + sent.Forged + sent.Lost + received.Damaged + received.Forged + received.Duplicates != 0;
    }
}
