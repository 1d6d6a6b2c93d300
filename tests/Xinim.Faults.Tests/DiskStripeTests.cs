using Xinim.Block.Ports;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Protocols;

namespace Xinim.Faults.Tests;

/// <summary>What the checker of disks says of a disk that does wrong.</summary>
public sealed class DiskStripeTests
{
    private const int BlockBytes = 512;
    private readonly byte[] _disk = new byte[DiskStripe.Blocks * BlockBytes];
    private readonly byte[] _memory = new byte[DiskStripe.MostBlocks * BlockBytes];
    private readonly DiskStripe _stripe = new(0, BlockBytes);

    public DiskStripeTests() => _stripe.Reset();

    [Fact]
    public void A_disk_that_works_is_good_and_every_block_is_written_and_read()
    {
        Settle();
        _stripe.Scan();
        Settle();
        for (ulong lba = 0; lba < DiskStripe.Blocks; lba++) Assert.Equal(BitConverter.GetBytes(lba), _disk.AsSpan((int)lba * BlockBytes, sizeof(ulong)).ToArray());
        for (int round = 0; round < 1000; round++) Assert.Equal(DiskVerdict.Good, Step());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(9)]
    [InlineData(12)]
    [InlineData(511)]
    public void A_byte_that_changed_is_caught_and_written_again(int at)
    {
        Settle();
        _disk[(17 * BlockBytes) + at] ^= 4;
        _stripe.Scan();
        Assert.Contains(DiskVerdict.Damaged, Until(() => _stripe.IsScanned));
        _stripe.Scan();
        Assert.DoesNotContain(DiskVerdict.Damaged, Until(() => _stripe.IsScanned));
    }

    [Fact]
    public void A_write_that_was_never_made_is_caught()
    {
        Settle();
        byte[] before = [.. _disk];
        BlockIo io;
        while ((io = _stripe.Next(_memory)).Operation != BlockOperation.Write) Finish(io);
        Assert.Equal(DiskVerdict.Good, _stripe.Finish(BlockStatus.Ok, _memory));
        Assert.Equal(before, _disk);
        _stripe.Scan();
        Assert.Contains(DiskVerdict.Damaged, Until(() => _stripe.IsScanned));
    }

    [Fact]
    public void A_request_that_fails_and_a_block_in_anothers_place_are_caught()
    {
        Settle();
        _ = _stripe.Next(_memory);
        Assert.Equal(DiskVerdict.Damaged, _stripe.Finish(BlockStatus.IoError, _memory));
        Settle();
        _disk.AsSpan(0, BlockBytes).CopyTo(_disk.AsSpan(BlockBytes));
        _stripe.Scan();
        Assert.Contains(DiskVerdict.Damaged, Until(() => _stripe.IsScanned));
    }

    [Fact]
    public void A_right_checksum_over_wrong_bytes_is_told_apart()
    {
        byte[] block = new byte[BlockBytes], expected = new byte[BlockBytes];
        TestBlock.Fill(block, 3, 4);
        Assert.Equal(DiskVerdict.Good, TestBlock.Check(block, 3, 4, expected));
        block[100] ^= 1;
        Assert.Equal(DiskVerdict.Damaged, TestBlock.Check(block, 3, 4, expected));
        TestBlock.Seal(block);
        Assert.Equal(DiskVerdict.Forged, TestBlock.Check(block, 3, 4, expected));
    }

    [Fact]
    public void What_a_second_reader_finds_missing_is_named_and_what_is_under_way_is_not()
    {
        Settle();
        List<ulong> missing = [];
        Assert.Equal((DiskStripe.Blocks, 0), (_stripe.Compare(_disk, missing), missing.Count));
        _disk[(5 * BlockBytes) + 20] ^= 1;
        Assert.Equal(DiskStripe.Blocks, _stripe.Compare(_disk, missing));
        Assert.Equal([5ul], missing);

        _disk[(5 * BlockBytes) + 20] ^= 1;
        missing.Clear();
        BlockIo io;
        while ((io = _stripe.Next(_memory)).Operation != BlockOperation.Write) Finish(io);
        Assert.Equal(DiskStripe.Blocks - (int)io.Count, _stripe.Compare(_disk, missing));
        Assert.Equal(DiskVerdict.Good, _stripe.Finish(BlockStatus.Ok, _memory));
        Assert.Equal(DiskStripe.Blocks, _stripe.Compare(_disk, missing));
        Assert.Equal(Enumerable.Range((int)io.Lba, (int)io.Count).Select(lba => (ulong)lba), missing);
    }

    private void Settle()
    {
        _ = Until(() => _stripe.IsScanned);
    }

    private List<DiskVerdict> Until(Func<bool> condition)
    {
        List<DiskVerdict> seen = [];
        while (!condition())
        {
            Assert.True(seen.Count < 10_000, "the stripe comes to no end");
            seen.Add(Step());
        }

        return seen;
    }

    private DiskVerdict Step() => Finish(_stripe.Next(_memory));

    private DiskVerdict Finish(in BlockIo io)
    {
        Span<byte> there = _disk.AsSpan((int)io.Lba * BlockBytes, (int)io.Count * BlockBytes);
        if (io.Operation == BlockOperation.Write) _memory.AsSpan(0, there.Length).CopyTo(there);
        else there.CopyTo(_memory);
        return _stripe.Finish(BlockStatus.Ok, _memory);
    }
}
