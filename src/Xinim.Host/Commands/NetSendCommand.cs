using System.CommandLine;
using System.Globalization;
using System.Numerics;
using System.Text.Json;
using System.Text.Json.Serialization;
using Xinim.Net.Ports;
using Xinim.Net.Traffic;

namespace Xinim.Host.Commands;

/// <summary><c>xinim net send</c>: test frames, as fast as they go.</summary>
internal static class NetSendCommand
{
    private const double DefaultSeconds = 5;
    private static readonly NetworkPortOptions s_usual = new();

    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> nic = CommonOptions.Nic();
        Option<ulong> count = CommonOptions.Count("Frames to send");
        Option<double?> seconds = CommonOptions.Seconds($"How long to send (default: {DefaultSeconds} without --count)");
        Option<int> size = CommonOptions.Between(
            new Option<int>("--size") { Description = "Bytes a frame, FCS not counted", HelpName = "B", DefaultValueFactory = _ => TestFrame.MinBytes }, TestFrame.MinBytes, TestFrame.MaxBytes);
        Option<double> rate = CommonOptions.AtLeast(new Option<double>("--rate") { Description = "Frames a second (default: as many as go)", HelpName = "PPS" }, 0);
        Option<int> batch = CommonOptions.Between(
            new Option<int>("--batch") { Description = "Frames that are handed over at a time", HelpName = "N", DefaultValueFactory = _ => 64 }, 1, 1024);
        Option<int> buffers = CommonOptions.Between(
            new Option<int>("--buffers") { Description = "Frames on their way at most, a power of two", HelpName = "N", DefaultValueFactory = _ => (int)s_usual.TxBuffers }, 16, 8192);
        Option<string?> destination = new("--destination") { Description = $"MAC address (default: {TestFrame.DefaultDestination}, which 'net receive' takes)", HelpName = "MAC" };
        Option<bool> stamp = new("--stamp") { Description = "Number every frame and sum it up, for 'net receive --verify'" };
        Option<bool> asPrepared = new("--fixed") { Description = "Write frames once and move only descriptors (this is the default)" };
        Option<int> queues = CommonOptions.Queues();
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new(
            "send", "Send test frames (EtherType 0x88B5) and measure the rate", "net send net0 --seconds 10", "net send net0 --count 1000000 --stamp --rate 50000", "net send net0 --queues 4")
        {
            nic, count, seconds, size, rate, batch, buffers, destination, stamp, asPrepared, queues, json,
        };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            if (result.GetValue(stamp) && result.GetValue(asPrepared)) throw new UsageException("--stamp and --fixed exclude each other");
            if (!BitOperations.IsPow2(result.GetValue(buffers))) throw new UsageException($"--buffers {result.GetValue(buffers)} is no power of two");
            double? time = result.GetValue(seconds) ?? (result.GetValue(count) == 0 ? DefaultSeconds : null);
            SendOptions options = new()
            {
                Count = result.GetValue(count),
                Time = time is { } given ? TimeSpan.FromSeconds(given) : null,
                Size = result.GetValue(size),
                Rate = result.GetValue(rate),
                Batch = (uint)result.GetValue(batch),
                Destination = result.GetValue(destination) is { } mac ? CommonOptions.ReadMac(mac) : TestFrame.DefaultDestination,
                Stamp = result.GetValue(stamp),
            };
            using Interruption interruption = new(environment);
            if (options.Count != 0 && options.Count < (ulong)result.GetValue(queues))
                throw new UsageException($"--count {options.Count} with --queues {result.GetValue(queues)}: one frame a pair of queues is the least");
            using NicQueues ports = NicQueues.Open(result, nic, queues, s_usual with { TxBuffers = (uint)result.GetValue(buffers) });
            return Run(environment, ports, options, result.GetValue(json), interruption.Token);
        }));
        return command;
    }

    private static int Run(CommandEnvironment environment, NicQueues queues, SendOptions options, bool json, CancellationToken stop)
    {
        FrameSender[] senders = [.. queues.Ports.Select((port, number) => new FrameSender(port, Part(options, number, queues.Ports.Count)))];
        Action<IReadOnlyCollection<SendReport>>? progress = environment.IsTerminal && !json ? reports => environment.Error.WriteLine(Describe(SendSummary.Of(reports))) : null;
        SendSummary sum = SendSummary.Of(queues.Run((number, tell, end) => senders[number].Run(end, tell), stop, progress));
        environment.Output.WriteLine(json ? JsonSerializer.Serialize(sum, CommandJson.Default.SendSummary) : Describe(sum));
        return sum.Completed != 0 || sum.Queued == 0 ? 0 : CommandErrors.Say(environment, "no frame was sent; 'xinim status' shows link and driver", CommandErrors.Failed);
    }

    /// <summary>What one of several pairs of queues is to send.</summary>
    private static SendOptions Part(SendOptions all, int number, int queues) => all with
    {
        Count = (all.Count / (ulong)queues) + ((ulong)number < all.Count % (ulong)queues ? 1ul : 0),
        Rate = all.Rate / queues,
    };

    private static string Describe(SendSummary sum) => string.Create(
        CultureInfo.InvariantCulture,
        $"{sum.Queued} frames queued, {sum.Completed} sent, {sum.Rejected} refused in {sum.Seconds:0.000} s: {sum.PacketsPerSecond:0} pps, {sum.MegabitsPerSecond:0.0} Mbit/s, {sum.Waits} waits{(sum.Recoveries == 0 ? "" : $", driver replaced {sum.Recoveries} times")}");
}

/// <summary>What <c>xinim net send --json</c> prints. Megabits count frames without FCS, preamble and gap.</summary>
/// <param name="Queues">Each pair of queues where there are several.</param>
internal sealed record SendSummary(
    ulong Queued, ulong Completed, ulong Rejected, int Size, double Seconds, double PacketsPerSecond, double MegabitsPerSecond, ulong Waits, uint Recoveries,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<SendSummary>? Queues)
{
    /// <summary>The sum of all pairs of queues, and each.</summary>
    public static SendSummary Of(IReadOnlyCollection<SendReport> reports)
        => Of(SendReport.Sum(reports)) with { Queues = reports.Count == 1 ? null : [.. reports.Select(Of)] };

    private static SendSummary Of(SendReport report)
    {
        double rate = report.Completed / Math.Max(report.Elapsed.TotalSeconds, 1e-9);
        return new SendSummary(
            report.Queued, report.Completed, report.Rejected, report.Size, report.Elapsed.TotalSeconds, rate, rate * report.Size * 8 / 1e6, report.Waits, report.Recoveries, null);
    }
}
