using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

public sealed class SplitQueueTests : VirtQueueTests<SplitQueue>
{
    [Fact]
    public void A_device_that_keeps_the_order_finds_the_same_ring_lap_after_lap()
    {
        using QueueBench<SplitQueue> bench = new(VirtioFeatures.None, 16);
        SplitDeviceQueue device = (SplitDeviceQueue)bench.Device;
        for (int lap = 0; lap < 10; lap++)
        {
            for (int i = 0; i < 5; i++) _ = bench.Queue.Add(bench.Segment(0, 1).At, 1, false);
            _ = bench.Queue.Publish();
            Assert.Equal(5, bench.DrainDevice());
            Assert.Equal(5, bench.TakeAll());
            for (uint slot = 0; slot < 16; slot++) Assert.Equal(slot, device.Available(slot));
        }
    }
}

public sealed class SplitQueuePropertyTests : VirtQueuePropertyTests<SplitQueue>;

public sealed class SplitQueueNotificationTests : VirtQueueNotificationTests<SplitQueue>
{
    [Theory]
    [InlineData((ushort)0, true)]
    [InlineData((ushort)1, false)]
    [InlineData((ushort)0xffff, false)]
    [InlineData((ushort)0xfffe, true)]
    public void Only_one_bit_of_the_flags_is_looked_at(ushort flags, bool notify)
    {
        using QueueBench<SplitQueue> bench = new(VirtioFeatures.None, 8);
        ((SplitDeviceQueue)bench.Device).ShowFlags(flags);
        _ = bench.Queue.Add(bench.Segment(0, 1).At, 1, false);
        Assert.Equal(notify, bench.Queue.Publish());
    }

    [Fact]
    public void With_EVENT_IDX_flags_are_not_looked_at_and_without_it_the_event()
    {
        foreach (bool eventIndex in (bool[])[false, true])
        {
            using QueueBench<SplitQueue> bench = new(eventIndex ? VirtioFeatures.EventIndex : VirtioFeatures.None, 8);
            SplitDeviceQueue device = (SplitDeviceQueue)bench.Device;
            device.ShowFlags((ushort)(eventIndex ? 1 : 0));
            device.ShowAvailEvent((ushort)(eventIndex ? 0 : 5));
            _ = bench.Queue.Add(bench.Segment(0, 1).At, 1, false);
            Assert.True(bench.Queue.Publish());
        }
    }
}

public sealed class SplitQueueHostileTests : VirtQueueHostileTests<SplitQueue>
{
    [Theory]
    [InlineData(4)]
    [InlineData(9)]
    [InlineData(0x7fff)]
    [InlineData(0xffff)]
    public void An_index_that_jumps(ushort index)
    {
        for (int bits = 0; bits < QueueFeatures.Combinations; bits++)
        {
            using QueueBench<SplitQueue> bench = new(QueueFeatures.Combination(bits), 8);
            Out(bench, 3);
            ((SplitDeviceQueue)bench.Device).ShowIndex(index);
            Faults(bench, $"used index {index} after 0, with 3 buffers out");
        }
    }

    [Fact]
    public void An_index_that_goes_back()
    {
        using QueueBench<SplitQueue> bench = new(VirtioFeatures.None, 8);
        Out(bench, 3);
        Assert.Equal(3, bench.DrainDevice());
        Assert.Equal(3, bench.TakeAll());
        ((SplitDeviceQueue)bench.Device).ShowIndex(2);
        Faults(bench, "used index 2 after 3, with 0 buffers out");
        Assert.Throws<DeviceFaultException>(() => bench.Queue.EnableInterrupts());
    }

    [Theory]
    [InlineData(0x1_0000u)]
    [InlineData(uint.MaxValue)]
    public void An_id_of_more_than_16_bits(uint id)
    {
        using QueueBench<SplitQueue> bench = new(VirtioFeatures.None, 8);
        Out(bench, 8);
        bench.Device.Forge(id, 0);
        Faults(bench, $"buffer {id} came back");
    }

    [Fact]
    public void A_descriptor_inside_a_chain_is_no_buffer()
    {
        using QueueBench<SplitQueue> bench = new(VirtioFeatures.None, 8);
        VirtSegment part = bench.Segment(0, 1);
        Assert.Equal(0, bench.Queue.Add([part, part, part], 0));
        _ = bench.Queue.Publish();
        bench.Device.Forge(1, 0);
        Faults(bench, "buffer 1 came back");
    }

    [Fact]
    public void A_batch_of_more_buffers_than_the_index_moved_by()
    {
        using QueueBench<SplitQueue> bench = new(VirtioFeatures.InOrder, 8);
        Out(bench, 4);
        bench.Device.Forge(3, 0, buffers: 2);
        Faults(bench, "buffer 3 came back");
    }
}
