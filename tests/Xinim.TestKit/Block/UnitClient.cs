using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Vfio.Dma;

namespace Xinim.TestKit.Block;

/// <summary>A client of one disk in this process: its rings, its pool, and what it was answered.</summary>
public sealed class UnitClient : IDisposable
{
    private const uint Depth = 256;

    private readonly SafeFileHandle _event = Descriptor.CreateEvent();
    private readonly SharedRegion _rings;
    private readonly BlockRings.DriverEnd _driver;
    private readonly BlockRings.ClientEnd _client;
    private readonly DmaRegion _pool;
    private readonly Grant _grant;
    private readonly Dictionary<ulong, BlockCompletion> _answers = [];
    private ulong _cookie;

    /// <param name="unit">The driver's side; another after each of the driver's lives.</param>
    /// <param name="pool">Memory that the device reaches.</param>
    /// <param name="idle">Called between polls while a request is awaited.</param>
    public UnitClient(IBlockUnit unit, DmaRegion pool, Action idle)
    {
        Unit = unit;
        Idle = idle;
        RingShape shape = new(Depth, Depth, 1);
        _rings = BlockRings.Create(shape);
        _driver = new BlockRings.DriverEnd(_rings, shape, _event, _event);
        _client = new BlockRings.ClientEnd(_rings, shape, _event, _event);
        _pool = pool;
        _grant = new GrantTable().Create(_pool.Id, (ulong)_pool.Size, 0, (ulong)_pool.Size, RegionAccess.ReadWrite);
    }

    public IBlockUnit Unit { get; set; }

    public Action Idle { get; set; }

    /// <summary>The client's.</summary>
    public Span<byte> Memory => _pool.Memory!.Slice(0, (int)_pool.Size);

    /// <summary>Answers that nobody has awaited yet.</summary>
    public int Unread => _answers.Count;

    public void Attach() => Unit.Attach(new BufferTable([_grant], [_pool]));

    /// <summary>Asks for something; memory is pieces of the pool, all behind each other from <paramref name="offset"/> on.</summary>
    /// <returns>The cookie.</returns>
    public ulong Submit(BlockOperation operation, ulong lba, uint count, int offset, params ReadOnlySpan<int> pieces) => Submit(operation, BlockFlags.None, lba, count, offset, pieces);

    /// <inheritdoc cref="Submit(BlockOperation, ulong, uint, int, ReadOnlySpan{int})"/>
    public ulong Submit(BlockOperation operation, BlockFlags flags, ulong lba, uint count, int offset, params ReadOnlySpan<int> pieces)
    {
        _cookie++;
        uint elements = (uint)Math.Max(1, (pieces.Length + BlockRequest.SegmentsPerElement - 1) / BlockRequest.SegmentsPerElement);
        if (_client.Submitted.Reserve(elements) < elements) throw new InvalidOperationException("the ring is full");
        for (uint element = 0; element < elements; element++)
        {
            BlockRequest request = new() { Cookie = _cookie, Lba = lba, Count = count, Operation = operation, Flags = flags | (element + 1 < elements ? BlockFlags.More : BlockFlags.None) };
            while (request.SegmentCount < BlockRequest.SegmentsPerElement && !pieces.IsEmpty)
            {
                request.Segments[request.SegmentCount++] = new BlockSegment(_grant.Handle, (uint)offset, (uint)pieces[0]);
                offset += pieces[0];
                pieces = pieces[1..];
            }

            _client.Submitted[element] = request;
        }

        _client.Submitted.Publish(elements);
        return _cookie;
    }

    /// <summary>One round of the host's loop.</summary>
    public void Poll()
    {
        _ = Unit.Submit(_driver.Submitted);
        _ = Unit.Complete(_driver.Completed);
        uint count = _client.Completed.Peek(Depth);
        for (uint i = 0; i < count; i++) _answers.Add(_client.Completed.Read(i).Cookie, _client.Completed.Read(i));
        if (count != 0) _client.Completed.Release(count);
    }

    /// <summary>One round whose answers nobody wants.</summary>
    /// <returns>Answers.</returns>
    public uint PollAndForget()
    {
        _ = Unit.Submit(_driver.Submitted);
        _ = Unit.Complete(_driver.Completed);
        uint count = _client.Completed.Peek(Depth);
        _client.Completed.Release(count);
        return count;
    }

    /// <summary>True where it is answered; what it is, then.</summary>
    public bool TryTake(ulong cookie, out BlockCompletion answer) => _answers.Remove(cookie, out answer);

    /// <summary>Polls until this is answered, exactly once.</summary>
    public BlockCompletion Await(ulong cookie, int milliseconds = 20_000)
    {
        BlockCompletion answer;
        long start = Stopwatch.GetTimestamp();
        while (!_answers.Remove(cookie, out answer))
        {
            if (Stopwatch.GetElapsedTime(start).TotalMilliseconds > milliseconds) throw new TimeoutException($"request {cookie} is not answered within {milliseconds} ms");
            Idle();
            Poll();
        }

        return answer;
    }

    /// <summary>Asks and waits.</summary>
    public BlockStatus Run(BlockOperation operation, ulong lba, uint count, int offset, params ReadOnlySpan<int> pieces) => Await(Submit(operation, lba, count, offset, pieces)).Status;

    public void Dispose()
    {
        _rings.Dispose();
        _event.Dispose();
    }
}
