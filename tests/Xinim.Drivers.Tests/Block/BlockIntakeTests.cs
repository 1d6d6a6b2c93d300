using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Block;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Drivers.Tests.Block;

/// <summary>Whatever a client asks for: bad requests get a status and leave the good one after them alone.</summary>
public sealed class BlockIntakeTests : IDisposable
{
    private const uint PoolBytes = 1 << 20;
    private readonly SharedRegion _region = BlockRings.Create(new RingShape(16, 16, 1));
    private readonly SafeFileHandle _bell = Descriptor.CreateEvent();
    private readonly GrantTable _grants = new();
    private readonly BlockRings.ClientEnd _client;
    private readonly BlockRings.DriverEnd _driver;
    private readonly Grant _both;
    private readonly Grant _readOnly;
    private readonly Grant _writeOnly;
    private readonly Grant _revoked;
    private readonly BlockIntake _intake;

    public BlockIntakeTests()
    {
        RingShape shape = new(16, 16, 1);
        _client = new BlockRings.ClientEnd(_region, shape, _bell, _bell);
        _driver = new BlockRings.DriverEnd(_region, shape, _bell, _bell);
        _both = _grants.Create(1, PoolBytes, 0, PoolBytes, RegionAccess.ReadWrite);
        _readOnly = _grants.Create(1, PoolBytes, 0, 8192, RegionAccess.Read);
        _writeOnly = _grants.Create(1, PoolBytes, 0, 8192, RegionAccess.Write);
        _revoked = _grants.Create(1, PoolBytes, 0, 8192, RegionAccess.ReadWrite);
        Assert.True(_grants.Revoke(_revoked.Handle));
        _intake = new BlockIntake(Disk());
        _intake.Attach(new BufferTable([.. _grants.Active], [new DmaRegion(1, new Iova(1L << 32), PoolBytes, RegionAccess.ReadWrite)]));
    }

    /// <summary>MINIX's blocktest: bad reads, bad writes and the limits.</summary>
    public static TheoryData<string, BlockStatus> BadRequests => new()
    {
        { "no blocks", BlockStatus.BadRequest },
        { "no operation", BlockStatus.BadRequest },
        { "unknown operation", BlockStatus.Unsupported },
        { "unknown flag", BlockStatus.BadRequest },
        { "no memory", BlockStatus.BadRequest },
        { "empty piece", BlockStatus.BadRequest },
        { "too little memory", BlockStatus.BadRequest },
        { "too much memory", BlockStatus.BadRequest },
        { "too many pieces in an element", BlockStatus.BadRequest },
        { "too long a request", BlockStatus.BadRequest },
        { "too long a piece", BlockStatus.BadRequest },
        { "unknown grant", BlockStatus.BadGrant },
        { "no grant", BlockStatus.BadGrant },
        { "revoked grant", BlockStatus.BadGrant },
        { "read into a grant to read from", BlockStatus.BadGrant },
        { "write from a grant to write to", BlockStatus.BadGrant },
        { "piece outside its grant", BlockStatus.BadGrant },
        { "wrapping piece", BlockStatus.BadGrant },
        { "unaligned piece", BlockStatus.BadGrant },
        { "across the end", BlockStatus.OutOfRange },
        { "at the end", BlockStatus.OutOfRange },
        { "beyond the end", BlockStatus.OutOfRange },
        { "negative position", BlockStatus.OutOfRange },
        { "flush with blocks", BlockStatus.BadRequest },
        { "flush with memory", BlockStatus.BadRequest },
        { "too long a discard", BlockStatus.BadRequest },
        { "discard beyond the end", BlockStatus.OutOfRange },
        { "durable write", BlockStatus.Unsupported },
        { "zeroes", BlockStatus.Unsupported },
        { "serial number", BlockStatus.Unsupported },
    };

    [Theory]
    [MemberData(nameof(BadRequests))]
    public void A_bad_request_is_refused_and_the_next_good_one_is_done(string kind, BlockStatus expected)
    {
        Put(Spoil(kind));
        Put(Good(2));
        Assert.True(_intake.TryPeek(_driver.Submitted, out BlockCommand command));
        Assert.Equal((2ul, 100ul, 8u), (command.Cookie, command.Lba, command.Count));
        Assert.Equal([new DmaSegment(new Iova((1L << 32) + 4096), 4096)], command.Segments.ToArray());
        _intake.Accept(_driver.Submitted);
        Assert.Equal(2u, _intake.TakeCount());
        Assert.Equal([new BlockCompletion(1, expected)], Refusals());
        Assert.Equal(1ul, _intake.Rejected);
        Assert.False(_intake.TryPeek(_driver.Submitted, out _));
    }

