using System.Diagnostics;
using Xinim.Faults.Campaigns;
using Xinim.Faults.Traffic;
using Xinim.Vfio;

namespace Xinim.Faults.Model;

/// <summary>
/// Devices that break their manual under the real driver's code, in this process. For each fault exactly this is allowed: traffic goes on; the driver
/// throws <see cref="DeviceFaultException"/>; data is wrong or missing and its checksum or number says so; or nothing moves although no rule of the
/// manual is broken that the driver could see. Any other exception, a driver that does not return, a buffer that it does not hold or a frame outside
/// the limits is a breach. A device can lie about data without anything to see: other bytes, or another length that is possible. Such a frame
/// is given as good, and the client's checksum finds it.
/// </summary>
internal sealed class ModelCampaign : IDisposable
{
    private const int Rounds = 4;

    /// <summary>A disk's client reads nothing until it has written each block of a stripe: with a new driver, one block a round, that takes so long.</summary>
    private const int FlowRounds = DiskStripe.Blocks + Rounds;

    private const int Timers = 6;
    private static readonly TimeSpan s_hang = TimeSpan.FromSeconds(30);

    private readonly CampaignOptions _options;
    private readonly ModelSet _models;
    private readonly Ledger _ledger;
    private readonly Report _report;
    private readonly ModelFault[] _weighted;
    private readonly Timer _watchdog;
    private readonly Dictionary<int, (IModelBench Bench, int Faults, bool Lied)> _benches = [];
    private uint _run;
    private string _where = "";

    public ModelCampaign(CampaignOptions options, ModelSet models, IReadOnlyList<ModelFault> faults, Ledger ledger, Report report)
    {
        (_options, _models, _ledger, _report) = (options, models, ledger, report);
        _weighted = [.. faults.SelectMany(fault => Enumerable.Repeat(fault, fault.Weight))];
        _watchdog = new Timer(_ => Expire());
    }

    public StreamCounts Tx { get; private set; }

    public StreamCounts Rx { get; private set; }

    public void Run(long first, Action progress)
    {
        long start = Stopwatch.GetTimestamp();
        for (long number = first; number < first + _options.Count; number++)
        {
            if (_options.Duration is { } limit && Stopwatch.GetElapsedTime(start) > limit) break;
            _report.Add(One(number));
            progress();
        }
    }

    public void Dispose()
    {
        foreach ((IModelBench bench, _, _) in _benches.Values) bench.Dispose();
        _watchdog.Dispose();
    }

    private FaultRecord One(long number)
    {
        Random random = new(Campaign.HashOf(_options.Seed, number));
        ModelFault fault = _weighted[random.Next(_weighted.Length)];
        int kind = random.Next(_models.Names.Count);
        _where = $"fault {number} ({fault.Kind} on {_models.Names[kind]}, seed {_options.Seed})";
        _watchdog.Change(s_hang, Timeout.InfiniteTimeSpan);
        FaultRecord record = fault.AtStart || Serves(kind)
            ? Inject(fault, kind, number, random)
            : new FaultRecord(number, fault.Kind, _models.Names[kind], null, Effect.Unrecovered, null, null);
        _watchdog.Change(Timeout.Infinite, Timeout.Infinite);
        return record;
    }

    private FaultRecord Inject(ModelFault fault, int kind, long number, Random random)
    {
        long start = Stopwatch.GetTimestamp();
        (IModelBench bench, int faults, bool lied) = fault.AtStart ? (_models.Make(kind, ++_run), 0, false) : _benches[kind];
        lied |= fault.MayLie;
        StreamCounts tx = bench.Sent, rx = bench.Received;
        (Effect effect, string? detail) = Strike(bench, fault, random);
        StreamCounts sent = bench.Sent - tx, received = bench.Received - rx;
        if (effect == Effect.None && sent.Damaged + sent.Lost + received.Damaged + received.Lost + received.Duplicates != 0) effect = Effect.WrongData;
        Tx += sent;
        Rx += received;
        _ledger.CheckFrames(_where, lied, sent, received);
        _ledger.Require(lied || sent.Duplicates == 0, _where, $"{sent.Duplicates} frames were sent twice to a device that told no lie");
        bool spent = fault.AtStart || effect != Effect.None || bench.Breach is not null || ++faults >= _options.FaultsPerDriver;
        if (spent) Succeed(bench);
        if (bench.Breach is { } breach) _ledger.Breach($"{_where}: {breach}");
        TimeSpan? recovery = null;
        if (!spent)
        {
            _benches[kind] = (bench, faults, lied);
        }
        else
        {
            bench.Dispose();
            if (!fault.AtStart) _benches.Remove(kind);
            if (!Serves(kind)) effect = Effect.Unrecovered;
            else if (effect != Effect.None) recovery = Stopwatch.GetElapsedTime(start);
        }

        return new FaultRecord(number, fault.Kind, _models.Names[kind], fault.Kind, effect, recovery, detail);
    }

    private (Effect Effect, string? Detail) Strike(IModelBench bench, ModelFault fault, Random random)
    {
        try
        {
            if (fault.AtStart)
            {
                fault.Inject(bench, random);
                bench.Start();
            }
            else
            {
                bench.Arrive();
                fault.Inject(bench, random);
            }

            for (int round = 0; round < Rounds; round++)
            {
                bench.Turn();
                bench.Arrive();
            }

            bench.Relent();
            if (Flows(bench)) return (Effect.None, null);
            for (int second = 0; second < Timers; second++) bench.OnTimer();
            return (Flows(bench) ? Effect.None : Effect.Stall, null);
        }
        catch (DeviceFaultException found)
        {
            return (Effect.Exit, found.Message);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            _ledger.Breach($"{_where}: {exception.GetType().Name}: {exception.Message} {exception.StackTrace?.Split('\n')[0].Trim()}");
            return (Effect.Signal, exception.Message);
        }
    }

    /// <summary>The next driver comes to what this one left behind, which may be nonsense by now.</summary>
    private void Succeed(IModelBench bench)
    {
        try
        {
            bench.Succeed();
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            _ledger.Breach($"{_where}: the next driver on the same device: {exception.GetType().Name}: {exception.Message} {exception.StackTrace?.Split('\n')[0].Trim()}");
        }
    }

    /// <summary>Whether a new frame comes through each way.</summary>
    private static bool Flows(IModelBench bench)
    {
        (ulong sent, ulong received) = (bench.Sent.Good, bench.Received.Good);
        for (int round = 0; round < FlowRounds; round++)
        {
            bench.Arrive();
            bench.Turn();
            bench.Turn();
            if (bench.Sent.Good > sent && bench.Received.Good > received) return true;
        }

        return false;
    }

    /// <summary>Starts a driver on a device without a fault, unless there is one.</summary>
    /// <returns>False where it does not start: a breach.</returns>
    private bool Serves(int kind)
    {
        if (_benches.ContainsKey(kind)) return true;
        IModelBench bench = _models.Make(kind, ++_run);
        try
        {
            bench.Start();
        }
        catch (DeviceFaultException blamed)
        {
            bench.Dispose();
            _ledger.Breach($"{_where}: the next driver blames a good device: {blamed.Message}");
            return false;
        }

        _benches.Add(kind, (bench, 0, false));
        return true;
    }

    /// <summary>A driver that does not come back cannot be stopped from within: the campaign ends with the finding.</summary>
    private void Expire()
    {
        Console.WriteLine($"BROKEN: {_where}: the driver has not come back for {s_hang.TotalSeconds:0} s");
        Environment.Exit(1);
    }
}
