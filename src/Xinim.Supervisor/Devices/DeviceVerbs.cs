using Xinim.Ipc;
using Xinim.Ipc.Events;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Sandboxing;
using Xinim.Supervisor.Events;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// What an operator can have done to a device: start, stop, restart, and update to another version of its driver. One at a time. Each hears
/// of the outcome once: null where it is done, otherwise why not.
/// </summary>
internal sealed class DeviceVerbs(ManagedDevice device, EventLoop loop)
{
    private bool _busy;

    /// <summary>Starts the driver of a device that is stopped, waits for a restart, or was given up.</summary>
    public void Start(Action<string?> onDone)
    {
        if (device.State is DeviceState.Ready or DeviceState.Starting) onDone($"{device.Name} has a driver already (state {device.State})");
        else if (TryBegin(ref onDone)) Launch(onDone);
    }

    /// <summary>Stops the driver; clients keep what they hold and wait for the next start.</summary>
    public void Stop(Action<string?> onDone)
    {
        if (!TryBegin(ref onDone)) return;
        device.Stop(() => onDone(Problem()));
    }

    /// <summary>Replaces the driver by a fresh one: nothing is lost or sent twice, since the old one finishes what it has.</summary>
    public void Restart(Action<string?> onDone)
    {
        if (!TryBegin(ref onDone)) return;
        device.Stop(() => Launch(onDone));
    }

    /// <summary>
    /// Replaces the driver by another version of it. The new one has to show that it runs before the old one is touched; it gets the device
    /// when the old one has finished what it has. If it does not become Ready, the old version is started again.
    /// </summary>
    /// <param name="executable">Absolute path of the new version.</param>
    public void Update(string executable, Action<string?> onDone)
    {
        if (!TryBegin(ref onDone)) return;
        LaunchRequest launch;
        SpawnedDriver candidate;
        Sandbox? sandbox = null;
        try
        {
            sandbox = device.Launch.Sandbox?.For(executable);
            launch = device.Launch with { Executable = executable, Sandbox = sandbox };
            candidate = SpawnedDriver.Spawn(launch);
        }
        catch (LinuxException exception)
        {
            sandbox?.Dispose();
            onDone($"{exception.Message}; the present version goes on");
            return;
        }

        candidate.AwaitHello(loop, device.Manifest.Name, device.StartLimit, problem =>
        {
            if (problem is null)
            {
                device.Stop(() => Replace(candidate, launch, onDone));
                return;
            }

            Discard(candidate, launch);
            onDone($"{executable} is no driver for {device.Name}: {problem}; the present version goes on");
        });
    }

    private void Replace(SpawnedDriver candidate, LaunchRequest launch, Action<string?> onDone)
    {
        LaunchRequest former = device.Launch;
        if (Problem() is { } gone)
        {
            Discard(candidate, launch);
            onDone(gone);
            return;
        }

        device.Start((launch, candidate), failure =>
        {
            if (failure is null) device.Events.Add(EventKind.Updated, $"updated to {launch.Executable}", device.Times.Quiet + device.Times.Start);
            if (failure is null || device.State != DeviceState.Stopped)
            {
                former.Sandbox?.Dispose();
                onDone(failure);
                return;
            }

            device.Events.Add(EventKind.RolledBack, $"{launch.Executable} did not become ready, {former.Executable} comes back: {failure}");
            launch.Sandbox?.Dispose();
            device.Start((former, null), problem => onDone(
                $"{launch.Executable} did not become ready: {failure}; {(problem is null ? $"{former.Executable} serves again" : $"and the former version failed as well: {problem}")}"));
        });
    }

    private static void Discard(SpawnedDriver candidate, LaunchRequest launch)
    {
        candidate.Dispose();
        launch.Sandbox?.Dispose();
    }

    private void Launch(Action<string?> onDone)
    {
        if (Problem() is { } gone)
        {
            onDone(gone);
            return;
        }

        device.ForgetFailures();
        device.Start(onOutcome: onDone);
    }

    private string? Problem() => device.State == DeviceState.Gone ? $"{device.Name} has disappeared: {device.LastFault}" : null;

    private bool TryBegin(ref Action<string?> onDone)
    {
        if (_busy || device.State == DeviceState.Gone)
        {
            onDone(Problem() ?? $"{device.Name} is being changed already; wait for that");
            return false;
        }

        _busy = true;
        Action<string?> told = onDone;
        onDone = problem =>
        {
            _busy = false;
            told(problem);
        };
        return true;
    }
}
