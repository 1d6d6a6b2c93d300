using System.Globalization;
using System.Runtime.InteropServices;
using Xinim.Ipc.Native;

namespace Xinim.Ipc.Processes;

/// <summary>On which processors a thread runs: a set of bits, one a processor, inherited by what the thread starts (sched_setaffinity(2)).</summary>
public static class Affinity
{
    /// <summary>As many processors as Linux can be built for.</summary>
    private const int MaxProcessors = 8192;
    private const int WordBits = 64;
    private const string AllowedKey = "Cpus_allowed_list:";

    /// <summary>Numbers of the processors that this process may run on, as Linux writes them: <c>0-3,8</c>.</summary>
    public static string Allowed => File.ReadLines("/proc/self/status").First(line => line.StartsWith(AllowedKey, StringComparison.Ordinal))[AllowedKey.Length..].Trim();

    /// <summary>Whether this process may run on a processor.</summary>
    public static bool Allows(int processor) => Allowed.Split(',').Any(range =>
    {
        string[] ends = range.Split('-');
        return processor >= int.Parse(ends[0], CultureInfo.InvariantCulture) && processor <= int.Parse(ends[^1], CultureInfo.InvariantCulture);
    });

    /// <summary>A child whose filter has no such call (<see cref="Sandboxing.SeccompPolicy"/>) stays there.</summary>
    /// <param name="processors">Their numbers; none for no change.</param>
    internal static void Pin(ThreadPlan plan, IReadOnlyList<int> processors)
    {
        if (processors.Count == 0) return;
        ulong[] set = new ulong[MaxProcessors / WordBits];
        foreach (int number in processors) set[number / WordBits] |= 1ul << (number % WordBits);
        plan.Add(
            $"cannot run on processor {string.Join(", ", processors)}; this process may use {Allowed}",
            SystemCall.SchedSetaffinity, 0, MaxProcessors / 8, plan.Hold(MemoryMarshal.AsBytes<ulong>(set)));
    }
}
