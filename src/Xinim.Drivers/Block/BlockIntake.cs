using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Drivers.Block;

/// <summary>
/// Takes requests out of a client's ring for a driver: reads each element once, puts a request's pieces together, looks its memory up and
/// checks everything that can be checked without the device. What is wrong is refused here with a status, and never reaches the device.
/// </summary>
/// <example><code>
/// while (Room() &amp;&amp; intake.TryPeek(submitted, out BlockCommand command)) { Give(command); intake.Accept(submitted); }
/// </code></example>
public sealed class BlockIntake
{
    /// <summary>Refusals that wait to be told; more requests are not looked at meanwhile.</summary>
    private const int MaxRefusals = 64;

    private readonly DmaSegment[] _segments;
    private readonly BlockCompletion[] _refusals = new BlockCompletion[MaxRefusals];
    private BufferTable? _buffers;
    private uint _elements;
    private uint _taken;
    private int _refusalCount;
    private bool _skipping;

    /// <param name="info">The device, with its limits.</param>
    public BlockIntake(in BlockDeviceInfo info)
    {
        Info = info;
        _segments = new DmaSegment[info.MaxSegments];
    }

    /// <summary>The device; size and features may change, the number of segments does not.</summary>
    public BlockDeviceInfo Info { get; set; }

    /// <summary>Requests refused so far.</summary>
    public ulong Rejected { get; private set; }

    /// <summary>Refusals wait to be told.</summary>
    public bool HasRefusals => _refusalCount != 0;

    /// <summary>From now on memory is looked up here.</summary>
    public void Attach(BufferTable buffers) => _buffers = buffers;

    /// <summary>Forgets the client and its refusals.</summary>
    public void Detach()
    {
        _buffers = null;
        _refusalCount = 0;
        _taken = 0;
        _skipping = false;
    }

    /// <summary>The next good request, which stays in the ring until <see cref="Accept"/>; bad ones before it are taken and refused.</summary>
    /// <returns>False where there is none.</returns>
    /// <exception cref="RingException">The client's index is one that it cannot have.</exception>
    public bool TryPeek(RingConsumer<BlockRequest> ring, out BlockCommand command)
    {
        command = default;
        while (_refusalCount < MaxRefusals)
        {
            uint ready = ring.Peek(ring.Capacity);
            if (ready == 0) return false;
            if (_skipping)
            {
                Skip(ring, ready);
                continue;
            }

            BlockRequest first = ring.Read(0);
            BlockStatus status = Gather(ring, first, ready, out int segments, out bool whole);
            if (status == BlockStatus.Ok && !whole)
            {
                // The rest of it is still being written. A ring that is full of one request will never hold the rest.
                if (ready < ring.Capacity) return false;
                status = BlockStatus.BadRequest;
            }

            if (status == BlockStatus.Ok) status = Judge(first, _segments.AsSpan(0, segments));
            if (status == BlockStatus.Ok)
            {
                command = new BlockCommand(first, _segments.AsSpan(0, segments));
                return true;
            }

            Refuse(first.Cookie, Info.Has(BlockFeatures.Absent) ? BlockStatus.NoMedium : status);
            _skipping = !whole;
            ring.Release(_elements);
        }

        return false;
    }

    /// <summary>The request that was peeked at last is with the device.</summary>
    public void Accept(RingConsumer<BlockRequest> ring)
    {
        _taken++;
        ring.Release(_elements);
    }

    /// <summary>Requests taken from the ring since the last call: what <see cref="IBlockUnit.Submit"/> returns.</summary>
    public uint TakeCount()
    {
        uint taken = _taken;
        _taken = 0;
        return taken;
    }

    /// <summary>Tells refusals, as many as there is room for.</summary>
    /// <returns>Elements put into the ring.</returns>
    public uint TellRefusals(RingProducer<BlockCompletion> completed)
    {
        if (_refusalCount == 0) return 0;
        uint count = completed.Reserve((uint)_refusalCount);
        for (uint i = 0; i < count; i++) completed[i] = _refusals[i];
        if (count == 0) return 0;
        completed.Publish(count);
        _refusals.AsSpan((int)count, _refusalCount - (int)count).CopyTo(_refusals);
        _refusalCount -= (int)count;
        return count;
    }

    /// <summary>Puts a request's pieces together; <see cref="_elements"/> says how many elements were looked at.</summary>
    private BlockStatus Gather(RingConsumer<BlockRequest> ring, in BlockRequest first, uint ready, out int count, out bool whole)
    {
        RegionAccess access = first.Operation == BlockOperation.Write ? RegionAccess.Read : RegionAccess.Write;
        BlockStatus status = BlockStatus.Ok;
        BlockRequest element = first;
        count = 0;
        for (uint at = 0; ; element = ring.Read(at))
        {
            _elements = ++at;
            whole = (element.Flags & BlockFlags.More) == 0;
            if (element.Cookie != first.Cookie || element.SegmentCount > BlockRequest.SegmentsPerElement || count + element.SegmentCount > _segments.Length) status = BlockStatus.BadRequest;
            for (int i = 0; status == BlockStatus.Ok && i < element.SegmentCount; i++) status = Locate(element.Segments[i], access, ref count);
            if (whole || at == ready || status != BlockStatus.Ok) return status;
        }
    }

