using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

/// <summary>What holds in either layout, with every combination of features.</summary>
public abstract class VirtQueueTests<TQueue>
    where TQueue : struct, IVirtQueue
{
    [Theory]
    [MemberData(nameof(QueueFeatures.WithSizes), MemberType = typeof(QueueFeatures))]
    public void Buffers_go_round_and_round(VirtioFeatures features, uint size)
    {
        using QueueBench<TQueue> bench = new(features, size, indirectParts: size > 1024 ? 0u : 16);
        uint added = 0;
        uint taken = 0;
        uint[] lengths = new uint[size];
        while (taken < 70_000)
        {
            for (uint burst = 0; burst < 48; burst++)
            {
                uint length = 1 + (added % 1000);
                bool writes = added % 3 == 0;
                int id = added % 7 == 6 && size > 1
                    ? bench.Queue.Add(bench.Segment(0, length), bench.Segment(2048, length), writes ? 0 : 2)
                    : bench.Queue.Add(bench.Segment(0, length).At, length, writes);
                if (id < 0) break;
                lengths[id] = writes ? length : 0;
                added++;
            }

            _ = bench.Queue.Publish();
            while (bench.Device.Pop() is { } chain) bench.Device.Use(chain, chain.WritableBytes == 0 ? 0 : chain.Writable[0].Length);
            _ = bench.Device.Flush();
            while (bench.Queue.Take(out uint written) is >= 0 and int id)
            {
                Assert.Equal(lengths[id], written);
                taken++;
            }
        }

        Assert.Equal(added, taken);
        Assert.Equal(0u, bench.Queue.Outstanding);
        Assert.Equal(size, bench.Queue.Free);
        Assert.Empty(bench.Device.Violations);
        Assert.Empty(bench.Dma.Faults);
    }
}

public sealed class SplitQueueTests : VirtQueueTests<SplitQueue>;

public sealed class PackedQueueTests : VirtQueueTests<PackedQueue>;