    [Fact]
    public void Up_to_the_last_block_all_is_well()
    {
        Put(Good(1) with { Lba = 992 });
        Assert.True(_intake.TryPeek(_driver.Submitted, out BlockCommand command));
        Assert.Equal(992ul, command.Lba);
        Assert.Empty(Refusals());
    }

    [Fact]
    public void A_disk_that_takes_no_writes_says_so()
    {
        _intake.Info = Disk() with { Features = BlockFeatures.ReadOnly | BlockFeatures.Discard };
        Put(Good(1) with { Operation = BlockOperation.Write });
        Put(new BlockRequest { Cookie = 2, Operation = BlockOperation.Discard, Count = 1 });
        Assert.False(_intake.TryPeek(_driver.Submitted, out _));
        Assert.Equal([new BlockCompletion(1, BlockStatus.ReadOnly), new BlockCompletion(2, BlockStatus.ReadOnly)], Refusals());
    }

    [Fact]
    public void A_request_of_several_elements_is_put_together()
    {
        PutMany(1, 7);
        Assert.True(_intake.TryPeek(_driver.Submitted, out BlockCommand command));
        Assert.Equal(Enumerable.Range(0, 7).Select(i => new DmaSegment(new Iova((ulong)((1L << 32) + (i * 1024))), 512)), command.Segments.ToArray());
        Assert.Equal(BlockFlags.None, command.Flags);
        _intake.Accept(_driver.Submitted);
        Put(Good(2));
        Assert.True(_intake.TryPeek(_driver.Submitted, out command));
        Assert.Equal(2ul, command.Cookie);
    }

    [Fact]
    public void A_request_that_is_still_being_written_is_waited_for()
    {
        Put(Good(1) with { Flags = BlockFlags.More });
        Assert.False(_intake.TryPeek(_driver.Submitted, out _));
        Put(new BlockRequest { Cookie = 1 });
        Assert.True(_intake.TryPeek(_driver.Submitted, out BlockCommand command));
        Assert.Equal(1, command.Segments.Length);
    }

    [Theory]
    [InlineData(9)] // one more than the device takes
    [InlineData(30)]
    public void A_request_of_too_many_pieces_is_refused_once_and_skipped(int pieces)
    {
        PutMany(1, pieces);
        Put(Good(2));
        Assert.True(_intake.TryPeek(_driver.Submitted, out BlockCommand command));
        Assert.Equal(2ul, command.Cookie);
        Assert.Equal([new BlockCompletion(1, BlockStatus.BadRequest)], Refusals());
    }

    [Fact]
    public void A_ring_full_of_one_request_is_no_deadlock()
    {
        for (int i = 0; i < 16; i++) Put(new BlockRequest { Cookie = 1, Operation = BlockOperation.Read, Count = 1, Flags = BlockFlags.More });
        Assert.False(_intake.TryPeek(_driver.Submitted, out _));
        Put(new BlockRequest { Cookie = 1 });
        Put(Good(2));
        Assert.True(_intake.TryPeek(_driver.Submitted, out BlockCommand command));
        Assert.Equal(2ul, command.Cookie);
        Assert.Equal([new BlockCompletion(1, BlockStatus.BadRequest)], Refusals());
    }

    [Fact]
    public void Elements_of_one_request_have_one_cookie()
    {
        Put(Good(1) with { Flags = BlockFlags.More });
        Put(new BlockRequest { Cookie = 9 });
        Put(Good(2));
        Assert.True(_intake.TryPeek(_driver.Submitted, out BlockCommand command));
        Assert.Equal(2ul, command.Cookie);
        Assert.Equal([new BlockCompletion(1, BlockStatus.BadRequest)], Refusals());
    }

    [Fact]
    public void Refusals_wait_for_room_and_none_is_forgotten()
    {
        List<ulong> told = [];
        for (ulong cookie = 1; cookie <= 200; cookie++)
        {
            Put(Good(cookie) with { Count = 0 });
            if (cookie % 16 != 0 && cookie != 200) continue;
            while (_intake.TryPeek(_driver.Submitted, out _))
            {
            }

            told.AddRange(Refusals().Select(refusal => refusal.Cookie));
        }

        told.AddRange(Refusals().Select(refusal => refusal.Cookie));
        Assert.Equal(Enumerable.Range(1, 200).Select(i => (ulong)i), told);
        Assert.False(_intake.HasRefusals);
    }

    [Fact]
    public void A_client_that_went_leaves_nothing_behind()
    {
        Put(Good(1) with { Count = 0 });
        Assert.False(_intake.TryPeek(_driver.Submitted, out _));
        _intake.Detach();
        Assert.False(_intake.HasRefusals);
        Put(Good(2));
        Assert.False(_intake.TryPeek(_driver.Submitted, out _));
        Assert.Equal([new BlockCompletion(2, BlockStatus.BadGrant)], Refusals());
    }

    public void Dispose()
    {
        _bell.Dispose();
        _region.Dispose();
    }

