using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>The data path allocates nothing (I6).</summary>
public sealed class E1000AllocationTests
{
    private const int Packets100K = 100_000;
    private const int Runs = 3;

    [Theory]
    [MemberData(nameof(Kinds.All), MemberType = typeof(Kinds))]
    public void A_hundred_thousand_packets_both_ways_allocate_nothing(E1000ModelKind kind)
    {
        using E1000Bench bench = new E1000Bench(kind).Started(post: 1024);
        bench.Model.KeepSent = false;
        byte[] frame = Packets.Plain(60);
        Exchange(bench, frame, 3200);
        // The runtime allocates on this thread when it replaces a method that is hot by now; a packet that allocates does so in each run.
        long[] allocated = [.. Enumerable.Range(0, Runs).Select(_ => Allocated(bench, frame))];
        Assert.Contains(0, allocated);
        Assert.Equal(3200ul + (Runs * Packets100K), bench.Model.FramesSent);
        Assert.Equal(3200ul + (Runs * Packets100K), bench.Model.FramesReceived);
        Assert.Empty(bench.Model.Violations);
    }

    private static long Allocated(E1000Bench bench, byte[] frame)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Exchange(bench, frame, Packets100K);
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private static void Exchange(E1000Bench bench, byte[] frame, int packets)
    {
        NetBuffer buffer = new() { Grant = bench.Client.TxGrant.Handle, Length = 60 };
        for (int done = 0; done < packets; done += 32)
        {
            for (uint i = 0; i < 32; i++) bench.Client.Client.Submit[i] = buffer;
            if (bench.Client.Client.Submit.Reserve(32) < 32) throw new InvalidOperationException("submit is full");
            bench.Client.Client.Submit.Publish(32);
            for (int i = 0; i < 32; i++)
                if (!bench.Model.Receive(frame)) throw new InvalidOperationException("no room for a frame");
            bench.Poll();
            bench.Driver.ArmInterrupts();
            bench.Driver.OnInterrupt(0);
            bench.Client.Client.Completed.Release(bench.Client.Client.Completed.Peek(32));
            uint received = bench.Client.Client.Received.Peek(1024);
            _ = bench.Client.Client.Free.Reserve(received);
            for (uint i = 0; i < received; i++) bench.Client.Client.Free[i] = bench.Client.Client.Received.Read(i) with { Length = 2048 };
            bench.Client.Client.Received.Release(received);
            bench.Client.Client.Free.Publish(received);
        }
    }
}
