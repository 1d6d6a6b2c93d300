using Xinim.HostileDriver.Native;
using Xinim.Ipc.Native;

namespace Xinim.HostileDriver;

/// <summary>Takes all there is of something, and says how much that was.</summary>
internal static unsafe class Exhaustion
{
    private const int Step = 1 << 20;

    /// <summary>Memory of its own, page by page; past the collector, whose heap has a limit of its own.</summary>
    public static void Memory(Victim victim)
    {
        long taken = 0;
        while (Raw.Call(9, 0, Step, 3, 0x22, -1, 0) is > 0 and var address)
        {
            new Span<byte>((void*)address, Step).Fill(1);
            taken += Step;
            if (taken > 4L << 30) break;
        }

        victim.Say($"took {taken >> 20} MiB");
    }

    /// <summary>The collector's heap.</summary>
    public static void Heap(Victim victim)
    {
        List<byte[]> kept = [];
        try
        {
            while (kept.Count < 1000) kept.Add(new byte[Step]);
        }
        catch (OutOfMemoryException)
        {
            // As it should be; a runtime that dies instead is as good.
        }

        victim.Say($"took {kept.Count} MiB of heap");
    }

    public static void Descriptors(Victim victim)
    {
        long highest = 0;
        List<long> taken = [];
        while (taken.Count < 100_000 && Raw.Call(290, 0, 0) is >= 0 and var number)
        {
            highest = Math.Max(highest, number);
            taken.Add(number);
        }

        foreach (long number in taken) Raw.Call(3, number);
        victim.Say($"took descriptors up to {highest}");
    }

    public static void Threads(Victim victim)
    {
        int started = 0;
        try
        {
            for (; started < 10_000; started++) new Thread(Silence, 64 << 10) { IsBackground = true }.Start();
        }
        catch (OutOfMemoryException)
        {
            // What the runtime says where the kernel refuses another one.
        }

        victim.Say($"took {started} threads");
    }

    /// <summary>As many threads as there may be, all of them busy, and no answer to anybody.</summary>
    public static void Processor()
    {
        try
        {
            for (int i = 0; i < 100; i++) new Thread(Spin, 64 << 10) { IsBackground = true }.Start();
        }
        catch (OutOfMemoryException)
        {
            // Enough.
        }

        Spin();
    }

    public static void Silence() => Descriptor.Poll(Timeout.Infinite);

    /// <summary>More than the supervisor wants to hear.</summary>
    public static void Flood(Victim victim)
    {
        while (true)
        {
            try
            {
                victim.Say("FLOOD");
            }
            catch (Xinim.Ipc.Channels.ChannelException)
            {
                // The supervisor does not keep up; go on.
            }
        }
    }

    /// <summary>getpid as the x32 ABI numbers it: the same entry, another table.</summary>
    public static void ForeignCode() => Raw.Call(0x4000_0000 + 39);

    private static void Spin()
    {
        while (true)
        {
        }
    }
}
