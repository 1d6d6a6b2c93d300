using System.CommandLine;
using System.Globalization;
using System.Numerics;
using System.Text.Json;
using Xinim.Block.Measurement;
using Xinim.Block.Ports;

namespace Xinim.Host.Commands;

/// <summary><c>xinim disk bench</c>: how many requests, how fast, how late.</summary>
internal static class DiskBenchCommand
{
    private const int MaxDepth = 1024;
    private const int MaxRequest = 4 << 20;

    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> disk = DiskCommand.Disk();
        Option<int> depth = CommonOptions.Between(new Option<int>("--depth") { Description = "Requests outstanding at a time", HelpName = "N", DefaultValueFactory = _ => 32 }, 1, MaxDepth);
        Option<ulong?> size = ByteSize.Option("--block-size", "Bytes a request (default: 4K)");
        Option<double?> seconds = CommonOptions.Seconds("How long (default: 5)");
        Option<bool> sequential = new("--sequential") { Description = "One place after the other instead of random ones" };
        Option<bool> write = new("--write") { Description = "Write instead of reading" };
        Option<bool> consent = DiskCommand.Consent();
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new("bench", "Measure a disk: requests and bytes a second, and latencies", "disk bench disk0 --depth 1", "disk bench disk0 --sequential --block-size 128K --seconds 10")
        {
            disk, depth, size, seconds, sequential, write, consent, json,
        };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            if (result.GetValue(write)) DiskCommand.RequireConsent(result, consent, "bench --write");
            ulong bytes = result.GetValue(size) ?? 4096;
            int requests = result.GetValue(depth);
            if (bytes is 0 or > MaxRequest || bytes * (ulong)requests > 256 << 20) throw new UsageException($"--block-size {bytes} with --depth {requests}: requests of up to {MaxRequest} bytes, and 256 MiB together, are allowed");
            BlockLoadOptions options = new()
            {
                Write = result.GetValue(write),
                Sequential = result.GetValue(sequential),
                RequestBytes = (uint)bytes,
                Depth = requests,
                Time = TimeSpan.FromSeconds(result.GetValue(seconds) ?? 5),
            };
            using Interruption interruption = new(environment);
            BlockPortOptions memory = new() { PoolBytes = (int)bytes * requests, Depth = (int)Math.Max(2, BitOperations.RoundUpToPowerOf2((uint)requests)), MaxSegments = 1 };
            using BlockPort port = BlockPort.Open(result.GetRequiredValue(disk), memory, CommonOptions.SocketOf(result));
            DiskBenchSummary sum = DiskBenchSummary.Of(options, new BlockLoad(port, options).Run(interruption.Token));
            environment.Output.WriteLine(result.GetValue(json) ? JsonSerializer.Serialize(sum, CommandJson.Default.DiskBenchSummary) : Describe(sum));
            return sum.Errors == 0 ? 0 : CommandErrors.Say(environment, $"{sum.Errors} requests failed", CommandErrors.Failed);
        }));
        return command;
    }

    private static string Describe(DiskBenchSummary sum) => string.Create(
        CultureInfo.InvariantCulture,
        $"{sum.Pattern}, {sum.RequestBytes} bytes, depth {sum.Depth}, {sum.Seconds:0.000} s: {sum.RequestsPerSecond:0} IOPS, {sum.MegabytesPerSecond:0.0} MB/s, p50 {sum.P50:0.0} µs, p99 {sum.P99:0.0} µs, p99.9 {sum.P999:0.0} µs, max {sum.Max:0.0} µs{(sum.Recoveries == 0 ? "" : $", driver replaced {sum.Recoveries} times")}");
}

/// <summary>What <c>xinim disk bench --json</c> prints. Times in microseconds.</summary>
internal sealed record DiskBenchSummary(
    string Pattern, uint RequestBytes, int Depth, double Seconds, ulong Requests, ulong Errors, double RequestsPerSecond, double MegabytesPerSecond, double P50, double P99, double P999, double Max, uint Recoveries)
{
    public static DiskBenchSummary Of(BlockLoadOptions options, BlockLoadReport report)
    {
        double seconds = Math.Max(report.Elapsed.TotalSeconds, 1e-9);
        return new DiskBenchSummary(
            $"{(options.Sequential ? "sequential" : "random")} {(options.Write ? "write" : "read")}", options.RequestBytes, options.Depth, Math.Round(seconds, 3), report.Requests, report.Errors,
            Math.Round(report.Requests / seconds, 1), Math.Round(report.Bytes / seconds / 1e6, 3), report.P50.TotalMicroseconds, report.P99.TotalMicroseconds, report.P999.TotalMicroseconds, report.Max.TotalMicroseconds, report.Recoveries);
    }
}
