using System.Net;
using System.Net.Sockets;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;

namespace Xinim.Host.Metrics;

/// <summary>Serves the meter in Prometheus' text format, at <c>/metrics</c>.</summary>
internal sealed class MetricsServer : IDisposable
{
    private const int Attempts = 5;
    private readonly MeterProvider _provider;

    /// <param name="host">Address or name of this machine.</param>
    /// <exception cref="IOException">It cannot listen there.</exception>
    public MetricsServer(string host, int port)
    {
        Address = new Uri($"http://{host}:{port}/metrics");
        try
        {
            _provider = Sdk.CreateMeterProviderBuilder()
                .AddMeter(DaemonMeter.Name)
                .ConfigureResource(resource => resource.Clear().AddService("xinim", autoGenerateServiceInstanceId: false))
                .AddPrometheusHttpListener(listener => (listener.Host, listener.Port) = (host, port))
                .Build();
        }
        catch (Exception exception) when (exception is HttpListenerException or InvalidOperationException or ArgumentException or SocketException)
        {
            throw new IOException($"cannot serve {Address}: {(exception.InnerException ?? exception).Message}; choose another '--listen'", exception);
        }
    }

    public Uri Address { get; }

    /// <summary>Serves this machine alone, at a port that is free.</summary>
    /// <exception cref="IOException">None can be had.</exception>
    public static MetricsServer Local()
    {
        for (int attempt = 1; ; attempt++)
        {
            using TcpListener probe = new(IPAddress.Loopback, 0);
            probe.Start();
            int port = ((IPEndPoint)probe.LocalEndpoint).Port;
            probe.Stop();
            try
            {
                return new MetricsServer("127.0.0.1", port);
            }
            catch (IOException) when (attempt < Attempts)
            {
                // Somebody was faster.
            }
        }
    }

    /// <summary>What a scrape gets now.</summary>
    public string Scrape()
    {
        using HttpClient client = new();
        return client.GetStringAsync(Address).GetAwaiter().GetResult();
    }

    public void Dispose() => _provider.Dispose();
}
