using Xinim.Ipc;
using Xinim.Ipc.Events;
using Xinim.Ipc.Processes;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// A driver process that is started before it is needed, so that a restart takes only the device's bring-up. It is made a moment after
/// its predecessor began to serve, never on the way of a recovery.
/// </summary>
internal sealed class Standby(EventLoop loop, bool enabled) : IDisposable
{
    private static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(50);

    private SpawnedDriver? _process;
    private IDisposable? _timer;

    /// <summary>Its process; null where none waits.</summary>
    public int? Pid => _process?.Child.Pid;

    /// <summary>Starts one soon, unless there is one.</summary>
    public void Prepare(LaunchRequest launch)
    {
        if (!enabled || _process is not null) return;
        _timer?.Dispose();
        _timer = loop.After(Delay, () =>
        {
            try
            {
                _process = SpawnedDriver.Spawn(launch);
            }
            catch (LinuxException)
            {
                // The restart will start one itself, or say why it cannot.
            }
        });
    }

    /// <summary>The process, if it is there and lives; owned by the caller.</summary>
    public SpawnedDriver? Take()
    {
        _timer?.Dispose();
        SpawnedDriver? process = Interlocked.Exchange(ref _process, null);
        if (process is null || !process.Child.TryReap()) return process;
        process.Dispose();
        return null;
    }

    /// <summary>Ends it: another version will be wanted, or none.</summary>
    public void Drop() => Take()?.Dispose();

    public void Dispose() => Drop();
}
