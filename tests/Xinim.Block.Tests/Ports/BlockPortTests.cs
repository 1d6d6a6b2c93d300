using Xinim.Block.Ports;
using Xinim.Ipc.Protocols;

namespace Xinim.Block.Tests.Ports;

public sealed class BlockPortTests
{
    [Fact]
    public void What_was_written_is_read()
    {
        using PortFixture fixture = new();
        new Random(1).NextBytes(fixture.Port.Memory(0, 4096));
        Assert.Equal(BlockStatus.Ok, fixture.Do(BlockOperation.Write, 100, 8));
        Assert.Equal(BlockStatus.Ok, fixture.Do(BlockOperation.Read, 100, 8, 8192));
        Assert.True(fixture.Port.Memory(0, 4096).SequenceEqual(fixture.Port.Memory(8192, 4096)));
        Assert.True(fixture.Daemon.Disk.Contents(100, 8).SequenceEqual(fixture.Port.Memory(0, 4096)));
    }

    [Fact]
    public void A_request_of_many_pieces_takes_several_elements()
    {
        using PortFixture fixture = new();
        new Random(2).NextBytes(fixture.Port.Memory(0, 1 << 16));
        BlockPiece[] pieces = [.. Enumerable.Range(0, fixture.Port.MaxSegments).Select(i => new BlockPiece((uint)(i * 3000 & ~511), 512))];
        Assert.True(fixture.Port.TrySubmit(new BlockIo(7, BlockOperation.Write, 8, (uint)pieces.Length), pieces));
        Assert.Equal(new BlockResult(7, BlockStatus.Ok, 8, 0), fixture.Await(1).Single());
        for (int i = 0; i < pieces.Length; i++) Assert.True(fixture.Daemon.Disk.Contents(8 + (ulong)i, 1).SequenceEqual(fixture.Port.Memory(pieces[i].Offset, 512)), $"piece {i}");
    }

    [Fact]
    public void A_failed_block_is_named()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Disk.BadBlocks.Add(103);
        fixture.Submit(BlockOperation.Read, 100, 8, 1);
        Assert.Equal(new BlockResult(1, BlockStatus.IoError, 103, 0), fixture.Await(1).Single());
        Assert.Equal(BlockStatus.Ok, fixture.Do(BlockOperation.Read, 104, 4));
    }

    [Fact]
    public void No_more_than_the_depth_is_outstanding()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Disk.HoldBack = true;
        for (int i = 0; i < 32; i++) fixture.Submit(BlockOperation.Read, (ulong)i, 1, (ulong)i);
        Assert.False(fixture.Port.TrySubmit(new BlockIo(99, BlockOperation.Read, 0, 1), [new BlockPiece(0, 512)]));
        fixture.Until(() => fixture.Daemon.Disk.Held == 32, "all are with the device");
        fixture.Daemon.Disk.Release();
        Assert.Equal(Enumerable.Range(0, 32).Select(i => (ulong)i), fixture.Await(32).Select(result => result.Token).Order());
        Assert.Equal(BlockStatus.Ok, fixture.Do(BlockOperation.Read, 0, 1));
    }

    [Fact]
    public void A_batch_costs_the_device_one_doorbell()
    {
        using PortFixture fixture = new();
        int before = fixture.Daemon.Disk.Rings;
        fixture.Daemon.Sleeps = true;
        for (int i = 0; i < 16; i++) fixture.Submit(BlockOperation.Read, (ulong)i, 1);
        fixture.Port.Commit();
        fixture.Daemon.Sleeps = false;
        fixture.Await(16);
        Assert.Equal(before + 1, fixture.Daemon.Disk.Rings);
    }

    [Fact]
    public void Memory_outside_the_pool_is_refused_before_anybody_sees_it()
    {
        using PortFixture fixture = new();
        Assert.Throws<ArgumentException>(() => fixture.Port.TrySubmit(new BlockIo(1, BlockOperation.Read, 0, 1), [new BlockPiece(fixture.Port.PoolBytes - 511, 512)]));
        Assert.Throws<ArgumentException>(() => fixture.Port.TrySubmit(new BlockIo(1, BlockOperation.Read, 0, 13), new BlockPiece[fixture.Port.MaxSegments + 1]));
        Assert.Equal(0, fixture.Port.Outstanding);
    }

    [Fact]
    public void The_data_path_allocates_nothing()
    {
        using PortFixture fixture = new();
        BlockResult[] results = new BlockResult[8];
        Rounds(fixture.Port, results, 100);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Rounds(fixture.Port, results, 1000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void A_disk_that_grows_says_so()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Resize(8192);
        fixture.Until(() => fixture.Port.Info.Blocks == 8192, "the new size is known");
        Assert.Equal(BlockStatus.OutOfRange, fixture.Do(BlockOperation.Read, 8192, 1));
        Assert.Equal(BlockStatus.Ok, fixture.Do(BlockOperation.Read, 8191, 1));
    }

    [Fact]
    public void The_write_cache_is_switched()
    {
        using PortFixture fixture = new();
        Assert.True(fixture.Port.Info.Has(BlockFeatures.WriteCache));
        fixture.Port.SetWriteCache(false);
        Assert.False(fixture.Port.Info.Has(BlockFeatures.WriteCache));
    }

    [Fact]
    public void There_may_be_no_such_disk()
    {
        using PortFixture fixture = new();
        Assert.Contains("disk9", Assert.Throws<BlockException>(() => BlockPort.Open("disk9", null, fixture.Daemon.Socket)).Message, StringComparison.Ordinal);
        Assert.Throws<BlockException>(() => BlockPort.Open(new string('x', 65), null, fixture.Daemon.Socket));
    }

    private static void Rounds(BlockPort port, BlockResult[] results, int rounds)
    {
        for (int round = 0; round < rounds; round++)
        {
            Assert.True(port.TrySubmit(new BlockIo(1, BlockOperation.Read, 5, 1), [new BlockPiece(0, 512)]));
            port.Commit();
            while (port.Reap(results) == 0) port.Wait(TimeSpan.FromMilliseconds(100));
        }
    }
}
