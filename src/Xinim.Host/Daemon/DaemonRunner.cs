using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Systemd;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Manifests;

namespace Xinim.Host.Daemon;

/// <summary>
/// From options to a running daemon and back to a machine as it was. Order: configuration and manifests are checked, the socket is taken,
/// devices are opened and drivers started, systemd hears READY; at SIGTERM all of it backwards.
/// </summary>
internal static class DaemonRunner
{
    /// <returns>Exit status.</returns>
    /// <exception cref="Ipc.LinuxException">The daemon cannot start; nothing is left bound, mapped or running.</exception>
    public static int Run(DaemonOptions options)
    {
        DaemonConfiguration configuration = options.ConfigurationFile is { } file ? ConfigurationReader.Read(file) : new DaemonConfiguration();
        if (options.Socket is { } socket) configuration.Socket = socket;
        ManifestStore manifests = new(options.DriverFolder);
        HostApplicationBuilder builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        AddLogging(builder.Logging, options.JsonLog);
        builder.Services.AddSingleton(provider => new Supervisor.Supervisor(configuration, manifests, provider.GetRequiredService<ILogger<Supervisor.Supervisor>>()));
        builder.Services.AddSingleton<DaemonService>();
        builder.Services.AddHostedService(provider => provider.GetRequiredService<DaemonService>());
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(30));
        using IHost host = builder.Build();
        ILogger log = host.Services.GetRequiredService<ILogger<Supervisor.Supervisor>>();
        DaemonService service = host.Services.GetRequiredService<DaemonService>();
        Supervisor.Supervisor supervisor = host.Services.GetRequiredService<Supervisor.Supervisor>();
        using DeviceSet devices = new(log, options, supervisor, configuration, manifests);
        // Disposed of before the devices' bindings are put back: a bound device that is still open would make the kernel wait.
        using Supervisor.Supervisor first = supervisor;
        using HotPlug? plug = HotPlug.Start(supervisor, devices, log);
        devices.OpenAll();
        log.LogInformation("serving {Devices} at {Socket}", supervisor.DeviceNames, configuration.Socket);
        if (Watchdog.Start(supervisor.Loop) is { } period) log.LogInformation("systemd hears of the loop every {Period:0.0} s", period.TotalSeconds);
        ServiceSigns.Start(host.Services.GetRequiredService<IHostApplicationLifetime>(), new SystemdNotifier());
        host.Run();
        if (service.Failure is not { } failure) return 0;
        Console.Error.WriteLine($"xinim daemon: the supervisor's loop failed: {failure}");
        return 1;
    }

    private static void AddLogging(ILoggingBuilder logging, bool json)
    {
        logging.SetMinimumLevel(LogLevel.Information);
        logging.AddFilter("Microsoft", LogLevel.Warning);
        if (json) logging.AddJsonConsole();
        else if (SystemdHelpers.IsSystemdService()) logging.AddSystemdConsole();
        else logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.ColorBehavior = LoggerColorBehavior.Disabled;
            console.TimestampFormat = "HH:mm:ss.fff ";
        });
    }
}
