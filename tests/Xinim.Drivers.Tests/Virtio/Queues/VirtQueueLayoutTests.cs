using Xinim.Drivers.Virtio.Queues;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

/// <summary>Numbers from the tables of [V §2.7] and [V §2.8.10.1].</summary>
public sealed class VirtQueueLayoutTests
{
    [Theory]
    [InlineData(1u, 16u, 8u, 14u)]
    [InlineData(2u, 32u, 10u, 22u)]
    [InlineData(256u, 4096u, 518u, 2054u)]
    [InlineData(32768u, 524288u, 65542u, 262150u)]
    public void Split(uint size, uint descriptors, uint available, uint used)
    {
        VirtQueueLayout layout = VirtQueueLayout.Split(size);
        Assert.Equal(new VirtQueuePart(descriptors, 16), layout.Descriptors);
        Assert.Equal(new VirtQueuePart(available, 2), layout.Driver);
        Assert.Equal(new VirtQueuePart(used, 4), layout.Device);
        Assert.Equal(available - 2, VirtQueueLayout.UsedEventOffset(size));
        Assert.Equal(used - 2, VirtQueueLayout.AvailEventOffset(size));
    }

    [Theory]
    [InlineData(1u, 16u)]
    [InlineData(256u, 4096u)]
    [InlineData(32768u, 524288u)]
    public void Packed(uint size, uint ring)
    {
        VirtQueueLayout layout = VirtQueueLayout.Packed(size);
        Assert.Equal(new VirtQueuePart(ring, 16), layout.Descriptors);
        Assert.Equal(new VirtQueuePart(4, 4), layout.Driver);
        Assert.Equal(new VirtQueuePart(4, 4), layout.Device);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(3u)]
    [InlineData(32767u)]
    [InlineData(65536u)]
    public void Other_sizes_are_refused(uint size)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => VirtQueueLayout.Split(size));
        Assert.Throws<ArgumentOutOfRangeException>(() => VirtQueueLayout.Packed(size));
    }
}
