using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xunit;

namespace Xinim.Ipc.Tests.Protocols;

public sealed class BlockProtocolTests
{
    [Fact]
    public void Elements_fill_their_lines()
    {
        Assert.Equal(64, Unsafe.SizeOf<BlockRequest>());
        Assert.Equal(32, Unsafe.SizeOf<BlockCompletion>());
        Assert.Equal(12, Unsafe.SizeOf<BlockSegment>());
        Assert.Equal(0, Unsafe.SizeOf<BlockStatistics>() % sizeof(ulong));
    }

    [Fact]
    public void What_one_end_puts_in_the_other_takes_out()
    {
        RingShape shape = new(8, 4, 3);
        using SharedRegion region = BlockRings.Create(shape);
        using SafeFileHandle bell = Descriptor.CreateEvent();
        BlockRings.ClientEnd client = new(region, shape, bell, bell);
        BlockRings.DriverEnd driver = new(region, shape, bell, bell);
        Assert.Equal((8u, 4u), (driver.Submitted.Capacity, driver.Completed.Capacity));
        Assert.Equal(1u, client.Submitted.Reserve(1));
        BlockRequest request = new() { Cookie = 7, Lba = 1ul << 40, Count = 3, Operation = BlockOperation.Write, Flags = BlockFlags.Fua, SegmentCount = 1 };
        request.Segments[0] = new BlockSegment(0x10001, 512, 1536);
        client.Submitted[0] = request;
        client.Submitted.Publish(1);
        Assert.Equal(1u, driver.Submitted.Peek(8));
        BlockRequest read = driver.Submitted.Read(0);
        Assert.Equal((7ul, 1ul << 40, BlockOperation.Write, new BlockSegment(0x10001, 512, 1536)), (read.Cookie, read.Lba, read.Operation, read.Segments[0]));
        Assert.Equal(1u, driver.Completed.Reserve(1));
        driver.Completed[0] = new BlockCompletion(7, BlockStatus.IoError, 2, 1ul << 40);
        driver.Completed.Publish(1);
        Assert.Equal(1u, client.Completed.Peek(4));
        Assert.Equal(new BlockCompletion(7, BlockStatus.IoError, 2, 1ul << 40), client.Completed.Read(0));
        Assert.False(client.IsClosed);
        RingRegion.Close(region);
        Assert.True(client.IsClosed);
    }

    [Theory]
    [InlineData(8, 4, 4)]
    [InlineData(8, 8, 3)]
    [InlineData(4, 4, 3)]
    public void Another_shape_or_generation_is_refused(uint submissions, uint completions, uint generation)
    {
        using SharedRegion region = BlockRings.Create(new RingShape(8, 4, 3));
        using SafeFileHandle bell = Descriptor.CreateEvent();
        Assert.Throws<RingException>(() => new BlockRings.DriverEnd(region, new RingShape(submissions, completions, generation), bell, bell));
    }

    [Fact]
    public void A_ring_has_an_end() => Assert.Throws<ArgumentOutOfRangeException>(() => BlockRings.Create(new RingShape(BlockRings.MaxCapacity * 2, 4, 1)));

    [Fact]
    public void Another_serial_size_or_block_is_another_disk()
    {
        BlockDeviceInfo disk = new() { Blocks = 100, LogicalBlockBytes = 512, Serial = FixedText.From("A1") };
        Assert.True(disk.IsSameDisk(disk with { Features = BlockFeatures.WriteCache, QueueDepth = 7 }));
        Assert.False(disk.IsSameDisk(disk with { Blocks = 101 }));
        Assert.False(disk.IsSameDisk(disk with { LogicalBlockBytes = 4096 }));
        Assert.False(disk.IsSameDisk(disk with { Serial = FixedText.From("A2") }));
    }
}
