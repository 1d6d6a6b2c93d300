using System.Diagnostics.Metrics;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Metrics;

/// <summary>
/// The meter "Xinim": a status report as instruments, named and measured as OpenTelemetry has it (seconds, bytes). The daemon is asked
/// when somebody looks; of a daemon that does not answer there is <c>xinim.up</c> 0 and nothing else.
/// </summary>
internal sealed class DaemonMeter : IDisposable
{
    public const string Name = "Xinim";

    /// <summary>Instruments are read one by one: those of one look come from one report.</summary>
    private static readonly TimeSpan Freshness = TimeSpan.FromMilliseconds(300);

    private static readonly (string Direction, string Kind, string Counter)[] ErrorCounters =
    [
        ("receive", "missed", "rxMissed"), ("receive", "crc", "rxCrcErrors"), ("receive", "length", "rxLengthErrors"), ("receive", "other", "rxOtherErrors"),
        ("receive", "dropped", "rxDropped"), ("transmit", "rejected", "txRejected"), ("transmit", "failed", "txErrors"),
    ];

    private static readonly (string Operation, string Counter)[] BlockCounters =
        [("read", "reads"), ("write", "writes"), ("flush", "flushes"), ("discard", "discards"), ("write_zeroes", "writeZeroes")];

    private readonly Meter _meter = new(Name);
    private readonly Func<StatusReport?> _ask;
    private readonly Lock _lock = new();
    private StatusReport? _report;
    private long _asked = long.MinValue / 2;

    /// <param name="ask">Asks the daemon; null where it does not answer.</param>
    public DaemonMeter(Func<StatusReport?> ask)
    {
        _ask = ask;
        _meter.CreateObservableGauge("xinim.up", () => Report() is null ? 0 : 1, null, "1 where the daemon answers");
        _meter.CreateObservableGauge("xinim.daemon.uptime", () => Report() is { } report ? [new Measurement<double>(report.UptimeSeconds)] : Array.Empty<Measurement<double>>(), "s", "Age of the daemon");
        AddDriverInstruments();
        AddNetworkInstruments();
        AddBlockInstruments();
    }

    public void Dispose() => _meter.Dispose();

    private void AddDriverInstruments()
    {
        Gauge("xinim.driver.state", null, "1 for the state that the device is in, 0 for the others", device =>
            Enum.GetValues<DeviceState>().Select(state => Of(device, device.State == state ? 1.0 : 0, ("state", state.ToString()))));
        Gauge("xinim.driver.generation", null, "Number of the present driver of the device", device => [Of(device, (double)device.Generation)]);
        Counter("xinim.driver.restarts", null, "Drivers that followed one that had failed", device => [Of(device, (long)device.Restarts)]);
        Counter("xinim.driver.faults", null, "Failures of drivers by kind", device =>
            Enum.GetValues<FaultKind>().Where(kind => kind is not FaultKind.None and not FaultKind.Asked)
                .Select(kind => Of(device, (long)device.Faults.GetValueOrDefault(kind), ("kind", kind.ToString()))));
        Gauge("xinim.driver.recovery.duration", "s", "The last start of a driver by step: until the device was quiet, until there was a process, until it was ready", device =>
        [
            Of(device, device.Recovery.Quiet / 1000, ("step", "quiet")), Of(device, device.Recovery.Spawn / 1000, ("step", "spawn")),
            Of(device, device.Recovery.BringUp / 1000, ("step", "bring_up")),
        ]);
        Counter("xinim.driver.interrupts", null, "Interrupts that drivers took", device => [Count(device, "interrupts")]);
        Counter("xinim.driver.doorbells", null, "Times that drivers rang their device", device => [Count(device, "doorbells")]);
    }

    private void AddNetworkInstruments()
    {
        Counter("xinim.net.frames", null, "Frames", device => device.Link is null ? [] : [Count(device, "rxFrames", ("direction", "receive")), Count(device, "txFrames", ("direction", "transmit"))]);
        Counter("xinim.net.bytes", "By", "Bytes of frames", device => device.Link is null ? [] : [Count(device, "rxBytes", ("direction", "receive")), Count(device, "txBytes", ("direction", "transmit"))]);
        Counter("xinim.net.errors", null, "Frames that were missed, damaged, dropped or refused", device => device.Link is null ? [] :
            ErrorCounters.Select(error => Count(device, error.Counter, ("direction", error.Direction), ("kind", error.Kind))));
        Gauge("xinim.net.link.up", null, "1 where the link is up", device => device.Link is not { } link ? [] : [Of(device, link.StartsWith("up", StringComparison.Ordinal) ? 1.0 : 0)]);
        Gauge("xinim.net.transmit.latency", "s", "From taking a frame's buffer to giving it back, by quantile, of the present driver", device => device.Link is null || device.Latency is not { } latency ? [] :
        [
            Of(device, latency.P50 / 1e6, ("quantile", "0.5")), Of(device, latency.P99 / 1e6, ("quantile", "0.99")), Of(device, latency.Max / 1e6, ("quantile", "1")),
        ]);
    }

