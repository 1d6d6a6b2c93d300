using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Xinim.Host.Metrics;
using Xinim.Ipc.Channels;
using Xinim.Net.Ports;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Commands;

/// <summary><c>xinim metrics</c>: an ordinary client of the daemon that serves HTTP, so that the daemon does not.</summary>
internal static class MetricsCommand
{
    public static Command Create(CommandEnvironment environment)
    {
        Option<string> listen = new("--listen") { Description = "Where to serve /metrics", HelpName = "HOST:PORT", DefaultValueFactory = _ => "127.0.0.1:9464" };
        Option<bool> once = new("--once") { Description = "Print the metrics and end" };
        CliCommand command = new("metrics", "Serve the daemon's metrics for Prometheus over HTTP, until Ctrl-C; no privilege is needed", "metrics", "metrics --listen 127.0.0.1:9464", "metrics --once") { listen, once };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            (string host, int port) = ReadListen(result.GetValue(listen)!);
            string? socket = CommonOptions.SocketOf(result);
            using DaemonMeter meter = new(() => Ask(socket));
            using MetricsServer server = result.GetValue(once) ? MetricsServer.Local() : new MetricsServer(host, port);
            if (result.GetValue(once)) environment.Output.Write(server.Scrape());
            else Serve(environment, server);
            return 0;
        }));
        return command;
    }

    private static void Serve(CommandEnvironment environment, MetricsServer server)
    {
        using Interruption interruption = new(environment);
        environment.Output.WriteLine($"serving {server.Address}");
        environment.Output.Flush();
        interruption.Token.WaitHandle.WaitOne();
    }

    private static StatusReport? Ask(string? socket)
    {
        try
        {
            using DaemonLink daemon = DaemonLink.Connect(socket);
            return daemon.Status();
        }
        catch (Exception exception) when (exception is NetworkPortException or ChannelException or IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    private static (string Host, int Port) ReadListen(string text)
    {
        int colon = text.LastIndexOf(':');
        if (colon > 0 && int.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is > 0 and < 65536) return (text[..colon], port);
        throw new UsageException($"'{text}' is no address and port such as 127.0.0.1:9464");
    }
}
