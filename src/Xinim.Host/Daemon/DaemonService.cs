using Microsoft.Extensions.Hosting;
using ThreadPriority = Xinim.Ipc.Processes.ThreadPriority;

namespace Xinim.Host.Daemon;

/// <summary>
/// Runs the supervisor's loop on a thread of its own for as long as the host runs. A loop that ends by itself ends the host: a daemon
/// without a supervisor is no daemon.
/// </summary>
internal sealed class DaemonService(Supervisor.Supervisor supervisor, IHostApplicationLifetime lifetime) : IHostedService
{
    /// <summary>Nice values below the daemon's.</summary>
    private const int LoopPreference = 10;

    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Why the loop ended by itself; null where it was stopped.</summary>
    public Exception? Failure { get; private set; }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        new Thread(Run) { Name = "supervisor", IsBackground = true }.Start();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        supervisor.Stop();
        return _ended.Task;
    }

    private void Run()
    {
        // A driver's death is not to wait for those who compute: little work, at once. Where it is not allowed it takes its turn.
        ThreadPriority.TryRaise(LoopPreference);
        try
        {
            supervisor.Run();
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            Failure = exception;
        }
        finally
        {
            _ended.SetResult();
            lifetime.StopApplication();
        }
    }
}
