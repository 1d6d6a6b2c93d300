using Xinim.Ipc.Native;
using Xinim.Ipc.Processes;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Policy;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// A device that goes away: for good, or, where it is in a process of somebody else's, for as long as that is away. Its driver ends with it; in
/// the latter case the next one starts when it is there again. No driver is to blame, nothing is given up, clients keep what they have.
/// </summary>
internal sealed partial class ManagedDevice
{
    /// <summary>Between two looks for a back end.</summary>
    private static readonly TimeSpan LookPeriod = TimeSpan.FromMilliseconds(200);

    private readonly IDisposable? _lost;
    private string? _missing;

    /// <summary>What the device waits for before a driver can be started; null where it waits for nothing.</summary>
    public string? Missing => State == DeviceState.Waiting ? _missing : null;

    private bool IsLost => Backend.Lost is { } lost && Descriptor.Poll(0, lost) != 0;

    /// <summary>The device has disappeared: its driver ends and none follows.</summary>
    public void Disappear(string reason)
    {
        LastFault = reason;
        LastFaultKind = FaultKind.Gone;
        State = DeviceState.Gone;
        Events.AddFailure(FaultKind.Gone, reason);
        _succession.Cancel();
        _standby.Drop();
        if (_life is null) Client.CloseForGood(reason);
        else _life.Kill(FaultKind.Gone, reason);
    }

    /// <summary>Where something is missing, the start is put off until it is there.</summary>
    /// <returns>False where the start can go on.</returns>
    private bool Awaits((LaunchRequest Launch, SpawnedDriver? Process)? version, Action<string?>? onOutcome)
    {
        string? former = _missing;
        _missing = Backend.FindMissing();
        if (_missing is null) return false;
        State = DeviceState.Waiting;
        if (_missing != former) Events.Add(EventKind.Waiting, _missing);
        if (version is { } wanted)
        {
            Launch = wanted.Launch;
            wanted.Process?.Dispose();
        }

        _succession.LookAgainAfter(LookPeriod);
        onOutcome?.Invoke(_missing);
        return true;
    }

    /// <summary>The back end has gone: what its driver does is for nothing.</summary>
    private void OnLost()
    {
        _life?.Kill(FaultKind.Gone, $"the back end of {Backend.Name} has closed the connection");
        // Also what keeps this from being called again.
        Backend.ClearBusMaster();
    }
}
