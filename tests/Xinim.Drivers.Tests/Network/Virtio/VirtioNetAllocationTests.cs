using Xinim.Drivers.Network.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.Fakes;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>The data path allocates nothing (I6).</summary>
public sealed class VirtioNetAllocationTests
{
    private const int Packets100K = 100_000, Warm = 3200, Runs = 3;

    [Theory]
    [InlineData(false, false, false)]
    [InlineData(true, false, false)]
    [InlineData(true, true, false)]
    [InlineData(false, false, true)]
    [InlineData(true, false, true)]
    public void A_hundred_thousand_packets_both_ways_allocate_nothing(bool packed, bool checksums, bool headroom)
    {
        VirtioNetOptions options = new() { Packed = packed, InOrder = false, RxChecksum = !headroom };
        using VirtioNetBench bench = new(options: options) { KeepSent = false, Client = { Headroom = headroom ? NetFlags.Headroom : NetFlags.None } };
        _ = bench.Started(post: 256);
        NetBuffer buffer = new() { Grant = bench.Client.TxGrant.Handle, Offset = FakeNetworkClient.HeadroomBytes, Length = 60, Flags = bench.Client.Headroom };
        if (checksums) buffer = buffer with { Flags = NetFlags.TcpChecksum, LinkHeader = 14, NetworkHeader = 20 };
        byte[] frame = Packets.Plain(60);
        Exchange(bench, buffer, frame, Warm);
        // The runtime allocates on this thread when it replaces a method that is hot by now; a packet that allocates does so in each run.
        long[] allocated = [.. Enumerable.Range(0, Runs).Select(_ => Allocated(bench, buffer, frame))];
        Assert.Contains(0, allocated);
        Assert.Equal(Warm + (Runs * (ulong)Packets100K), bench.SentCount);
        Assert.Equal(Warm + (Runs * (ulong)Packets100K), bench.Driver.Statistics.RxFrames);
        bench.AssertClean();
    }

    private static long Allocated(VirtioNetBench bench, in NetBuffer buffer, byte[] frame)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Exchange(bench, buffer, frame, Packets100K);
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private static void Exchange(VirtioNetBench bench, in NetBuffer buffer, byte[] frame, int packets)
    {
        for (int done = 0; done < packets; done += 32)
        {
            if (bench.Client.Client.Submit.Reserve(32) < 32) throw new InvalidOperationException("submit is full");
            for (uint i = 0; i < 32; i++) bench.Client.Client.Submit[i] = buffer;
            bench.Client.Client.Submit.Publish(32);
            for (int i = 0; i < 32; i++)
                if (!bench.Receive(frame)) throw new InvalidOperationException("no room for a frame");
            bench.Poll();
            bench.Driver.ArmInterrupts();
            bench.Driver.OnInterrupt(1);
            bench.Client.Client.Completed.Release(bench.Client.Client.Completed.Peek(512));
            uint received = bench.Client.Client.Received.Peek(512);
            _ = bench.Client.Client.Free.Reserve(received);
            for (uint i = 0; i < received; i++)
            {
                ulong cookie = bench.Client.Client.Received.Read(i).Cookie;
                bench.Client.Client.Free[i] = new NetBuffer
                {
                    Grant = bench.Client.RxGrant.Handle, Offset = FakeNetworkClient.OffsetOf((uint)cookie), Length = FakeNetworkClient.BufferBytes, Cookie = cookie,
                    Flags = bench.Client.Headroom,
                };
            }

            bench.Client.Client.Received.Release(received);
            bench.Client.Client.Free.Publish(received);
        }
    }
}
