using Xinim.Drivers.Block.Virtio;
using Xinim.Ipc.Protocols;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Virtio;

/// <summary>The data path allocates nothing (I6).</summary>
public sealed class VirtioBlkAllocationTests
{
    private const int Requests100K = 100_000, Runs = 3;

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    public void A_hundred_thousand_requests_allocate_nothing(bool packed, bool tables)
    {
        using VirtioBlkBench bench = new VirtioBlkBench(options: new VirtioBlkOptions { Packed = packed, Indirect = tables, Queues = 2 }).Started();
        bench.KeepRequests = false;
        Exchange(bench, 3200);
        // The runtime allocates on this thread when it replaces a method that is hot by now; a request that allocates does so in each run.
        long[] allocated = [.. Enumerable.Range(0, Runs).Select(_ => Allocated(bench))];
        Assert.Contains(0, allocated);
        Assert.Equal(3200ul + (Runs * Requests100K), bench.Driver.Statistics.Reads + bench.Driver.Statistics.Writes);
        bench.AssertClean();
    }

    private static long Allocated(VirtioBlkBench bench)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Exchange(bench, Requests100K);
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private static void Exchange(VirtioBlkBench bench, int requests)
    {
        for (int done = 0; done < requests; done += 32)
        {
            for (uint i = 0; i < 32; i++)
                bench.Submit(i % 2 == 0 ? BlockOperation.Read : BlockOperation.Write, i, 2, i, BlockFlags.None, bench.Segment(i * 1024, 512), bench.Segment((i * 1024) + 512, 512));
            bench.Poll();
            bench.Driver.ArmInterrupts();
            bench.Driver.OnInterrupt(1);
            uint count = bench.Client.Completed.Peek(256);
            if (count != 32) throw new InvalidOperationException($"{count} completions");
            bench.Client.Completed.Release(count);
        }
    }
}
