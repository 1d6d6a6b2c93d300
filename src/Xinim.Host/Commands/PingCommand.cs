using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ip;
using Xinim.Net.Ping;
using Xinim.Net.Ports;

namespace Xinim.Host.Commands;

/// <summary><c>xinim ping</c>: ICMP echo over a NIC's driver, without the kernel's network.</summary>
internal static class PingCommand
{
    private static readonly NetworkPortOptions SmallPort = new() { TxBuffers = 256, RxBuffers = 256 };

    public static Command Create(CommandEnvironment environment)
    {
        PingArguments arguments = new();
        CliCommand command = new(
            "ping", "Ping a host over a NIC's driver, with an address of its own (by DHCP unless --source gives one)",
            "ping net0 10.0.2.2 --count 4", "ping net0 10.0.2.2 --source 10.0.2.20/24 --interval 0 --count 10000 --quiet");
        arguments.AddTo(command);
        command.SetAction(result => CommandErrors.Guard(environment, () => Run(environment, arguments, result)));
        return command;
    }

    private static int Run(CommandEnvironment environment, PingArguments arguments, ParseResult result)
    {
        PingOptions options = arguments.ReadOptions(result, ResolveName(result.GetRequiredValue(arguments.Host)));
        Ipv4Configuration? source = arguments.ReadSource(result);
        bool json = result.GetValue(arguments.Json);
        bool quiet = json || result.GetValue(arguments.Quiet);
        using Interruption interruption = new(environment);
        using NetworkPort port = CommonOptions.OpenNic(result, arguments.Nic, SmallPort);
        Ipv4Station station = new(port) { Configuration = source };
        Ipv4Configuration own = source ?? StationSetup.Lease(station, interruption.Token);
        MacAddress hop = StationSetup.Resolve(station, options.Target, interruption.Token);
        if (!json)
            environment.Output.WriteLine($"PING {options.Target} from {own} ({(source is null ? "DHCP" : "given")}) over {port.Info.Mac}: {options.Size} bytes of data");
        PingResult sum = new Pinger(station, hop, options, quiet ? null : reply => Print(environment, options, reply)).Run(interruption.Token);
        if (json) environment.Output.WriteLine(JsonSerializer.Serialize(PingSummary.Of(options.Target, own, sum), CommandJson.Default.PingSummary));
        else Print(environment, options, sum);
        return sum.Received != 0 ? 0 : CommandErrors.Failed;
    }

    private static Ipv4Address ResolveName(string host)
    {
        if (Ipv4Address.TryParse(host, out Ipv4Address address)) return address;
        // What consists of digits and dots was meant as an address; resolvers take short and octal forms that nobody means.
        if (host.All(c => char.IsAsciiDigit(c) || c == '.') || Uri.CheckHostName(host) != UriHostNameType.Dns)
            throw new UsageException($"'{host}' is neither an IPv4 address nor a host's name");
        try
        {
            IPAddress? found = Dns.GetHostAddresses(host, AddressFamily.InterNetwork).FirstOrDefault();
            if (found is not null && Ipv4Address.TryParse(found.ToString(), out address)) return address;
        }
        catch (SocketException exception)
        {
            throw new UsageException($"the host '{host}' is unknown: {exception.Message}");
        }

        throw new UsageException($"the host '{host}' has no IPv4 address");
    }

    private static void Print(CommandEnvironment environment, PingOptions options, PingReply reply) => environment.Output.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{reply.Bytes} bytes from {options.Target}: seq={reply.Sequence} ttl={reply.Hops} time={reply.RoundTrip.TotalMilliseconds:0.000} ms{(reply.Duplicate ? " (duplicate)" : "")}"));

    private static void Print(CommandEnvironment environment, PingOptions options, PingResult sum)
    {
        double lost = sum.Transmitted == 0 ? 0 : 100.0 * sum.Lost / sum.Transmitted;
        environment.Output.WriteLine($"--- {options.Target}");
        environment.Output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{sum.Transmitted} sent, {sum.Received} received, {lost:0.##}% lost, {sum.Duplicates} duplicate, {sum.Damaged} damaged, {sum.Elapsed.TotalSeconds:0.000} s"));
        if (sum.Received != 0)
        {
            environment.Output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"rtt min/avg/max/p99 = {sum.Min.TotalMilliseconds:0.000}/{sum.Mean.TotalMilliseconds:0.000}/{sum.Max.TotalMilliseconds:0.000}/{sum.P99.TotalMilliseconds:0.000} ms"));
        }

        if (sum.Recoveries != 0) environment.Output.WriteLine($"the driver was replaced {sum.Recoveries} times meanwhile");
    }
}

/// <summary>What <c>xinim ping --json</c> prints; times in microseconds.</summary>
internal sealed record PingSummary(
    string Host, string Source, ulong Transmitted, ulong Received, ulong Lost, ulong Duplicates, ulong Damaged, double Seconds, double? RttMin, double? RttMedian, double? RttAvg,
    double? RttMax, double? RttP99, uint Recoveries)
{
    public static PingSummary Of(Ipv4Address host, Ipv4Configuration own, PingResult sum)
    {
        bool any = sum.Received != 0;
        return new PingSummary(
            host.ToString(), own.Address.ToString(), sum.Transmitted, sum.Received, sum.Lost, sum.Duplicates, sum.Damaged, sum.Elapsed.TotalSeconds,
            any ? sum.Min.TotalMicroseconds : null, any ? sum.Median.TotalMicroseconds : null, any ? sum.Mean.TotalMicroseconds : null, any ? sum.Max.TotalMicroseconds : null,
            any ? sum.P99.TotalMicroseconds : null, sum.Recoveries);
    }
}
