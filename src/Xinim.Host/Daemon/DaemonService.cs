using Microsoft.Extensions.Hosting;

namespace Xinim.Host.Daemon;

/// <summary>
/// Runs the supervisor's loop on a thread of its own for as long as the host runs. A loop that ends by itself ends the host: a daemon
/// without a supervisor is no daemon.
/// </summary>
internal sealed class DaemonService(Supervisor.Supervisor supervisor, IHostApplicationLifetime lifetime) : IHostedService
{
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
