using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.TestKit.Virtio;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

/// <summary>What holds in either layout, with every combination of features.</summary>
public abstract class VirtQueueTests<TQueue>
    where TQueue : struct, IVirtQueue
{
    private const int Hundred = 100_000;

    [Theory]
    [MemberData(nameof(QueueFeatures.WithSizes), MemberType = typeof(QueueFeatures))]
    public void Buffers_go_round_and_round(VirtioFeatures features, uint size, uint buffers)
    {
        using QueueBench<TQueue> bench = new(features, size, indirectParts: size > 1024 ? 0u : 16);
        uint added = 0;
        uint taken = 0;
        uint[] lengths = new uint[size];
        while (taken < buffers)
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
                if (lengths[id] != written) Assert.Fail($"buffer {id}: {written} written, not {lengths[id]}");
                taken++;
            }
        }

        Assert.Equal(added, taken);
        bench.AssertIdle();
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void Data_goes_both_ways_through_one_buffer(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 8);
        bench.Data(0, 4).Fill(0x11);
        bench.Data(100, 5).Fill(0x22);
        int id = bench.Queue.Add([bench.Segment(0, 4), bench.Segment(100, 5), bench.Segment(200, 6), bench.Segment(300, 7)], 2);
        Assert.True(bench.Queue.Publish());
        DeviceChain chain = bench.Device.Pop()!;
        Assert.Equal([0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22, 0x22], chain.Read(bench.Dma));
        Assert.Equal(8u, chain.Write(bench.Dma, [1, 2, 3, 4, 5, 6, 7, 8]));
        bench.Device.Use(chain, 8);
        _ = bench.Device.Flush();
        Assert.Equal((id, 8u), (bench.Queue.Take(out uint written), written));
        Assert.Equal([1, 2, 3, 4, 5, 6], bench.Data(200, 6).ToArray());
        Assert.Equal([7, 8, 0], bench.Data(300, 3).ToArray());
        bench.AssertIdle();
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void Nothing_is_seen_before_it_is_published(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 8);
        for (int lap = 0; lap < 5; lap++)
        {
            Assert.False(bench.Queue.Publish());
            for (int i = 0; i < 3; i++) Assert.True(bench.Queue.Add(bench.Segment(0, 1).At, 1, false) >= 0);
            Assert.True(bench.Queue.Add(bench.Segment(0, 1), bench.Segment(1, 1), 1) >= 0);
            Assert.Null(bench.Device.Pop());
            Assert.Equal(4u, bench.Queue.Outstanding);
            _ = bench.Queue.Publish();
            Assert.Equal(4, bench.DrainDevice());
            Assert.Equal(4, bench.TakeAll());
        }

        bench.AssertIdle();
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void A_full_queue_takes_nothing_and_stays_as_it_is(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features & ~VirtioFeatures.IndirectDescriptors, 4);
        VirtSegment part = bench.Segment(0, 1);
        Assert.True(bench.Queue.Add([part, part, part], 3) >= 0);
        Assert.Equal(1u, bench.Queue.Free);
        Assert.Equal(-1, bench.Queue.Add(part, part, 2));
        Assert.Equal(-1, bench.Queue.Add([part, part], 2));
        Assert.True(bench.Queue.Add([part], 1) >= 0);
        Assert.Equal(-1, bench.Queue.Add(part.At, 1, true));
        Assert.Equal((0u, 2u), (bench.Queue.Free, bench.Queue.Outstanding));
        _ = bench.Queue.Publish();
        Assert.Equal(2, bench.DrainDevice());
        Assert.Equal(2, bench.TakeAll());
        bench.AssertIdle();
    }

    [Theory]
    [InlineData(3u, 1u)]
    [InlineData(16u, 1u)]
    [InlineData(2u, 2u)]
    [InlineData(17u, 17u)]
    public void A_buffer_of_several_parts_takes_one_descriptor_where_a_table_holds_them(uint parts, uint descriptors)
    {
        using QueueBench<TQueue> bench = new(VirtioFeatures.IndirectDescriptors, 32, indirectParts: 16);
        VirtSegment[] buffer = [.. Enumerable.Range(0, (int)parts).Select(i => bench.Segment(i * 100, (uint)i + 1))];
        Assert.True(bench.Queue.Add(buffer, 1) >= 0);
        Assert.Equal(32 - descriptors, bench.Queue.Free);
        _ = bench.Queue.Publish();
        DeviceChain chain = bench.Device.Pop()!;
        Assert.Equal(buffer.Select(part => (part.At.Value, part.Length)), chain.Readable.Concat(chain.Writable));
        Assert.Single(chain.Readable);
        bench.Device.Use(chain, chain.WritableBytes);
        _ = bench.Device.Flush();
        Assert.Equal(1, bench.TakeAll());
        bench.AssertIdle();
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void A_reset_queue_is_a_new_one(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 4);
        for (int i = 0; i < 7; i++)
        {
            for (int j = 0; j <= i % 4; j++) Assert.True(bench.Queue.Add(bench.Segment(0, 1).At, 1, true) >= 0);
            _ = bench.Queue.EnableInterrupts();
            _ = bench.Queue.Publish();
            DeviceChain chain = bench.Device.Pop()!;
            bench.Device.Use(chain, 1);
            Assert.True(bench.Device.Flush());
            bench.Reset();
            Assert.Equal((4u, 0u), (bench.Queue.Free, bench.Queue.Outstanding));
            Assert.Null(bench.Device.Pop());
            Assert.Equal(-1, bench.Queue.Take(out _));
        }

        bench.AssertIdle();
    }

    [Fact]
    public void Buffers_that_cannot_be_are_refused()
    {
        using QueueBench<TQueue> bench = new(VirtioFeatures.None, 4);
        VirtSegment part = bench.Segment(0, 1);
        VirtSegment huge = bench.Segment(0, uint.MaxValue);
        Assert.Throws<ArgumentException>(() => bench.Queue.Add([], 0));
        Assert.Throws<ArgumentException>(() => bench.Queue.Add([part, part, part, part, part], 0));
        Assert.Throws<ArgumentException>(() => bench.Queue.Add([huge, part], 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => bench.Queue.Add([part], 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => bench.Queue.Add([part], -1));
        bench.AssertIdle();
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void A_hundred_thousand_buffers_allocate_nothing(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 256);
        Exchange(bench, 3200);
        // The runtime allocates on this thread when it replaces a method that is hot by now; a buffer that allocates does so in each run.
        long[] allocated = [.. Enumerable.Range(0, 3).Select(_ => Allocated(bench))];
        Assert.Contains(0, allocated);
        bench.AssertIdle();
    }

    private static long Allocated(QueueBench<TQueue> bench)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Exchange(bench, Hundred);
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private static void Exchange(QueueBench<TQueue> bench, int buffers)
    {
        VirtSegment part = bench.Segment(0, 60);
        for (int done = 0; done < buffers; done += 32)
        {
            for (int i = 0; i < 10; i++)
            {
                _ = bench.Queue.Add(part.At, 60, true);
                _ = bench.Queue.Add(part, part, 1);
                _ = bench.Queue.Add([part, part, part], 1);
            }

            _ = bench.Queue.Add(part.At, 60, true);
            _ = bench.Queue.Add(part.At, 60, true);
            _ = bench.Queue.Publish();
            _ = bench.Queue.EnableInterrupts();
            if (bench.DrainDevice() != 32) throw new InvalidOperationException("the device saw other than 32 buffers");
            bench.Queue.DisableInterrupts();
            if (bench.TakeAll() != 32) throw new InvalidOperationException("other than 32 buffers came back");
        }
    }
}
