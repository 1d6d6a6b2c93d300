using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.TestKit.Virtio;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

public sealed class PackedQueueTests : VirtQueueTests<PackedQueue>
{
    [Fact]
    public void Marks_change_with_every_lap()
    {
        using QueueBench<PackedQueue> bench = new(VirtioFeatures.None, 4);
        PackedDeviceQueue device = (PackedDeviceQueue)bench.Device;
        for (int lap = 0; lap < 6; lap++)
        {
            for (uint slot = 0; slot < 4; slot++)
            {
                _ = bench.Queue.Add(bench.Segment(0, 1).At, 1, slot % 2 == 0);
                _ = bench.Queue.Publish();
                // AVAIL 0x80 and USED 0x8000 [V §2.8.1], WRITE 2 [V §2.8.3].
                Assert.Equal((lap % 2 == 0 ? 0x80 : 0x8000) | (slot % 2 == 0 ? 2 : 0), device.Flags(slot));
                Assert.Equal(1, bench.DrainDevice());
                Assert.Equal(1, bench.TakeAll());
            }
        }

        bench.AssertIdle();
    }

    [Fact]
    public void What_a_device_says_it_wrote_to_a_buffer_that_it_only_read_is_ignored()
    {
        using QueueBench<PackedQueue> bench = new(VirtioFeatures.None, 4);
        _ = bench.Queue.Add(bench.Segment(0, 1).At, 1, false);
        _ = bench.Queue.Publish();
        bench.Device.Use(bench.Device.Pop()!, 99);
        ((PackedDeviceQueue)bench.Device).ShowFlags(0, 0x8080);
        Assert.Equal((0, 0u), (bench.Queue.Take(out uint written), written));
    }
}

public sealed class PackedQueuePropertyTests : VirtQueuePropertyTests<PackedQueue>;

public sealed class PackedQueueNotificationTests : VirtQueueNotificationTests<PackedQueue>
{
    [Theory]
    [InlineData(false, 0, true)]
    [InlineData(false, 1, false)]
    [InlineData(false, 2, true)] // not negotiated: rather once too often
    [InlineData(false, 3, true)]
    [InlineData(true, 0, true)]
    [InlineData(true, 1, false)]
    [InlineData(true, 3, true)]
    [InlineData(true, 0xfffd, false)] // reserved bits [V §2.8.14]
    public void Flags_that_name_no_descriptor(bool eventIndex, int flags, bool notify)
    {
        using QueueBench<PackedQueue> bench = new(eventIndex ? VirtioFeatures.EventIndex : VirtioFeatures.None, 8);
        ((PackedDeviceQueue)bench.Device).ShowEvent(5, true, flags);
        _ = bench.Queue.Add(bench.Segment(0, 1).At, 1, false);
        Assert.Equal(notify, bench.Queue.Publish());
    }

    [Theory]
    [InlineData(8u, true)]
    [InlineData(0x7fffu, true)]
    [InlineData(0x7fffu, false)]
    public void An_event_beyond_the_ring_harms_nobody_but_the_device(uint slot, bool wrap)
    {
        using QueueBench<PackedQueue> bench = new(VirtioFeatures.EventIndex, 8);
        for (int lap = 0; lap < 20; lap++)
        {
            ((PackedDeviceQueue)bench.Device).ShowEvent(slot, wrap, 2);
            _ = bench.Queue.Add(bench.Segment(0, 1).At, 1, false);
            _ = bench.Queue.Publish();
            Assert.Equal(1, bench.DrainDevice());
            Assert.Equal(1, bench.TakeAll());
        }

        bench.AssertIdle();
    }
}

public sealed class PackedQueueHostileTests : VirtQueueHostileTests<PackedQueue>
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Flags_of_garbage_mark_a_used_descriptor_or_none(int lap)
    {
        using QueueBench<PackedQueue> bench = new(VirtioFeatures.None, 1);
        PackedDeviceQueue device = (PackedDeviceQueue)bench.Device;
        for (int flags = 0; flags <= 0xffff; flags += 0x7f)
        {
            bench.Reset();
            device = (PackedDeviceQueue)bench.Device;
            for (int i = 0; i < lap; i++)
            {
                Out(bench, 1);
                Assert.Equal(1, bench.DrainDevice());
                Assert.Equal(1, bench.TakeAll());
            }

            Out(bench, 1);
            device.ShowFlags(0, (ushort)flags);
            bool used = (flags & 0x8080) == (lap == 0 ? 0x8080 : 0);
            Assert.Equal(used ? 0 : -1, bench.Queue.Take(out _));
        }
    }
}
