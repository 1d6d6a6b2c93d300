using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block;

namespace Xinim.Block.Tests.Clients;

public sealed class BlockClientTests : IDisposable
{
    private readonly FakeDiskDaemon _daemon = new(poolBytes: 16 << 20);
    private readonly BlockClient _disk;

    public BlockClientTests() => _disk = BlockClient.Open("disk0", new BlockPortOptions { PoolBytes = 16 << 20, Depth = 16 }, _daemon.Socket);

    public void Dispose()
    {
        _disk.Dispose();
        _daemon.Dispose();
    }

    [Fact]
    public async Task A_request_larger_than_the_device_takes_is_cut_up()
    {
        using BlockBuffer written = _disk.Rent(7 << 20);
        using BlockBuffer read = _disk.Rent(7 << 20);
        new Random(5).NextBytes(written.Span);
        await _disk.WriteAsync(3, written, cancellation: TestContext.Current.CancellationToken);
        await _disk.ReadAsync(3, read, TestContext.Current.CancellationToken);
        Assert.True(written.Span.SequenceEqual(read.Span));
        Assert.True(_daemon.Disk.Contents(3, 14336).SequenceEqual(read.Span));
    }

    [Fact]
    public async Task Four_mebibytes_in_one_piece_are_one_request_without_a_copy()
    {
        using BlockBuffer buffer = _disk.Rent(4 << 20);
        int before = _daemon.Disk.Executed;
        await _disk.ReadAsync(0, buffer, TestContext.Current.CancellationToken);
        Assert.Equal(before + 1, _daemon.Disk.Executed);
    }

    [Fact]
    public async Task Vectors_of_buffers_are_filled_one_after_the_other()
    {
        new Random(6).NextBytes(_daemon.Disk.Contents(50, 60));
        BlockBuffer[] buffers = [.. Enumerable.Range(1, 30).Select(i => _disk.Rent(512 * (1 + (i % 3))))];
        await _disk.ReadAsync(50, buffers, TestContext.Current.CancellationToken);
        uint at = 50;
        foreach (BlockBuffer buffer in buffers)
        {
            uint count = (uint)buffer.Length / 512;
            Assert.True(_daemon.Disk.Contents(at, count).SequenceEqual(buffer.Span), $"block {at}");
            at += count;
            buffer.Dispose();
        }
    }

    [Fact]
    public async Task Durable_means_flushed_where_the_device_knows_no_other_way()
    {
        using BlockBuffer buffer = _disk.Rent(512);
        await _disk.WriteAsync(1, buffer, durable: true, TestContext.Current.CancellationToken);
        Assert.Equal(1, _daemon.Disk.Flushes);
        await _disk.FlushAsync(TestContext.Current.CancellationToken);
        Assert.Equal(2, _daemon.Disk.Flushes);
    }

    [Fact]
    public async Task Zeroes_and_discards_reach_their_blocks_and_no_others()
    {
        _daemon.Disk.Contents(0, 300).Fill(7);
        await _disk.WriteZeroesAsync(10, 5, cancellation: TestContext.Current.CancellationToken);
        await _disk.DiscardAsync(20, 5, TestContext.Current.CancellationToken);
        Assert.Equal(-1, _daemon.Disk.Contents(10, 5).IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, _daemon.Disk.Contents(0, 10).IndexOfAnyExcept((byte)7));
        Assert.Equal(-1, _daemon.Disk.Contents(15, 5).IndexOfAnyExcept((byte)7));
        Assert.Equal(-1, _daemon.Disk.Contents(20, 5).IndexOf((byte)7));
        Assert.Equal(-1, _daemon.Disk.Contents(25, 275).IndexOfAnyExcept((byte)7));
    }

