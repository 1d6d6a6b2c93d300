using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block.Ahci;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Ahci;

/// <summary>The data path allocates nothing (I6).</summary>
public sealed class AhciAllocationTests
{
    private const int Requests50K = 50_000, Runs = 3;

    [Theory]
    [InlineData("true")]
    [InlineData("false")]
    public void Requests_allocate_nothing(string queued)
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel { Remember = false }, ("ncq", queued)).Started();
        bench.Model.Hold = true;
        Exchange(bench, 3200);
        // The runtime allocates on this thread when it replaces a method that is hot by now; a request that allocates does so in each run.
        long[] allocated = [.. Enumerable.Range(0, Runs).Select(_ => Allocated(bench))];
        Assert.Contains(0, allocated);
        Assert.Empty(bench.Model.Violations);
    }

    /// <summary>The bytes that the driver's own calls take; the model's work between them is not counted.</summary>
    private static long Allocated(AhciBench bench) => Exchange(bench, Requests50K);

    private static long Exchange(AhciBench bench, int requests)
    {
        long allocated = 0;
        for (int done = 0; done < requests;)
        {
            for (uint i = 0; i < 32; i++) _ = bench.Client.Submit(i % 2 == 0 ? BlockOperation.Read : BlockOperation.Write, i, 2, (int)i * 1024, 512, 512);
            for (int got = 0, rounds = 0; got < 32; rounds++)
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                uint count = bench.Client.PollAndForget();
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
                bench.Port.Release();
                got += (int)count;
                if (rounds > 1000) throw new InvalidOperationException($"{got} completions");
            }

            done += 32;
        }

        return allocated;
    }
}
