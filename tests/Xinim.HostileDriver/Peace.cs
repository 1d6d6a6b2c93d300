using System.Runtime.CompilerServices;
using Xinim.Ipc.Sandboxing;

namespace Xinim.HostileDriver;

/// <summary>No attack: what a runtime does now and then, behind the tight filter, in a place without /proc.</summary>
internal static class Peace
{
    private const int Depth = 2000;

    public static void Run(Victim victim)
    {
        SelfRestraint.Begin();
        SelfRestraint.Tighten();
        victim.Say($"RUNTIME collected {Collect()}");
        victim.Say($"RUNTIME recursed {Recurse(Depth)}");
        victim.Say($"RUNTIME caught {Catch()}");
    }

    /// <summary>Garbage of all generations, finalizers included.</summary>
    private static int Collect()
    {
        for (int round = 0; round < 20; round++)
        {
            byte[][] garbage = new byte[100][];
            for (int i = 0; i < garbage.Length; i++) garbage[i] = new byte[round % 2 == 0 ? 1000 : 100_000];
            _ = new Finalized();
            GC.KeepAlive(garbage);
        }

        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        return GC.CollectionCount(2) >= 2 ? Finalized.Count > 0 ? 1 : -1 : 0;
    }

    private static int Recurse(int depth)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        return depth == 0 ? 0 : 1 + Recurse(depth - 1);
    }

    private static string Catch()
    {
        try
        {
            throw new InvalidOperationException("thrown");
        }
        catch (InvalidOperationException exception)
        {
            return exception.Message;
        }
    }

    private sealed class Finalized
    {
        public static int Count;

        ~Finalized() => Interlocked.Increment(ref Count);
    }
}