    [Fact]
    public async Task Errors_name_the_first_block_that_failed()
    {
        _daemon.Disk.BadBlocks.Add(9000);
        using BlockBuffer buffer = _disk.Rent(6 << 20);
        BlockIoException failure = await Assert.ThrowsAsync<BlockIoException>(async () => await _disk.ReadAsync(0, buffer, TestContext.Current.CancellationToken));
        Assert.Equal((BlockStatus.IoError, 9000ul), (failure.Status, failure.Lba));
        Assert.Equal("disk0: read of 12288 blocks at block 0 failed at 9000: IoError", failure.Message);
        failure = await Assert.ThrowsAsync<BlockIoException>(async () => await _disk.ReadAsync(16000, buffer, TestContext.Current.CancellationToken));
        Assert.Equal(BlockStatus.OutOfRange, failure.Status);
        using BlockBuffer small = _disk.Rent(512);
        await _disk.ReadAsync(16383, small, TestContext.Current.CancellationToken);
    }

    [Fact]
    public void Buffers_are_whole_blocks_and_the_pool_has_an_end()
    {
        using BlockBuffer odd = _disk.Rent(700);
        Assert.Throws<ArgumentException>(() => _disk.Read(0, odd));
        using BlockBuffer all = _disk.Rent(15 << 20);
        Assert.Throws<BlockException>(() => _disk.Rent(2 << 20));
        all.Dispose();
        _disk.Rent(15 << 20).Dispose();
        Assert.Throws<ObjectDisposedException>(() => all.Span.Length);
    }

    [Fact]
    public async Task Who_gives_up_is_answered_at_once_and_the_buffer_stays_out_until_the_device_is_through()
    {
        _daemon.Disk.HoldBack = true;
        using CancellationTokenSource cancel = new();
        BlockBuffer buffer = _disk.Rent(15 << 20);
        ValueTask read = _disk.ReadAsync(0, [buffer], cancel.Token);
        Assert.True(SpinWait.SpinUntil(() => _daemon.Disk.Held != 0, PortLimit));
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await read);
        buffer.Dispose();
        Assert.Throws<BlockException>(() => _disk.Rent(15 << 20));
        _daemon.Disk.Release();
        Assert.True(SpinWait.SpinUntil(CanRent, PortLimit));
        using BlockBuffer small = _disk.Rent(512);
        await _disk.ReadAsync(0, small, TestContext.Current.CancellationToken);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await _disk.ReadAsync(0, small, new CancellationToken(true)));
    }

    [Fact]
    public async Task Everybody_who_waits_hears_of_another_disk()
    {
        _daemon.Disk.HoldBack = true;
        using BlockBuffer buffer = _disk.Rent(512);
        Task[] reads = [.. Enumerable.Range(0, 40).Select(i => _disk.ReadAsync((ulong)i, buffer, TestContext.Current.CancellationToken).AsTask())];
        Assert.True(SpinWait.SpinUntil(() => _daemon.Disk.Held != 0, PortLimit));
        _daemon.Disk.Serial = 2;
        _daemon.Replace();
        foreach (Task read in reads) await Assert.ThrowsAsync<BlockDeviceChangedException>(() => read);
        Assert.Throws<BlockDeviceChangedException>(() => _disk.Read(0, buffer));
    }

    [Fact]
    public async Task Closing_answers_who_still_waits()
    {
        _daemon.Disk.HoldBack = true;
        using BlockBuffer buffer = _disk.Rent(512);
        Task read = _disk.ReadAsync(0, buffer, TestContext.Current.CancellationToken).AsTask();
        _disk.Dispose();
        await Assert.ThrowsAsync<BlockException>(() => read);
        Assert.Throws<ObjectDisposedException>(() => _disk.Read(0, buffer));
    }

    [Fact]
    public void Questions_are_answered_between_requests()
    {
        using BlockBuffer buffer = _disk.Rent(1024);
        _disk.Write(1, buffer);
        BlockStatistics statistics = _disk.GetStatistics();
        Assert.Equal((1ul, 1024ul), (statistics.Writes, statistics.WrittenBytes));
        _disk.SetWriteCache(false);
        Assert.False(_disk.GetInfo().Has(BlockFeatures.WriteCache));
    }

    private static TimeSpan PortLimit => TimeSpan.FromSeconds(60);

    private bool CanRent()
    {
        try
        {
            _disk.Rent(15 << 20).Dispose();
            return true;
        }
        catch (BlockException)
        {
            return false;
        }
    }
}
