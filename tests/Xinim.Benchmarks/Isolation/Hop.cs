using System.Globalization;

namespace Xinim.Benchmarks.Isolation;

/// <summary>
/// What isolation costs: frames from a client's port to a driver's end and back, both in one thread taking turns, and in two processes on a
/// processor each, in turns. Prints raw values, <c>name TAB value</c>.
/// </summary>
internal static class Hop
{
    private const ulong CheckedFrames = 100_000;

    /// <summary>One process before two: what is added is a difference of neighbours.</summary>
    private static readonly HopMode[] Modes =
    [
        new(false, 1), new(true, 1), new(false, 32), new(true, 32), new(false, 1, PingPong: true), new(true, 1, PingPong: true),
    ];

    /// <param name="arguments"><c>--rounds N --seconds S</c>, S for each of the six turns of a round.</param>
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
        foreach (HopMode mode in Modes) _ = session.Run(mode with { Check = true }, TimeSpan.Zero, CheckedFrames);
        for (int round = 0; round < rounds; round++) Round(session, TimeSpan.FromSeconds(seconds));
        return 0;
    }

    private static void Round(HopSession session, TimeSpan time)
    {
        double cycles = Processors.CyclesPerNanosecond();
        double one = 0;
        foreach (HopMode mode in Modes)
        {
            HopResult result = session.Run(mode, time, 1);
            string name = mode.PingPong ? "pingpong" : mode.Batch.ToString(CultureInfo.InvariantCulture);
            double wall = result.Wall.TotalNanoseconds * cycles / result.Sent;
            double total = result.Processor.TotalNanoseconds * cycles / result.Sent;
            if (!mode.Isolated)
            {
                one = wall;
                Print($"hop.one.{name}", wall);
                continue;
            }

            Print($"hop.wall.{name}", wall);
            Print($"hop.total.{name}", total);
            Print($"hop.extra.{name}", (mode.PingPong ? wall : total) - one);
            Print($"hop.batch.{name}", (double)result.Seen.Frames / result.Seen.Batches);
        }
    }

    private static void Print(string name, double value) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}\t{value:0.0}"));
}