    private void AddBlockInstruments()
    {
        Counter("xinim.block.requests", null, "Requests done", OfDisks<long>((device, disk) => BlockCounters.Select(counter => Count(device, disk, counter.Counter, ("operation", counter.Operation)))));
        Counter("xinim.block.bytes", "By", "Bytes read and written", OfDisks<long>((device, disk) =>
            [Count(device, disk, "readBytes", ("operation", "read")), Count(device, disk, "writtenBytes", ("operation", "write"))]));
        Counter("xinim.block.errors", null, "Requests that failed or were refused", OfDisks<long>((device, disk) =>
            [Count(device, disk, "errors", ("kind", "failed")), Count(device, disk, "rejected", ("kind", "rejected"))]));
        Gauge("xinim.block.size", "By", "Size of the disk", OfDisks<double>((device, disk) => disk.Block is { } block ? [Of(disk.Name, device.Driver, (double)block.Bytes)] : []));
        Gauge("xinim.block.failing", null, "1 where the disk expects to fail", OfDisks<double>((device, disk) => disk.Health is { } health ? [Of(disk.Name, device.Driver, health.Verdict == BlockVerdict.Failing ? 1.0 : 0)] : []));
        Gauge("xinim.block.temperature", "Cel", "Temperature of the disk", OfDisks<double>((device, disk) => disk.Health?.Temperature is { } degrees ? [Of(disk.Name, device.Driver, (double)degrees)] : []));
        Gauge("xinim.block.latency", "s", "From taking a request to answering it, by quantile, of the present driver", device => device.Disks is null || device.Latency is not { } latency ? [] :
        [
            Of(device, latency.P50 / 1e6, ("quantile", "0.5")), Of(device, latency.P99 / 1e6, ("quantile", "0.99")), Of(device, latency.Max / 1e6, ("quantile", "1")),
        ]);
    }

    /// <summary>Ports that never had a disk have counted nothing.</summary>
    private static Func<DeviceReport, IEnumerable<Measurement<T>>> OfDisks<T>(Func<DeviceReport, DiskReport, IEnumerable<Measurement<T>>> measure)
        where T : struct
        => device => (device.Disks ?? []).Where(disk => disk.Block is not null || disk.Counters.Values.Any(count => count != 0)).SelectMany(disk => measure(device, disk));

    private void Counter(string name, string? unit, string description, Func<DeviceReport, IEnumerable<Measurement<long>>> measure)
        => _meter.CreateObservableCounter(name, () => Devices().SelectMany(measure), unit, description);

    private void Gauge(string name, string? unit, string description, Func<DeviceReport, IEnumerable<Measurement<double>>> measure)
        => _meter.CreateObservableGauge(name, () => Devices().SelectMany(measure), unit, description);

    private static Measurement<long> Count(DeviceReport device, string counter, params ReadOnlySpan<(string Name, string Value)> tags)
        => Of(device, (long)device.Counters.GetValueOrDefault(counter), tags);

    private static Measurement<long> Count(DeviceReport device, DiskReport disk, string counter, params ReadOnlySpan<(string Name, string Value)> tags)
        => Of(disk.Name, device.Driver, (long)disk.Counters.GetValueOrDefault(counter), tags);

    private static Measurement<T> Of<T>(DeviceReport device, T value, params ReadOnlySpan<(string Name, string Value)> tags)
        where T : struct
        => Of(device.Name, device.Driver, value, tags);

    private static Measurement<T> Of<T>(string called, string driver, T value, params ReadOnlySpan<(string Name, string Value)> tags)
        where T : struct
    {
        List<KeyValuePair<string, object?>> all = [new("device", called), new("driver", driver)];
        foreach ((string name, string tag) in tags) all.Add(new(name, tag));
        return new Measurement<T>(value, all);
    }

    private IReadOnlyList<DeviceReport> Devices() => Report()?.Devices ?? [];

    private StatusReport? Report()
    {
        lock (_lock)
        {
            if (Environment.TickCount64 - _asked < Freshness.TotalMilliseconds) return _report;
            _report = _ask();
            _asked = Environment.TickCount64;
            return _report;
        }
    }
}
