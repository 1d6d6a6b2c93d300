using System.CommandLine;
using Xinim.Net.Ip;
using Xinim.Net.Ping;

namespace Xinim.Host.Commands;

/// <summary>Arguments and options of <c>xinim ping</c>.</summary>
internal sealed class PingArguments
{
    public Argument<string> Nic { get; } = CommonOptions.Nic();

    public Argument<string> Host { get; } = new("HOST") { Description = "IPv4 address, or a name that this machine can resolve" };

    public Option<bool> Json { get; } = CommonOptions.Json();

    public Option<bool> Quiet { get; } = new("--quiet") { Description = "Print the sum only" };

    private readonly Option<ulong> _count = CommonOptions.Count("Requests to send (default: until Ctrl-C)");

    private readonly Option<double> _interval = CommonOptions.AtLeast(
        new Option<double>("--interval") { Description = "Seconds from request to request; 0: the next follows the answer", HelpName = "S", DefaultValueFactory = _ => 1 }, 0);

    private readonly Option<double> _timeout = CommonOptions.AtLeast(
        new Option<double>("--timeout") { Description = "Seconds to wait for an answer", HelpName = "S", DefaultValueFactory = _ => 1 }, 0.001);

    private readonly Option<int> _size = CommonOptions.Between(
        new Option<int>("--size") { Description = "Bytes of data", HelpName = "B", DefaultValueFactory = _ => 56 }, 0, PingOptions.MaxSize);

    private readonly Option<bool> _spin = new("--spin") { Description = "Never sleep while waiting: lowest latency, a whole processor" };

    private readonly Option<string?> _source = new("--source") { Description = "Own address, such as 10.0.2.20/24, instead of DHCP", HelpName = "ADDRESS/PREFIX" };

    private readonly Option<string?> _gateway = new("--gateway") { Description = "Gateway to other networks", HelpName = "ADDRESS" };

    public void AddTo(Command command)
    {
        command.Arguments.Add(Nic);
        command.Arguments.Add(Host);
        foreach (Option option in (Option[])[_count, _interval, _size, _timeout, _source, _gateway, _spin, Quiet, Json]) command.Options.Add(option);
    }

    public PingOptions ReadOptions(ParseResult result, Ipv4Address target) => new()
    {
        Target = target,
        Count = result.GetValue(_count),
        Interval = TimeSpan.FromSeconds(result.GetValue(_interval)),
        Timeout = TimeSpan.FromSeconds(result.GetValue(_timeout)),
        Size = result.GetValue(_size),
        Spin = result.GetValue(_spin),
    };

    /// <summary>Null: ask by DHCP.</summary>
    /// <exception cref="UsageException">Not what it should be.</exception>
    public Ipv4Configuration? ReadSource(ParseResult result)
    {
        Ipv4Address? gateway = null;
        if (result.GetValue(_gateway) is { } via)
            gateway = Ipv4Address.TryParse(via, out Ipv4Address address) ? address : throw new UsageException($"--gateway '{via}' is not an IPv4 address");
        if (result.GetValue(_source) is not { } text) return gateway is null ? null : throw new UsageException("--gateway goes with --source; DHCP brings its own");
        return Ipv4Configuration.TryParse(text, out Ipv4Configuration configuration)
            ? configuration with { Gateway = gateway }
            : throw new UsageException($"--source '{text}' is not an address with prefix length, such as 10.0.2.20/24");
    }
}
