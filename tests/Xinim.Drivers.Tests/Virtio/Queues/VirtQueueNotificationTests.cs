using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

/// <summary>Who wakes whom, and when not [V §2.7.7, §2.7.10, §2.8.10].</summary>
public abstract class VirtQueueNotificationTests<TQueue>
    where TQueue : struct, IVirtQueue
{
    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void The_doorbell_is_rung_where_the_device_wants_it(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 8);
        for (int lap = 0; lap < 50; lap++)
        {
            bool wanted = lap % 3 != 0;
            bench.Device.WantNotifications(wanted);
            Add(bench, 1 + (lap % 3));
            Assert.Equal(wanted, bench.Queue.Publish());
            Assert.False(bench.Queue.Publish());
            Assert.Equal(1 + (lap % 3), bench.DrainDevice());
            Assert.Equal(1 + (lap % 3), bench.TakeAll());
        }

        bench.AssertIdle();
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    [InlineData(8u)]
    [InlineData(256u)]
    public void With_EVENT_IDX_the_doorbell_is_rung_when_the_named_entry_goes_out(uint size)
    {
        using QueueBench<TQueue> bench = new(VirtioFeatures.EventIndex, size, indirectParts: 0);
        // Steps of other lengths than the ring's let every place of it be the first, over laps, and over 65536.
        for (uint round = 0, total = 0; total < 68_000; round++)
        {
            uint count = 1 + (round % size);
            // A packed ring cannot tell entries that are further apart than it is long.
            uint ahead = round * 7 % (Math.Min(count + 1, size) + 1);
            bench.Device.WantNotificationAfter(ahead);
            Add(bench, (int)count);
            if (bench.Queue.Publish() != ahead < count) Assert.Fail($"after {total}: {count} new entries, a notification wanted of the one {ahead} ahead");
            Assert.Equal((int)count, bench.DrainDevice());
            Assert.Equal((int)count, bench.TakeAll());
            total += count;
        }

        bench.AssertIdle();
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void A_new_queue_wants_no_interrupts(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 8);
        Add(bench, 3);
        _ = bench.Queue.Publish();
        bench.Device.Use(bench.Device.Pop()!, 0);
        Assert.False(bench.Device.Flush());
    }

    [Theory]
    [MemberData(nameof(QueueFeatures.All), MemberType = typeof(QueueFeatures))]
    public void An_interrupt_comes_with_the_next_buffer_used(VirtioFeatures features)
    {
        using QueueBench<TQueue> bench = new(features, 8);
        for (int lap = 0; lap < 50; lap++)
        {
            Add(bench, 4);
            _ = bench.Queue.Publish();
            Assert.True(bench.Queue.EnableInterrupts());
            bench.Device.Use(bench.Device.Pop()!, 0);
            Assert.True(bench.Device.Flush());
            Assert.False(bench.Queue.EnableInterrupts());
            bench.Queue.DisableInterrupts();
            bench.Device.Use(bench.Device.Pop()!, 0);
            Assert.False(bench.Device.Flush());
            Assert.False(bench.Queue.EnableInterrupts());
            Assert.Equal(2, bench.TakeAll());
            Assert.True(bench.Queue.EnableInterrupts());
            bench.Device.Use(bench.Device.Pop()!, 0);
            bench.Device.Use(bench.Device.Pop()!, 0);
            Assert.True(bench.Device.Flush());
            Assert.Equal(2, bench.TakeAll());
            bench.Queue.DisableInterrupts();
        }

        bench.AssertIdle();
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(8u)]
    [InlineData(256u)]
    public void With_EVENT_IDX_a_late_interrupt_comes_in_the_middle_of_what_is_out(uint size)
    {
        using QueueBench<TQueue> bench = new(VirtioFeatures.EventIndex, size, indirectParts: 0);
        for (uint round = 0, total = 0; total < 68_000; round++)
        {
            int count = 1 + (int)(round % size);
            Add(bench, count);
            _ = bench.Queue.Publish();
            Assert.True(bench.Queue.EnableInterrupts(late: true));
            for (int used = 0; used < count; used++)
            {
                bench.Device.Use(bench.Device.Pop()!, 0);
                if (bench.Device.Flush() != (used == count / 2)) Assert.Fail($"after {total}: buffer {used} of {count}");
            }

            Assert.Equal(count, bench.TakeAll());
            total += (uint)count;
        }

        bench.AssertIdle();
    }

    [Fact]
    public void Without_EVENT_IDX_a_late_interrupt_is_the_next_one()
    {
        using QueueBench<TQueue> bench = new(VirtioFeatures.None, 8);
        Add(bench, 8);
        _ = bench.Queue.Publish();
        Assert.True(bench.Queue.EnableInterrupts(late: true));
        bench.Device.Use(bench.Device.Pop()!, 0);
        Assert.True(bench.Device.Flush());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void With_EVENT_IDX_one_interrupt_is_sent_for_all_that_the_driver_leaves(bool inOrder)
    {
        using QueueBench<TQueue> bench = new(VirtioFeatures.EventIndex | (inOrder ? VirtioFeatures.InOrder : VirtioFeatures.None), 8);
        Add(bench, 3);
        _ = bench.Queue.Publish();
        Assert.True(bench.Queue.EnableInterrupts());
        bench.Device.Use(bench.Device.Pop()!, 0);
        Assert.True(bench.Device.Flush());
        bench.Device.Use(bench.Device.Pop()!, 0);
        Assert.False(bench.Device.Flush());
    }

    [Fact]
    public void A_batch_raises_the_interrupt_of_its_first_buffer_and_is_handed_out_whole()
    {
        using QueueBench<TQueue> bench = new(VirtioFeatures.EventIndex | VirtioFeatures.InOrder, 8);
        for (int lap = 0; lap < 20; lap++)
        {
            for (int i = 0; i < 3; i++) Assert.True(bench.Queue.Add(bench.Segment(0, 16).At, 16, true) >= 0);
            _ = bench.Queue.Publish();
            Assert.True(bench.Queue.EnableInterrupts());
            bench.Device.UseBatch([bench.Device.Pop()!, bench.Device.Pop()!, bench.Device.Pop()!], 5);
            Assert.True(bench.Device.Flush());
            // Those that no entry was written for were used completely [V §2.7.9, §2.8.8].
            foreach (uint expected in (uint[])[16, 16, 5])
            {
                Assert.False(bench.Queue.EnableInterrupts());
                Assert.True(bench.Queue.Take(out uint written) >= 0);
                Assert.Equal(expected, written);
            }

            Assert.True(bench.Queue.EnableInterrupts());
        }

        bench.AssertIdle();
    }

    private static void Add(QueueBench<TQueue> bench, int count)
    {
        for (int i = 0; i < count; i++) Assert.True(bench.Queue.Add(bench.Segment(0, 1).At, 1, false) >= 0);
    }
}
