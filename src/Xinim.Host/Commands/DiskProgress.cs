using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Commands;

/// <summary>Runs a long transfer and says once a second how far it is, to the error output where somebody watches it.</summary>
internal static class DiskProgress
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    /// <param name="done">Bytes so far.</param>
    /// <param name="total">Bytes in all; null where nobody knows.</param>
    public static int Run(CommandEnvironment environment, bool json, string what, Task transfer, Func<long> done, ulong? total, bool outputIsTaken)
    {
        long start = Stopwatch.GetTimestamp();
        while (!transfer.IsCompleted)
        {
            if (Task.WaitAny([transfer], Period) < 0 && environment.IsTerminal && !json) environment.Error.WriteLine(Describe(what, done(), total, Stopwatch.GetElapsedTime(start)));
        }

        transfer.GetAwaiter().GetResult();
        TimeSpan took = Stopwatch.GetElapsedTime(start);
        TransferSummary sum = new(what, done(), Math.Round(took.TotalSeconds, 3), Math.Round(done() / Math.Max(took.TotalSeconds, 1e-9) / 1e6, 1));
        TextWriter to = outputIsTaken ? environment.Error : environment.Output;
        to.WriteLine(json ? JsonSerializer.Serialize(sum, CommandJson.Default.TransferSummary) : Describe(what, done(), null, took));
        return 0;
    }

    private static string Describe(string what, long done, ulong? total, TimeSpan took) => string.Create(
        CultureInfo.InvariantCulture,
        $"{what} {BlockReport.Size((ulong)done)}{(total is { } all and not 0 ? $" of {BlockReport.Size(all)} ({100.0 * done / all:0} %)" : "")} in {took.TotalSeconds:0.0} s: {done / Math.Max(took.TotalSeconds, 1e-9) / 1e6:0.0} MB/s");
}

/// <summary>What <c>xinim disk read</c>, <c>write</c> and <c>trim</c> print with <c>--json</c>.</summary>
internal sealed record TransferSummary(string Done, long Bytes, double Seconds, double MegabytesPerSecond);