    private BlockStatus Locate(in BlockSegment segment, RegionAccess access, ref int count)
    {
        uint mask = Info.SegmentAlignment - 1;
        if (segment.Length == 0 || segment.Length > Info.MaxSegmentBytes) return BlockStatus.BadRequest;
        if (_buffers is null || !_buffers.TryFind(segment.Grant, access, out BufferWindow window) || (ulong)segment.Offset + segment.Length > window.Length) return BlockStatus.BadGrant;
        if (((segment.Offset | segment.Length) & mask) != 0) return BlockStatus.BadGrant;
        _segments[count++] = new DmaSegment(window.Iova + segment.Offset, segment.Length);
        return BlockStatus.Ok;
    }

    private BlockStatus Judge(in BlockRequest request, ReadOnlySpan<DmaSegment> segments)
    {
        const BlockFlags known = BlockFlags.More | BlockFlags.Fua | BlockFlags.MayUnmap;
        if ((request.Flags & ~known) != 0) return BlockStatus.BadRequest;
        return request.Operation switch
        {
            BlockOperation.Read => JudgeData(request, segments, BlockFlags.None),
            BlockOperation.Write => Writable(JudgeData(request, segments, BlockFlags.Fua)),
            BlockOperation.Flush => Has(BlockFeatures.Flush, JudgePlain(request, segments, 0)),
            BlockOperation.Discard => Has(BlockFeatures.Discard, Writable(JudgePlain(request, segments, Info.MaxDiscardBlocks))),
            BlockOperation.WriteZeroes => Has(BlockFeatures.WriteZeroes, Writable(JudgePlain(request, segments, Info.MaxZeroesBlocks))),
            BlockOperation.GetId => Has(BlockFeatures.GetId, JudgeId(request, segments)),
            BlockOperation.None => BlockStatus.BadRequest,
            _ => BlockStatus.Unsupported,
        };
    }

    private BlockStatus JudgeData(in BlockRequest request, ReadOnlySpan<DmaSegment> segments, BlockFlags allowed)
    {
        ulong bytes = (ulong)request.Count * Info.LogicalBlockBytes;
        ulong given = 0;
        foreach (DmaSegment segment in segments) given += segment.Length;
        if (request.Count == 0 || bytes != given || bytes > Info.MaxRequestBytes || Wants(request, ~(allowed | BlockFlags.More))) return BlockStatus.BadRequest;
        return Wants(request, BlockFlags.Fua) && !Info.Has(BlockFeatures.Fua) ? BlockStatus.Unsupported : InRange(request);
    }

    /// <summary>Requests without memory.</summary>
    private BlockStatus JudgePlain(in BlockRequest request, ReadOnlySpan<DmaSegment> segments, uint most)
    {
        if (segments.Length != 0 || request.Count > most || (request.Count == 0) != (most == 0)) return BlockStatus.BadRequest;
        if (request.Operation != BlockOperation.WriteZeroes) return Wants(request, ~BlockFlags.None) ? BlockStatus.BadRequest : InRange(request);
        BlockFlags missing = (Info.Has(BlockFeatures.Fua) ? 0 : BlockFlags.Fua) | (Info.Has(BlockFeatures.ZeroesMayUnmap) ? 0 : BlockFlags.MayUnmap);
        return Wants(request, missing) ? BlockStatus.Unsupported : InRange(request);
    }

    private static BlockStatus JudgeId(in BlockRequest request, ReadOnlySpan<DmaSegment> segments)
        => segments.Length == 1 && segments[0].Length >= BlockDeviceInfo.IdBytes && request.Count == 0 && !Wants(request, ~BlockFlags.None) ? BlockStatus.Ok : BlockStatus.BadRequest;

    private BlockStatus InRange(in BlockRequest request) => request.Count <= Info.Blocks && request.Lba <= Info.Blocks - request.Count ? BlockStatus.Ok : BlockStatus.OutOfRange;

    private BlockStatus Writable(BlockStatus status) => Info.Has(BlockFeatures.ReadOnly) ? BlockStatus.ReadOnly : status;

    private BlockStatus Has(BlockFeatures feature, BlockStatus status) => Info.Has(feature) ? status : BlockStatus.Unsupported;

    private static bool Wants(in BlockRequest request, BlockFlags flags) => (request.Flags & flags) != 0;

    private void Refuse(ulong cookie, BlockStatus status)
    {
        Rejected++;
        _taken++;
        _refusals[_refusalCount++] = new BlockCompletion(cookie, status);
    }

    /// <summary>The rest of a refused request.</summary>
    private void Skip(RingConsumer<BlockRequest> ring, uint ready)
    {
        uint count = 0;
        while (_skipping && count < ready) _skipping = (ring.Read(count++).Flags & BlockFlags.More) != 0;
        ring.Release(count);
    }
}
