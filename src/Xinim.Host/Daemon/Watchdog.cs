using System.Globalization;
using Microsoft.Extensions.Hosting.Systemd;
using Xinim.Ipc.Events;

namespace Xinim.Host.Daemon;

/// <summary>
/// systemd's watchdog, sd_watchdog_enabled(3): the supervisor's own loop sends the sign of life, twice in each period, so that a loop that
/// hangs is noticed although the process lives.
/// </summary>
internal static class Watchdog
{
    private static readonly ServiceState Alive = new("WATCHDOG=1");

    /// <returns>The time between two signs; null where systemd wants none.</returns>
    public static TimeSpan? Start(EventLoop loop) => Start(loop, new SystemdNotifier(), Environment.GetEnvironmentVariable("WATCHDOG_USEC"), Environment.GetEnvironmentVariable("WATCHDOG_PID"));

    /// <param name="limit">WATCHDOG_USEC: microseconds without a sign after which systemd acts.</param>
    /// <param name="process">WATCHDOG_PID: whose signs are wanted.</param>
    public static TimeSpan? Start(EventLoop loop, ISystemdNotifier notifier, string? limit, string? process)
    {
        bool mine = string.IsNullOrEmpty(process) || process == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        if (!notifier.IsEnabled || !mine || !ulong.TryParse(limit, NumberStyles.None, CultureInfo.InvariantCulture, out ulong microseconds) || microseconds is 0 or > long.MaxValue / 10) return null;
        TimeSpan period = TimeSpan.FromTicks(Math.Max((long)microseconds * TimeSpan.TicksPerMicrosecond / 2, 1));
        loop.Every(period, () => notifier.Notify(Alive));
        return period;
    }
}
