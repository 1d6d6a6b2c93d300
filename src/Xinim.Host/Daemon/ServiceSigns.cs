using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Systemd;

namespace Xinim.Host.Daemon;

/// <summary>
/// READY and STOPPING for systemd, sd_notify(3). Whoever was told where to say it says it: AddSystemd does so only where the parent process is called
/// systemd, and a unit of Type=notify that is started through anything else would then never count as started.
/// </summary>
internal static class ServiceSigns
{
    public static void Start(IHostApplicationLifetime lifetime, ISystemdNotifier notifier)
    {
        if (!notifier.IsEnabled) return;
        lifetime.ApplicationStarted.Register(() => notifier.Notify(ServiceState.Ready));
        lifetime.ApplicationStopping.Register(() => notifier.Notify(ServiceState.Stopping));
    }
}
