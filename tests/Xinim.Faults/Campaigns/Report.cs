using System.Diagnostics;
using System.Globalization;
using Xinim.Ipc.Measurement;

namespace Xinim.Faults.Campaigns;

/// <summary>What faults of each kind did, and how long it took to be rid of them. Campaigns beside each other may add to one.</summary>
internal sealed class Report
{
    private readonly SortedDictionary<string, Row> _rows = new(StringComparer.Ordinal);
    private readonly Lock _sync = new();
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly StreamWriter? _log;

    /// <param name="log">Gets a line a fault; null for none.</param>
    public Report(StreamWriter? log) => _log = log;

    public long Faults { get; private set; }

    /// <summary>Faults that could not be injected, for no driver was there at the moment; counted as nothing else.</summary>
    public long Missed { get; private set; }

    /// <summary>Faults after which the driver was replaced.</summary>
    public long Failures { get; private set; }

    public double PerMinute => Faults / Stopwatch.GetElapsedTime(_start).TotalMinutes;

    public LatencyHistogram Recovery { get; } = new();

    public void Add(FaultRecord record)
    {
        lock (_sync) Count(record);
    }

    private void Count(FaultRecord record)
    {
        WriteLine(record);
        if (record is { Injected: null, Effect: Effect.None })
        {
            // There was no driver to strike.
            Missed++;
            return;
        }

        Faults++;
        if (!_rows.TryGetValue(record.Kind, out Row? row)) _rows.Add(record.Kind, row = new Row());
        row.Effects[(int)record.Effect]++;
        if (record.Effect != Effect.None) Failures++;
        if (record.Recovery is { } time)
        {
            row.Recovery.Add((long)(time.TotalSeconds * Stopwatch.Frequency));
            Recovery.Add((long)(time.TotalSeconds * Stopwatch.Frequency));
        }
    }

    private void WriteLine(FaultRecord record)
        => _log?.WriteLine($"{record.Number}\t{record.Device}\t{record.Kind}\t{record.Injected ?? "not injected"}\t{record.Effect}\t{record.Recovery?.TotalMilliseconds.ToString("0.0", CultureInfo.InvariantCulture)}\t{record.Detail}");

    public long Count(Effect effect) => _rows.Values.Sum(row => row.Effects[(int)effect]);

    /// <summary>A table in Markdown: the documents take it as it is.</summary>
    public IEnumerable<string> Table()
    {
        string[] effects = [.. Enum.GetNames<Effect>().Select(Words)];
        yield return $"| kind | faults | {string.Join(" | ", effects)} | recovery p50 / p99 / max, ms |";
        yield return $"|---|{string.Concat(Enumerable.Repeat("---:|", effects.Length + 2))}";
        foreach ((string kind, Row row) in _rows)
            yield return $"| {kind} | {row.Effects.Sum()} | {string.Join(" | ", row.Effects.Select(Cell))} | {Percentiles(row.Recovery)} |";
        yield return $"| all | {Faults} | {string.Join(" | ", Enum.GetValues<Effect>().Select(effect => Cell(Count(effect))))} | {Percentiles(Recovery)} |";
    }

    /// <summary>The same for programs.</summary>
    public object ForJson() => new
    {
        faults = Faults,
        faultsPerMinute = Math.Round(PerMinute),
        failures = Failures,
        kinds = _rows.ToDictionary(pair => pair.Key, pair => new
        {
            faults = pair.Value.Effects.Sum(),
            effects = Enum.GetValues<Effect>().Where(effect => pair.Value.Effects[(int)effect] != 0).ToDictionary(effect => effect.ToString(), effect => pair.Value.Effects[(int)effect]),
            recoveryMilliseconds = new { p50 = Milliseconds(pair.Value.Recovery, 0.5), p99 = Milliseconds(pair.Value.Recovery, 0.99), max = Milliseconds(pair.Value.Recovery, 1) },
        }),
    };

    internal static double Milliseconds(LatencyHistogram histogram, double share) => Math.Round(histogram.Percentile(share).TotalMilliseconds, 1);

    private static string Percentiles(LatencyHistogram times) => times.Count == 0
        ? ""
        : string.Create(CultureInfo.InvariantCulture, $"{Milliseconds(times, 0.5):0.0} / {Milliseconds(times, 0.99):0.0} / {Milliseconds(times, 1):0.0}");

    private static string Cell(long count) => count == 0 ? "" : count.ToString(CultureInfo.InvariantCulture);

    // "WrongData" becomes "wrong data".
    private static string Words(string name) => string.Concat(name.Select((letter, at) => char.IsUpper(letter) ? (at == 0 ? "" : " ") + char.ToLowerInvariant(letter) : letter.ToString()));

    private sealed class Row
    {
        public long[] Effects { get; } = new long[Enum.GetValues<Effect>().Length];

        public LatencyHistogram Recovery { get; } = new();
    }
}
