using System.CommandLine;
using System.Globalization;
using System.Text.Json;
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
        Option<bool> promiscuous = CommonOptions.Promiscuous();
        Option<bool> multicast = CommonOptions.AllMulticast();
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new("receive", "Count received frames and measure the rate", "net receive net1 --seconds 10", "net receive net1 --count 1000000 --verify --json")
        {
            nic, count, seconds, verify, promiscuous, multicast, json,
        };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            ReceiveOptions options = new()
            {
                Count = result.GetValue(count),
                Time = result.GetValue(seconds) is { } time ? TimeSpan.FromSeconds(time) : null,
                Verify = result.GetValue(verify),
            };
            using Interruption interruption = new(environment);
            using NetworkPort port = CommonOptions.OpenNic(result, nic);
            CommonOptions.SetFilters(port, result.GetValue(promiscuous), result.GetValue(multicast), TestFrame.DefaultDestination);
            return Run(environment, new FrameReceiver(port, options), result.GetValue(json), interruption.Token);
        }));
        return command;
    }

    private static int Run(CommandEnvironment environment, FrameReceiver receiver, bool json, CancellationToken stop)
    {
        Action<ReceiveReport>? progress = environment.IsTerminal && !json ? report => environment.Error.WriteLine(Describe(ReceiveSummary.Of(report))) : null;
        ReceiveSummary sum = ReceiveSummary.Of(receiver.Run(stop, progress));
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
        return rates + checks + (sum.Recoveries == 0 ? "" : $", driver replaced {sum.Recoveries} times");
    }
}

/// <summary>What <c>xinim net receive --json</c> prints. Seconds and rates are from the first frame to the last.</summary>
internal sealed record ReceiveSummary(
    ulong Frames, ulong Bytes, double Seconds, double PacketsPerSecond, double MegabitsPerSecond, VerificationReport? Verification, uint Recoveries)
{
    public static ReceiveSummary Of(ReceiveReport report)
    {
        double seconds = report.Elapsed.TotalSeconds;
        double packets = seconds > 0 ? report.Frames / seconds : 0;
        double megabits = seconds > 0 ? report.Bytes * 8 / seconds / 1e6 : 0;
        return new ReceiveSummary(report.Frames, report.Bytes, seconds, packets, megabits, report.Verification, report.Recoveries);
    }
}