    private static BlockDeviceInfo Disk() => new()
    {
        Blocks = 1000,
        LogicalBlockBytes = 512,
        MaxSegments = 8,
        MaxSegmentBytes = 65536,
        SegmentAlignment = 4,
        MaxRequestBytes = 131072,
        MaxDiscardBlocks = 64,
        Features = BlockFeatures.Flush | BlockFeatures.Discard,
    };

    private BlockRequest Good(ulong cookie) => With(new BlockRequest { Cookie = cookie, Lba = 100, Count = 8, Operation = BlockOperation.Read }, new BlockSegment(_both.Handle, 4096, 4096));

    private static BlockRequest With(BlockRequest request, params ReadOnlySpan<BlockSegment> segments)
    {
        for (int i = 0; i < segments.Length; i++) request.Segments[i] = segments[i];
        request.SegmentCount = (ushort)segments.Length;
        return request;
    }

    private BlockRequest Spoil(string kind)
    {
        BlockRequest good = Good(1);
        BlockRequest Piece(uint grant, uint offset = 0, uint length = 4096) => With(good, new BlockSegment(grant, offset, length));
        return kind switch
        {
            "no blocks" => good with { Count = 0 },
            "no operation" => good with { Operation = BlockOperation.None },
            "unknown operation" => good with { Operation = (BlockOperation)77 },
            "unknown flag" => good with { Flags = (BlockFlags)128 },
            "no memory" => With(good),
            "empty piece" => Piece(_both.Handle, 0, 0),
            "too little memory" => Piece(_both.Handle, 0, 4092),
            "too much memory" => Piece(_both.Handle, 0, 4608),
            "too many pieces in an element" => good with { SegmentCount = 4 },
            "too long a request" => With(good with { Count = 384 }, new BlockSegment(_both.Handle, 0, 65536), new BlockSegment(_both.Handle, 65536, 65536), new BlockSegment(_both.Handle, 131072, 65536)),
            "too long a piece" => With(good with { Count = 129 }, new BlockSegment(_both.Handle, 0, 66048)),
            "unknown grant" => Piece(0x00050009),
            "no grant" => Piece(0),
            "revoked grant" => Piece(_revoked.Handle),
            "read into a grant to read from" => Piece(_readOnly.Handle),
            "write from a grant to write to" => Piece(_writeOnly.Handle) with { Operation = BlockOperation.Write },
            "piece outside its grant" => Piece(_both.Handle, PoolBytes - 4092),
            "wrapping piece" => Piece(_both.Handle, uint.MaxValue - 3),
            "unaligned piece" => Piece(_both.Handle, 2),
            "across the end" => good with { Lba = 993 },
            "at the end" => good with { Lba = 1000 },
            "beyond the end" => good with { Lba = 1ul << 40 },
            "negative position" => good with { Lba = ulong.MaxValue - 3 },
            "flush with blocks" => new BlockRequest { Cookie = 1, Operation = BlockOperation.Flush, Count = 1 },
            "flush with memory" => good with { Operation = BlockOperation.Flush, Count = 0 },
            "too long a discard" => new BlockRequest { Cookie = 1, Operation = BlockOperation.Discard, Count = 65 },
            "discard beyond the end" => new BlockRequest { Cookie = 1, Operation = BlockOperation.Discard, Lba = 990, Count = 11 },
            "durable write" => good with { Operation = BlockOperation.Write, Flags = BlockFlags.Fua },
            "zeroes" => new BlockRequest { Cookie = 1, Operation = BlockOperation.WriteZeroes, Count = 1 },
            "serial number" => good with { Operation = BlockOperation.GetId, Count = 0 },
            _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "no such kind"),
        };
    }

    private void PutMany(ulong cookie, int pieces)
    {
        for (int at = 0; at < pieces; at += 3)
        {
            BlockRequest element = new() { Cookie = cookie, Lba = 0, Count = (uint)pieces, Operation = BlockOperation.Read, SegmentCount = (ushort)Math.Min(3, pieces - at) };
            for (int i = 0; i < element.SegmentCount; i++) element.Segments[i] = new BlockSegment(_both.Handle, (uint)(at + i) * 1024, 512);
            if (at + 3 < pieces) element.Flags = BlockFlags.More;
            Put(element);
        }
    }

    private void Put(BlockRequest request)
    {
        Assert.Equal(1u, _client.Submitted.Reserve(1));
        _client.Submitted[0] = request;
        _client.Submitted.Publish(1);
    }

    private List<BlockCompletion> Refusals()
    {
        List<BlockCompletion> told = [];
        while (_intake.TellRefusals(_driver.Completed) != 0)
        {
            uint count = _client.Completed.Peek(16);
            for (uint i = 0; i < count; i++) told.Add(_client.Completed.Read(i));
            _client.Completed.Release(count);
        }

        return told;
    }
}
