using Microsoft.Extensions.Logging;
using Xinim.Ipc.Events;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Policy;

namespace Xinim.Supervisor.Devices;

/// <summary>What follows a driver's failure: the next one, at once or after the policy's pause, or none.</summary>
internal sealed class Succession(ManagedDevice device, EventLoop loop, ILogger log, RestartSettings settings)
{
    private readonly RestartPolicy _policy = new(settings);

    /// <summary>For failures that others have a part in, its client or its back end: they must not get the device given up.</summary>
    private readonly RestartPolicy _clientPolicy = new(settings with { GiveUpAfter = 0 });
    private IDisposable? _pending;

    /// <summary>Decides, after the script has agreed where there is one; the device is told by <see cref="ManagedDevice.Restart"/> or <see cref="ManagedDevice.Rest"/>.</summary>
    /// <param name="end">How the driver ended, with the kind that is on record.</param>
    /// <param name="served">Since it was Ready; null where it never was.</param>
    public void Decide(DriverEnd end, TimeSpan? served)
    {
        if ((end.Kind is FaultKind.Client or FaultKind.Gone ? _clientPolicy : _policy).OnFailure(served) is not { } pause)
        {
            device.Rest(DeviceState.Failed, EventKind.GivenUp, $"given up after {_policy.Failures - 1} failures in a row; the last one: {end.Reason}");
            device.Client.CloseForGood($"its driver failed {_policy.Failures - 1} times in a row: {end.Reason}");
            return;
        }

        if (settings.Script is not { } script)
        {
            RestartAfter(pause);
            return;
        }

        device.Await();
        _pending = PolicyScript.Ask(loop, log, script, device.Name, end, device.Generation, goOn =>
        {
            if (goOn) RestartAfter(pause);
            else device.Rest(DeviceState.Stopped, EventKind.Stopped, "left without a driver by the policy script");
        });
    }

    /// <summary>An operator wants it to go on: failures so far are forgotten.</summary>
    public void Forget() => _policy.Forget();

    /// <summary>Something else happens instead.</summary>
    public void Cancel()
    {
        _pending?.Dispose();
        _pending = null;
    }

    /// <summary>What the device needs was not there: the start is tried again.</summary>
    public void LookAgainAfter(TimeSpan pause) => _pending = loop.After(pause, () => device.Start());

    private void RestartAfter(TimeSpan pause)
    {
        if (pause == TimeSpan.Zero)
        {
            device.Restart();
            return;
        }

        device.Await();
        device.Events.Add(EventKind.Waiting, $"the next driver follows in {pause.TotalMilliseconds:0} ms", pause);
        _pending = loop.After(pause, device.Restart);
    }
}
