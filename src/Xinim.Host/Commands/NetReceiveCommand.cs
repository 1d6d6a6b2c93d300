using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;
using Xinim.Net.Traffic;

namespace Xinim.Host.Commands;

/// <summary><c>xinim net receive</c>: counts frames, and checks stamped ones.</summary>
internal static class NetReceiveCommand
{
    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> nic = CommonOptions.Nic();
        Option<ulong> count = CommonOptions.Count("Frames to receive (default: until Ctrl-C)");
        Option<double?> seconds = CommonOptions.Seconds("How long to receive (default: until Ctrl-C)");
        Option<bool> verify = new("--verify") { Description = "Check the frames of 'net send --stamp': damage, loss, repetition, order" };
        Option<bool> hash = new("--hash") { Description = "Count frames by what their hash is of, as the device tells it" };
        Option<bool> promiscuous = CommonOptions.Promiscuous();
        Option<bool> multicast = CommonOptions.AllMulticast();
        Option<int> queues = CommonOptions.Queues();
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new("receive", "Count received frames and measure the rate", "net receive net1 --seconds 10", "net receive net1 --count 1000000 --verify --json", "net receive net1 --queues 4")
        {
            nic, count, seconds, verify, hash, promiscuous, multicast, queues, json,
        };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            ReceiveOptions options = new()
            {
                Count = result.GetValue(count),
                Time = result.GetValue(seconds) is { } time ? TimeSpan.FromSeconds(time) : null,
                Hashes = result.GetValue(hash),
            };
            using Interruption interruption = new(environment);
            using NicQueues ports = NicQueues.Open(result, nic, queues, new NetworkPortOptions { ReceiveHash = options.Hashes });
            if (options.Hashes && (ports.Ports[0].Info.Able & NetworkWishes.ReceiveHash) == 0)
                throw new NetworkPortException($"{result.GetValue(nic)} tells no hashes; a virtio NIC does that offers VIRTIO_NET_F_HASH_REPORT (QEMU: hash=on)");
            CommonOptions.SetFilters(ports.Ports[0], result.GetValue(promiscuous), result.GetValue(multicast), TestFrame.DefaultDestination);
            return Run(environment, ports, options, new ReceiveTally(result.GetValue(verify)), result.GetValue(json), interruption.Token);
        }));
        return command;
    }

    private static int Run(CommandEnvironment environment, NicQueues queues, ReceiveOptions options, ReceiveTally tally, bool json, CancellationToken stop)
    {
        FrameReceiver[] receivers = [.. queues.Ports.Select(port => new FrameReceiver(port, options, tally))];
        Action<IReadOnlyCollection<ReceiveReport>>? progress = environment.IsTerminal && !json ? reports => environment.Error.WriteLine(Describe(ReceiveSummary.Of(reports, tally))) : null;
        ReceiveSummary sum = ReceiveSummary.Of(queues.Run((number, tell, end) => receivers[number].Run(end, tell), stop, progress), tally);
        environment.Output.WriteLine(json ? JsonSerializer.Serialize(sum, CommandJson.Default.ReceiveSummary) : Describe(sum));
        return 0;
    }

    private static string Describe(ReceiveSummary sum)
    {
        string rates = string.Create(
            CultureInfo.InvariantCulture,
            $"{sum.Frames} frames, {sum.Bytes} bytes in {sum.Seconds:0.000} s: {sum.PacketsPerSecond:0} pps, {sum.MegabitsPerSecond:0.0} Mbit/s");
        string checks = sum.Verification is { } found
            ? $"; {found.Stamped} stamped, {found.Lost} lost, {found.Duplicates} duplicate, {found.Reordered} out of order, {found.Damaged} damaged, {found.Other} other"
            : "";
        string hashes = sum.Hashes is { } kinds ? $"; hashes of {string.Join(", ", kinds.Select(kind => $"{kind.Key}: {kind.Value}"))}" : "";
        return rates + checks + hashes + (sum.Recoveries == 0 ? "" : $", driver replaced {sum.Recoveries} times");
    }
}

/// <summary>What <c>xinim net receive --json</c> prints. Seconds and rates are from the first frame to the last.</summary>
/// <param name="Queues">Each pair of queues where there are several; they are verified together.</param>
/// <param name="Hashes">Frames by what their hash is of, with <c>--hash</c>; kinds that came.</param>
internal sealed record ReceiveSummary(
    ulong Frames, ulong Bytes, double Seconds, double PacketsPerSecond, double MegabitsPerSecond, VerificationReport? Verification, uint Recoveries,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<ReceiveSummary>? Queues,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyDictionary<string, ulong>? Hashes)
{
    /// <summary>The sum of all pairs of queues, and each.</summary>
    public static ReceiveSummary Of(IReadOnlyCollection<ReceiveReport> reports, ReceiveTally tally)
        => Of(ReceiveReport.Sum(reports)) with { Verification = tally.Verification, Queues = reports.Count == 1 ? null : [.. reports.Select(Of)] };

    private static ReceiveSummary Of(ReceiveReport report)
    {
        double seconds = report.Elapsed.TotalSeconds;
        double packets = seconds > 0 ? report.Frames / seconds : 0;
        double megabits = seconds > 0 ? report.Bytes * 8 / seconds / 1e6 : 0;
        return new ReceiveSummary(report.Frames, report.Bytes, seconds, packets, megabits, null, report.Recoveries, null, ByKind(report.Hashes));
    }

    private static Dictionary<string, ulong>? ByKind(IReadOnlyList<ulong>? hashes) => hashes?.Index()
        .Where(kind => kind.Item != 0).ToDictionary(kind => $"{(HashKind)kind.Index}", kind => kind.Item);
}
