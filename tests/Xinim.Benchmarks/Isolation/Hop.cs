using System.Globalization;

namespace Xinim.Benchmarks.Isolation;

/// <summary>
/// What isolation costs: frames from a client's port to a driver's end and back, both in one thread taking turns, and in two processes on a
/// processor each, in turns. Prints raw values, <c>name TAB value</c>.
/// </summary>
internal static class Hop
{
    private const ulong CheckedFrames = 100_000;

    /// <summary>One measurement: shorter than what a scheduler gives a thread at a time, so that also on a busy machine some are not disturbed.</summary>
    private static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(2);

    /// <summary>One process before two: what is added is a difference of neighbours.</summary>
    private static readonly HopMode[] Modes =
    [
        new(false, 1), new(true, 1), new(false, 32), new(true, 32), new(false, 1, PingPong: true), new(true, 1, PingPong: true),
    ];

    /// <param name="arguments"><c>--rounds N --seconds S</c>, S of measuring in each of the six turns of a round.</param>
    public static int Run(string[] arguments)
    {
        if (arguments is not ["--rounds", var roundsText, "--seconds", var secondsText]
            || !int.TryParse(roundsText, CultureInfo.InvariantCulture, out int rounds) || rounds < 1
            || !double.TryParse(secondsText, CultureInfo.InvariantCulture, out double seconds) || seconds is not (> 0 and < 3600))
        {
            Console.Error.WriteLine("hop: usage: hop --rounds N --seconds S, both above 0");
            return 2;
        }

        if (Environment.ProcessorCount < 2)
        {
            Console.Error.WriteLine("hop: client and driver need a processor each; there is 1");
            return 1;
        }

        using HopSession session = new(processor: 1);
        Processors.Pin(0);
        foreach (HopMode mode in Modes) _ = session.Run(mode with { Check = true }, TimeSpan.Zero, CheckedFrames, 1);
        for (int round = 0; round < rounds; round++) Round(session, (int)Math.Ceiling(seconds / Slice.TotalSeconds));
        return 0;
    }

    private static void Round(HopSession session, int slices)
    {
        double one = double.NaN;
        foreach (HopMode mode in Modes)
        {
            string name = mode.PingPong ? "pingpong" : mode.Batch.ToString(CultureInfo.InvariantCulture);
            HopResult[] results = session.Run(mode, Slice, 1, slices);
            HopResult[] quiet = [.. results.Where(result => !result.Disturbed)];
            Print($"hop.quiet.{(mode.Isolated ? "two" : "one")}.{name}", 100.0 * quiet.Length / results.Length);
            double wall = quiet.Length == 0 ? double.NaN : CyclesAPacket(quiet);
            if (!mode.Isolated) one = wall;
            Print($"hop.{(mode.Isolated ? "wall" : "one")}.{name}", wall);
            if (!mode.Isolated) continue;
            // Neither end ever sleeps: two processors are taken for the whole time.
            Print($"hop.total.{name}", 2 * wall);
            Print($"hop.extra.{name}", (2 * wall) - one);
            Print($"hop.batch.{name}", quiet.Sum(result => (double)result.Seen.Frames) / quiet.Sum(result => (double)result.Seen.Batches));
        }
    }

    /// <summary>The median.</summary>
    private static double CyclesAPacket(HopResult[] results)
    {
        double[] sorted = [.. results.Select(result => result.Wall.TotalNanoseconds / result.Sent).Order()];
        return sorted[sorted.Length / 2] * Processors.CyclesPerNanosecond();
    }

    /// <summary>What was not measured is not printed.</summary>
    private static void Print(string name, double value)
    {
        if (double.IsFinite(value)) Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}\t{value:0.0}"));
    }
}
