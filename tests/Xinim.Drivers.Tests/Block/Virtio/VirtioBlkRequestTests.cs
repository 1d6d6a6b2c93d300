using Xinim.Drivers.Block.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Virtio;

/// <summary>Each operation as the device sees it [V §5.2.6], and what becomes of its answers.</summary>
public sealed class VirtioBlkRequestTests
{
    /// <summary>Packed, tables, event index; block sizes.</summary>
    public static TheoryData<int, uint> Layouts
    {
        get
        {
            TheoryData<int, uint> all = [];
            for (int layout = 0; layout < 8; layout++)
                foreach (uint block in (uint[])[512, 4096]) all.Add(layout, block);
            return all;
        }
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Blocks_are_written_and_read_back_over_any_number_of_pieces(int layout, uint block)
    {
        VirtioBlkOptions options = new() { Packed = (layout & 1) != 0, Indirect = (layout & 2) != 0, EventIndex = (layout & 4) != 0 };
        using VirtioBlkBench bench = new VirtioBlkBench(options: options, config: VirtioBlkBench.Config(block: block)).Started();
        Random random = new(layout);
        uint sectors = block / 512;
        for (int round = 0; round < 60; round++)
        {
            uint pieces = (uint)random.Next(1, 12);
            ulong lba = (ulong)random.Next(0, (int)((1 << 20) / block) - 12);
            Span<byte> memory = bench.Pool.Memory!.Slice(0, 1 << 18);
            random.NextBytes(memory[..(int)(pieces * block)]);
            BlockSegment[] from = Cut(bench, 0, pieces, block), to = Cut(bench, 1 << 17, pieces, block);
            bench.Submit(BlockOperation.Write, lba, pieces, 1, segments: from);
            bench.Poll();
            bench.Submit(BlockOperation.Read, lba, pieces, 2, segments: to);
            bench.Poll();
            bench.Poll();
            Assert.Equal([(1ul, BlockStatus.Ok), (2ul, BlockStatus.Ok)], bench.Take().Select(done => (done.Cookie, done.Status)));
            Assert.Equal(memory[..(int)(pieces * block)], memory.Slice(1 << 17, (int)(pieces * block)));
            VirtioBlkBench.Seen write = bench.Requests[^2], read = bench.Requests[^1];
            Assert.Equal((VirtioBlkBench.Out, lba * sectors, VirtioBlkBench.In, lba * sectors), (write.Type, write.Sector, read.Type, read.Sector));
            Assert.Equal([16, .. from.Select(piece => piece.Length)], write.Readable);
            Assert.Equal([1u], write.Writable);
            Assert.Equal([16u], read.Readable);
            Assert.Equal([.. to.Select(piece => piece.Length), 1], read.Writable);
        }

        Assert.False(bench.Driver.Busy);
        BlockStatistics statistics = bench.Driver.Statistics;
        Assert.Equal((60ul, 60ul, 0ul, 0ul), (statistics.Reads, statistics.Writes, statistics.Errors, statistics.Rejected));
        Assert.Equal(statistics.ReadBytes, statistics.WrittenBytes);
        bench.AssertClean();
    }

    [Theory]
    [InlineData(512u)]
    [InlineData(4096u)]
    public void What_has_no_data_has_the_parts_that_the_specification_says(uint block)
    {
        using VirtioBlkBench bench = new VirtioBlkBench(config: VirtioBlkBench.Config(block: block)).Started();
        uint sectors = block / 512;
        bench.Submit(BlockOperation.Flush, 0, 0, 1);
        bench.Submit(BlockOperation.Discard, 16, 8, 2);
        bench.Submit(BlockOperation.WriteZeroes, 24, 8, 3);
        bench.Submit(BlockOperation.WriteZeroes, 32, 8, 4, BlockFlags.MayUnmap);
        bench.Submit(BlockOperation.GetId, 0, 0, 5, segments: bench.Segment(100, 64));
        bench.Poll();
        bench.Poll();
        Assert.All(bench.Take(), done => Assert.Equal(BlockStatus.Ok, done.Status));
        Assert.Equal(["4 0 - [16] [1]", $"11 0 {16 * sectors}+{8 * sectors},0 [16,16] [1]", $"13 0 {24 * sectors}+{8 * sectors},0 [16,16] [1]", $"13 0 {32 * sectors}+{8 * sectors},1 [16,16] [1]", "8 0 - [16] [20,1]"],
            bench.Requests.Select(Text));
        Assert.Equal("disk-4711\0"u8, bench.Pool.Memory!.Slice(100, 10));
        BlockStatistics statistics = bench.Driver.Statistics;
        Assert.Equal((1ul, 1ul, 2ul), (statistics.Flushes, statistics.Discards, statistics.WriteZeroes));
        bench.AssertClean();

        static string Text(VirtioBlkBench.Seen seen)
        {
            string range = seen.Data.Length == 0 ? "-" : $"{BitConverter.ToUInt64(seen.Data)}+{BitConverter.ToUInt32(seen.Data, 8)},{BitConverter.ToUInt32(seen.Data, 12)}";
            return $"{seen.Type} {seen.Sector} {range} [{string.Join(',', seen.Readable)}] [{string.Join(',', seen.Writable)}]";
        }
    }

    [Theory]
    [InlineData(1, BlockStatus.IoError)]
    [InlineData(2, BlockStatus.Unsupported)]
    public void A_status_becomes_a_completion_with_the_block(byte answer, BlockStatus status)
    {
        using VirtioBlkBench bench = new VirtioBlkBench().Started();
        bench.Answer = seen => seen.Sector == 40 ? answer : 0;
        bench.Submit(BlockOperation.Read, 40, 2, 7, segments: bench.Segment(0, 1024));
        bench.Submit(BlockOperation.Read, 41, 2, 8, segments: bench.Segment(0, 1024));
        bench.Poll();
        Assert.Equal([new BlockCompletion(7, status, 0, 40), new BlockCompletion(8, BlockStatus.Ok)], bench.Take());
        Assert.Equal((1ul, 2ul, 1024ul), (bench.Driver.Statistics.Errors, bench.Driver.Statistics.Reads, bench.Driver.Statistics.ReadBytes));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(0xff)]
    [InlineData(-1)]
    public void A_status_that_is_none_is_a_fault(int answer)
    {
        using VirtioBlkBench bench = new VirtioBlkBench().Started();
        bench.Answer = _ => answer;
        bench.Submit(BlockOperation.Read, 0, 1, 1, segments: bench.Segment(0, 512));
        Assert.Contains($"status {answer & 0xff}", Assert.Throws<DeviceFaultException>(bench.Poll).Message, StringComparison.Ordinal);
        Assert.Empty(bench.Take());
    }

    [Fact]
    public void Wrong_requests_are_refused_by_the_driver_and_good_ones_go_on()
    {
        using VirtioBlkBench bench = new VirtioBlkBench().Started();
        bench.Submit(BlockOperation.Read, 2048, 1, 1, segments: bench.Segment(0, 512));
        bench.Submit(BlockOperation.Read, ulong.MaxValue, 1, 2, segments: bench.Segment(0, 512));
        bench.Submit(BlockOperation.Read, 0, 1, 3, segments: bench.Segment(0, 511));
        bench.Submit(BlockOperation.Read, 0, 1, 4, segments: new BlockSegment(77, 0, 512));
        bench.Submit(BlockOperation.Read, 0, 1, 5, segments: new BlockSegment(bench.ReadOnlyGrant, 0, 512));
        bench.Submit(BlockOperation.Read, 0, 1, 6, segments: bench.Segment((1 << 20) - 511, 512));
        bench.Submit(BlockOperation.Discard, 0, 1025, 7);
        bench.Submit(BlockOperation.WriteZeroes, 0, 513, 8);
        bench.Submit(BlockOperation.Discard, 0, 8, 9, BlockFlags.MayUnmap);
        bench.Submit(BlockOperation.Write, 0, 1, 10, BlockFlags.Fua, bench.Segment(0, 512));
        bench.Submit((BlockOperation)9, 0, 1, 11, segments: bench.Segment(0, 512));
        bench.Submit(BlockOperation.GetId, 0, 0, 12, segments: bench.Segment(0, 63));
        bench.Submit(BlockOperation.Read, 0, 1, 13, segments: bench.Segment(0, 512));
        bench.Poll();
        bench.Poll();
        Assert.Equal(
            [
                (1ul, BlockStatus.OutOfRange), (2ul, BlockStatus.OutOfRange), (3ul, BlockStatus.BadRequest), (4ul, BlockStatus.BadGrant), (5ul, BlockStatus.BadGrant), (6ul, BlockStatus.BadGrant),
                (7ul, BlockStatus.BadRequest), (8ul, BlockStatus.BadRequest), (9ul, BlockStatus.BadRequest), (10ul, BlockStatus.Unsupported), (11ul, BlockStatus.Unsupported),
                (12ul, BlockStatus.BadRequest), (13ul, BlockStatus.Ok),
            ],
            bench.Take().OrderBy(done => done.Cookie).Select(done => (done.Cookie, done.Status)));
        Assert.Equal(0ul, Assert.Single(bench.Requests).Sector);
        Assert.Equal(12ul, bench.Driver.Statistics.Rejected);
        Assert.False(bench.Driver.Busy);
        bench.AssertClean();
    }

    [Fact]
    public void A_disk_that_takes_no_writes_gets_none()
    {
        using VirtioBlkBench bench = new VirtioBlkBench(VirtioBlkBench.Everything | VirtioBlkFeatures.ReadOnly).Started();
        bench.Submit(BlockOperation.Write, 0, 1, 1, segments: bench.Segment(0, 512));
        bench.Submit(BlockOperation.Discard, 0, 8, 2);
        bench.Submit(BlockOperation.WriteZeroes, 0, 8, 3);
        bench.Submit(BlockOperation.Read, 0, 1, 4, segments: bench.Segment(0, 512));
        bench.Poll();
        bench.Poll();
        Assert.Equal([BlockStatus.ReadOnly, BlockStatus.ReadOnly, BlockStatus.ReadOnly, BlockStatus.Ok], bench.Take().OrderBy(done => done.Cookie).Select(done => done.Status));
        Assert.Equal(VirtioBlkBench.In, Assert.Single(bench.Requests).Type);
    }

    [Theory]
    [InlineData(9, BlockOperation.Flush)]
    [InlineData(13, BlockOperation.Discard)]
    [InlineData(14, BlockOperation.WriteZeroes)]
    public void An_operation_that_was_not_negotiated_never_reaches_the_device(int bit, BlockOperation operation)
    {
        using VirtioBlkBench bench = new VirtioBlkBench(VirtioBlkBench.Everything & (VirtioFeatures)~(1ul << bit)).Started();
        bench.Submit(operation, 0, operation == BlockOperation.Flush ? 0u : 8, 1);
        bench.Poll();
        bench.Poll();
        Assert.Equal(BlockStatus.Unsupported, Assert.Single(bench.Take()).Status);
        Assert.Empty(bench.Requests);
    }

    [Fact]
    public void Several_queues_take_turns_each_with_its_doorbell_and_vector()
    {
        using VirtioBlkBench bench = new VirtioBlkBench(options: new VirtioBlkOptions { Queues = 16 }, device: options => options with { Vectors = 5 }).Started();
        bench.Hold = true;
        int[] before = [.. bench.Model.Notified];
        for (uint i = 0; i < 8; i++) bench.Submit(BlockOperation.Read, i, 1, i, segments: bench.Segment(i * 512, 512));
        bench.Poll();
        Assert.Equal(before.Select(count => count + 1), bench.Model.Notified);
        bench.Driver.ArmInterrupts();
        for (ushort queue = 4; queue-- > 0;) bench.Serve(queue);
        Assert.Equal([0, 1, 1, 1, 1], bench.Model.Raised);
        Assert.Equal([0, 4, 1, 5, 2, 6, 3, 7], bench.Requests.OrderBy(seen => seen.Queue).Select(seen => (int)seen.Sector));
        bench.Poll();
        Assert.Equal(Enumerable.Range(0, 8).Select(i => (ulong)i), bench.Take().Select(done => done.Cookie).Order());
        bench.AssertClean();
    }

    [Fact]
    public void Requests_that_are_answered_in_another_order_keep_their_cookies()
    {
        using VirtioBlkBench bench = new VirtioBlkBench().Started();
        bench.Hold = true;
        for (uint i = 0; i < 20; i++) bench.Submit(BlockOperation.Read, i, 1, 100 + i, segments: bench.Segment(i * 512, 512));
        bench.Poll();
        List<TestKit.Virtio.DeviceChain> chains = [];
        while (bench.Model.Queue(0)!.Pop() is { } chain) chains.Add(chain);
        chains.Reverse();
        foreach (TestKit.Virtio.DeviceChain chain in chains) bench.Model.Queue(0)!.Use(chain, chain.Write(bench.Model.Dma, new byte[513]));
        _ = bench.Model.Flush(0);
        bench.Poll();
        Assert.Equal(Enumerable.Range(100, 20).Reverse().Select(i => (ulong)i), bench.Take().Select(done => done.Cookie));
        bench.AssertClean();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_a_full_queue_has_no_room_for_waits(bool packed)
    {
        VirtioBlkOptions options = new() { Descriptors = 8, Indirect = false, Packed = packed };
        using VirtioBlkBench bench = new(options: options);
        BlockDeviceInfo info = bench.Driver.Start();
        Assert.Equal((6u, 2u), (info.MaxSegments, info.QueueDepth));
        bench.Attach();
        bench.Hold = true;
        for (uint i = 0; i < 20; i++) bench.Submit(BlockOperation.Read, i, 1, i, segments: bench.Segment(i * 512, 512));
        bench.Submit(BlockOperation.Read, 0, 6, 20, segments: Cut(bench, 0, 6, 512));
        for (int i = 0; i < 30; i++)
        {
            bench.Poll();
            bench.Serve(0);
        }

        bench.Poll();
        Assert.Equal(Enumerable.Range(0, 21).Select(i => ((ulong)i, BlockStatus.Ok)), bench.Take().Select(done => (done.Cookie, done.Status)));
        bench.AssertClean();
    }

    [Fact]
    public void Completions_wait_for_room_in_the_clients_ring()
    {
        using VirtioBlkBench bench = new VirtioBlkBench().Started();
        for (int round = 0; round < 3; round++)
        {
            for (uint i = 0; i < 128; i++) bench.Submit(BlockOperation.Flush, 0, 0, i);
            bench.Poll();
        }

        Assert.Equal(256u, bench.Client.Completed.Peek(1000));
        Assert.True(bench.Driver.Busy);
        Assert.Equal(256, bench.Take().Count);
        bench.Poll();
        Assert.Equal(128, bench.Take().Count);
        Assert.False(bench.Driver.Busy);
    }

    private static BlockSegment[] Cut(VirtioBlkBench bench, uint offset, uint pieces, uint block)
        => [.. Enumerable.Range(0, (int)pieces).Select(i => bench.Segment(offset + ((uint)i * block), block))];
}
