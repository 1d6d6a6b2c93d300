using System.Globalization;
using Microsoft.Extensions.Logging;
using Xinim.Ipc;
using Xinim.Ipc.Events;
using Xinim.Ipc.Processes;

namespace Xinim.Supervisor.Policy;

/// <summary>
/// Asks an administrator's program whether a device is to get another driver. It runs beside the event loop: nothing else waits for it, and
/// a program that fails or hangs changes nothing.
/// </summary>
internal static class PolicyScript
{
    private const int LeaveStopped = 1;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    /// <param name="program">Absolute path.</param>
    /// <param name="device">The device's name.</param>
    /// <param name="end">How its driver ended.</param>
    /// <param name="generation">The driver's.</param>
    /// <param name="onDecided">Called once, later: true where the policy is to go on. Disposing of the result keeps it from being called.</param>
    public static IDisposable Ask(EventLoop loop, ILogger log, string program, string device, DriverEnd end, uint generation, Action<bool> onDecided)
    {
        Running running = new();
        try
        {
            running.Process = ProcessLauncher.Start(new LaunchRequest
            {
                Executable = program,
                Arguments = [device, end.Kind.ToString(), generation.ToString(CultureInfo.InvariantCulture), end.Reason],
                Environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            });
        }
        catch (LinuxException exception)
        {
            log.LogError("{Device}: the policy script cannot be run, the driver is restarted without it: {Reason}", device, exception.Message);
            running.Watches.Add(loop.After(TimeSpan.Zero, () => Decide(true)));
            return running;
        }

        running.Watches.Add(loop.Watch(running.Process.Handle, () =>
        {
            running.Process.TryReap();
            int? status = running.Process.Exit is { Signal: 0 } exit ? exit.Code : null;
            log.LogInformation("{Device}: policy script {Script} ended with {Exit}", device, program, running.Process.Exit);
            Decide(status != LeaveStopped);
        }));
        running.Watches.Add(loop.After(Limit, () =>
        {
            log.LogError("{Device}: the policy script {Script} took more than {Seconds} s and was killed; the driver is restarted without it", device, program, Limit.TotalSeconds);
            Decide(true);
        }));
        return running;

        void Decide(bool goOn)
        {
            running.Dispose();
            onDecided(goOn);
        }
    }

    private sealed class Running : IDisposable
    {
        public ChildProcess? Process { get; set; }

        public List<IDisposable> Watches { get; } = [];

        public void Dispose()
        {
            foreach (IDisposable watch in Watches) watch.Dispose();
            Process?.Dispose();
        }
    }
}
