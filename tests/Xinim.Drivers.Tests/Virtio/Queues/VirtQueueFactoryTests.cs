using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Ipc.Memory;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

public sealed class VirtQueueFactoryTests
{
    [Theory]
    [InlineData(VirtioFeatures.None, 256u, 1024u, 256u)]
    [InlineData(VirtioFeatures.None, 1024u, 256u, 256u)]
    [InlineData(VirtioFeatures.None, 1u, 256u, 1u)]
    [InlineData(VirtioFeatures.None, 32768u, 32768u, 32768u)]
    [InlineData(VirtioFeatures.RingPacked, 300u, 512u, 256u)]
    [InlineData(VirtioFeatures.RingPacked, 256u, 512u, 256u)]
    [InlineData(VirtioFeatures.RingPacked, 32767u, 32768u, 16384u)]
    public void A_size_is_what_both_can_have(VirtioFeatures features, uint max, uint wanted, uint size)
        => Assert.Equal(size, VirtQueueFactory.ChooseSize(features, max, wanted, "queue 7"));

    [Theory]
    [InlineData(VirtioFeatures.None, 0u)]
    [InlineData(VirtioFeatures.None, 300u)]
    [InlineData(VirtioFeatures.None, 65536u)]
    [InlineData(VirtioFeatures.RingPacked, 0u)]
    [InlineData(VirtioFeatures.RingPacked, 32769u)]
    [InlineData(VirtioFeatures.RingPacked, uint.MaxValue)]
    public void A_size_that_cannot_be_is_the_devices_fault(VirtioFeatures features, uint max)
    {
        DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() => VirtQueueFactory.ChooseSize(features, max, 256, "queue 7"));
        Assert.StartsWith("queue 7: ", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_layout_must_be_the_one_that_was_negotiated()
    {
        using FakeDma dma = new();
        DmaArena arena = new(dma.Map("work", 1 << 16, RegionAccess.ReadWrite));
        Assert.Equal(16u, VirtQueueFactory.Create<SplitQueue>(VirtioFeatures.None, arena, 16, "q").Size);
        Assert.Equal(16u, VirtQueueFactory.Create<PackedQueue>(VirtioFeatures.RingPacked, arena, 16, "q").Size);
        Assert.Throws<ArgumentException>(() => VirtQueueFactory.Create<SplitQueue>(VirtioFeatures.RingPacked, arena, 16, "q"));
        Assert.Throws<ArgumentException>(() => VirtQueueFactory.Create<PackedQueue>(VirtioFeatures.None, arena, 16, "q"));
        Assert.False(VirtQueueFactory.IsPacked(VirtioFeatures.Version1));
        Assert.True(VirtQueueFactory.IsPacked(VirtioFeatures.Version1 | VirtioFeatures.RingPacked));
    }
}
