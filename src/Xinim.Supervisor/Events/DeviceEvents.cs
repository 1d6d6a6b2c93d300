using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Policy;

namespace Xinim.Supervisor.Events;

/// <summary>Where one device's events go, and the count of its failures.</summary>
internal sealed class DeviceEvents(ManagedDevice device, EventLog events)
{
    private readonly Dictionary<FaultKind, ulong> _faults = [];

    /// <summary>Failures so far by kind; kinds that never came are missing.</summary>
    public IReadOnlyDictionary<FaultKind, ulong> Faults => _faults;

    /// <summary>When a driver failed last.</summary>
    public DateTimeOffset? LastFailure { get; private set; }

    /// <param name="text">What follows the device's name in a sentence.</param>
    /// <param name="took">How long it took, where that means something.</param>
    public void Add(EventKind kind, string text, TimeSpan? took = null) => Add(kind, FaultKind.None, text, took);

    /// <summary>A driver has failed, or its device has disappeared.</summary>
    public void AddFailure(FaultKind fault, string reason)
    {
        _faults[fault] = _faults.GetValueOrDefault(fault) + 1;
        LastFailure = (fault == FaultKind.Gone ? Add(EventKind.Gone, fault, $"gone: {reason}", null)
            : Add(EventKind.Failed, fault, $"generation {device.Generation} ended: {reason}", null)).Time;
    }

    private DeviceEvent Add(EventKind kind, FaultKind fault, string text, TimeSpan? took)
        => events.Add(new DeviceEvent(0, default, device.Name, kind, device.Generation, fault, text, took is { } time ? Math.Round(time.TotalMilliseconds, 2) : null));
}
