using System.Diagnostics;
using System.Globalization;

namespace Xinim.Benchmarks.Isolation;

/// <summary>Where a process runs, and how fast its clock ticks.</summary>
internal static class Processors
{
    /// <summary>Keeps the process's first thread on one processor; a negative number leaves it where it is.</summary>
    public static void Pin(int processor)
    {
        if (processor < 0) return;
        using Process self = Process.GetCurrentProcess();
        self.ProcessorAffinity = 1 << processor;
    }

    /// <summary>Times that another thread took the calling thread's processor away (proc_pid_status(5)).</summary>
    public static long Switches()
    {
        const string name = "nonvoluntary_ctxt_switches:";
        string line = File.ReadLines("/proc/thread-self/status").First(line => line.StartsWith(name, StringComparison.Ordinal));
        return long.Parse(line.AsSpan(name.Length), CultureInfo.InvariantCulture);
    }

    /// <summary>
    /// TSC cycles a nanosecond. Linux derives bogomips from the TSC's frequency, two a cycle, where it knows that; "cpu MHz" would be the
    /// present frequency on some machines.
    /// </summary>
    public static double CyclesPerNanosecond()
    {
        string? line = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("bogomips", StringComparison.Ordinal));
        return line is not null && double.TryParse(line[(line.IndexOf(':') + 1)..], CultureInfo.InvariantCulture, out double bogomips)
            ? bogomips / 2000
            : throw new InvalidOperationException("/proc/cpuinfo has no line 'bogomips', from which the TSC's frequency follows");
    }
}
