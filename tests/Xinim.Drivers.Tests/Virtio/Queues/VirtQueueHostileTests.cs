using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

/// <summary>A device that lies ends in one line that says which queue and what; what is its own business, it may write as it likes.</summary>
public abstract class VirtQueueHostileTests<TQueue>
    where TQueue : struct, IVirtQueue
{
    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void A_buffer_that_is_not_out(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 8);
        Out(bench, 2);
        bench.Device.Forge(5, 0);
        Faults(bench, "buffer 5 came back");
    }

    [Theory]
    [InlineData(8u)]
    [InlineData(9u)]
    [InlineData(0xffffu)]
    public void A_buffer_beyond_the_queue(uint id)
    {
        for (int bits = 0; bits < QueueFeatures.Combinations; bits++)
        {
            using QueueBench<TQueue> bench = new(QueueFeatures.Combination(bits), 8);
            Out(bench, 8);
            bench.Device.Forge(id, 0);
            Faults(bench, $"buffer {id} came back");
        }
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void A_buffer_twice(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 8);
        Out(bench, 4);
        bench.Device.Forge(0, 0);
        Assert.Equal(0, bench.Queue.Take(out _));
        bench.Device.Forge(0, 0);
        Faults(bench, "buffer 0 came back");
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void A_buffer_that_it_was_not_shown(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 8);
        Out(bench, 1);
        int hidden = bench.Queue.Add(bench.Segment(0, 16).At, 16, true);
        bench.Device.Forge((uint)hidden, 0);
        Faults(bench, $"buffer {hidden} came back");
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void A_buffer_where_none_is_out(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 8);
        Assert.Equal(-1, bench.Queue.Take(out _));
        bench.Device.Forge(0, 0);
        Faults(bench, "");
    }

    [Theory]
    [InlineData(17u)]
    [InlineData(0x8000_0000u)]
    [InlineData(uint.MaxValue)]
    public void More_bytes_than_fit(uint written)
    {
        for (int bits = 0; bits < QueueFeatures.Combinations; bits++)
        {
            using QueueBench<TQueue> bench = new(QueueFeatures.Combination(bits), 8);
            Out(bench, 3);
            bench.Device.Forge(0, written);
            Faults(bench, $"{written} bytes written to buffer 0, which has room for 16");
        }
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void A_length_of_a_buffer_that_is_only_read_says_nothing(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 8);
        Assert.Equal(0, bench.Queue.Add(bench.Segment(0, 16).At, 16, false));
        _ = bench.Queue.Publish();
        bench.Device.Forge(0, 0xffff_ffff);
        Assert.Equal(0, bench.Queue.Take(out uint written));
        Assert.Equal(0u, written);
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void Bytes_in_the_readable_parts_of_a_buffer(VirtioFeatures features)
    {
        foreach (int parts in (int[])[2, 4])
        {
            using QueueBench<TQueue> bench = new(features, 8);
            VirtSegment[] buffer = [.. Enumerable.Range(0, parts).Select(i => bench.Segment(i, 16))];
            Assert.Equal(0, bench.Queue.Add(buffer, 1));
            _ = bench.Queue.Publish();
            uint room = 16 * ((uint)parts - 1);
            bench.Device.Forge(0, room + 1);
            Faults(bench, $"{room + 1} bytes written to buffer 0, which has room for {room}");
        }
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void Descriptors_and_rings_that_it_overwrites_change_nothing(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 8);
        byte[] garbage = new byte[16 * 8];
        for (int lap = 0; lap < 40; lap++)
        {
            VirtSegment part = bench.Segment(0, 16);
            int one = bench.Queue.Add(part.At, 16, true);
            int four = bench.Queue.Add([part, part, part, part], 2);
            _ = bench.Queue.Publish();
            DeviceChain first = bench.Device.Pop()!;
            DeviceChain second = bench.Device.Pop()!;
            Array.Fill(garbage, (byte)(0x5a + lap));
            // A packed ring is where the answers stand; the driver's events are its own in both.
            if (typeof(TQueue) == typeof(SplitQueue)) Overwrite(bench, bench.Queue.Memory.Descriptors, garbage);
            Overwrite(bench, bench.Queue.Memory.Driver, garbage.AsSpan(0, typeof(TQueue) == typeof(SplitQueue) ? 2 : 4));
            if (typeof(TQueue) == typeof(SplitQueue)) Overwrite(bench, bench.Queue.Memory.Driver + 4, garbage.AsSpan(0, 2 * 8));
            bench.Device.Use(first, 16);
            bench.Device.Use(second, 32);
            _ = bench.Device.Flush();
            bench.Device.Violations.Clear(); // it takes the flags that it wrote itself for the driver's
            Assert.Equal((one, 16u), (bench.Queue.Take(out uint written), written));
            Assert.Equal((four, 32u), (bench.Queue.Take(out written), written));
            Assert.Equal((8u, 0u), (bench.Queue.Free, bench.Queue.Outstanding));
        }

        bench.AssertIdle();
    }

    /// <summary>Buffers 0, 1, … of 16 bytes that the device writes, with the device.</summary>
    private protected static void Out(QueueBench<TQueue> bench, int count)
    {
        for (int i = 0; i < count; i++) Assert.Equal(i, bench.Queue.Add(bench.Segment(0, 16).At, 16, true));
        _ = bench.Queue.Publish();
    }

    private static void Overwrite(QueueBench<TQueue> bench, Iova at, Span<byte> bytes) => Assert.True(bench.Dma.Write(at.Value, bytes));

    private protected static void Faults(QueueBench<TQueue> bench, string what)
    {
        DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() => bench.Queue.Take(out _));
        Assert.StartsWith("queue 0: ", fault.Message, StringComparison.Ordinal);
        Assert.Contains(what, fault.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', fault.Message);
    }
}
