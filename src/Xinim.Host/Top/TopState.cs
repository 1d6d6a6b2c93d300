using Xinim.Supervisor.Events;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Top;

/// <summary>What <c>xinim top</c> knows: the newest report, rates from the one before, and recent events.</summary>
internal sealed class TopState
{
    /// <summary>Events that a screen could hold.</summary>
    private const int MaxEvents = 200;

    private readonly Dictionary<string, DeviceReport> _before = [];
    private readonly Dictionary<string, Rates> _rates = [];
    private readonly List<DeviceEvent> _events = [];
    private int _selected;

    public StatusReport? Report { get; private set; }

    /// <summary>Why the report is not a new one; null where it is.</summary>
    public string? Problem { get; set; }

    /// <summary>What came of the last key.</summary>
    public string? Notice { get; set; }

    /// <summary>Newest last.</summary>
    public IReadOnlyList<DeviceEvent> Events => _events;

    /// <summary>The device that keys are for; null where there is none.</summary>
    public DeviceReport? Selected => Report is { Devices: { Count: > 0 } devices } ? devices[Math.Clamp(_selected, 0, devices.Count - 1)] : null;

    public void Select(int step) => _selected = Math.Clamp(_selected + step, 0, Math.Max((Report?.Devices.Count ?? 0) - 1, 0));

    public void Update(StatusReport report, IReadOnlyList<DeviceEvent> news)
    {
        // Another daemon counts from 0 again.
        if (Report?.DaemonPid != report.DaemonPid)
        {
            _before.Clear();
            _rates.Clear();
            _events.Clear();
        }

        (Report, Problem) = (report, null);
        foreach (DeviceReport device in report.Devices) Measure(device);
        _events.AddRange(news);
        if (_events.Count > MaxEvents) _events.RemoveRange(0, _events.Count - MaxEvents);
    }

    /// <summary>Null until the counters were told twice.</summary>
    public Rates? RatesOf(DeviceReport device) => _rates.TryGetValue(device.Name, out Rates rates) ? rates : null;

    private void Measure(DeviceReport now)
    {
        // The daemon asks drivers at its own pace: the time between two of their answers counts, not that between two reports.
        if (_before.TryGetValue(now.Name, out DeviceReport? before))
        {
            double seconds = now.CountersAt - before.CountersAt;
            if (seconds <= 0) return;
            double PerSecond(string counter) => Math.Max(0, now.Counters.GetValueOrDefault(counter) - (double)before.Counters.GetValueOrDefault(counter)) / seconds;
            _rates[now.Name] = now.Disks is null
                ? new Rates(PerSecond("rxFrames"), PerSecond("rxBytes") * 8, PerSecond("txFrames"), PerSecond("txBytes") * 8)
                : new Rates(PerSecond("reads"), PerSecond("readBytes") * 8, PerSecond("writes"), PerSecond("writtenBytes") * 8);
        }

        _before[now.Name] = now;
    }
}

/// <summary>Frames, or reads and writes, and their bits a second.</summary>
internal readonly record struct Rates(double RxFrames, double RxBits, double TxFrames, double TxBits);
