using System.Diagnostics;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Block.Ports;

/// <summary>
/// A client's hold on a disk, the lower half: requests straight from this process's memory, results as they come, nothing allocated. When the
/// driver dies, everything that it held goes to its successor in the order in which it was asked for, and a flush waits for what was
/// asked before it: reads, writes and zeroes can be repeated. One thread at a time; <see cref="Clients.BlockClient"/> is for everybody.
/// </summary>
/// <example><code>
/// using BlockPort port = BlockPort.Open("disk0");
/// port.TrySubmit(new BlockIo(1, BlockOperation.Read, lba, 8), [new BlockPiece(0, 4096)]);
/// port.Commit();
/// while (port.Reap(results) == 0) port.Wait(TimeSpan.FromSeconds(1));
/// </code></example>
public sealed partial class BlockPort : IDisposable
{
    private const uint Batch = 64;
    private const int SpinLooks = 400;
    private const int LooksPerYield = 16;

    private readonly DaemonConnection _control;
    private readonly SharedRegion _pool;
    private readonly SafeFileHandle _ownBell;
    private readonly SafeFileHandle _driverBell;
    private readonly BlockPortOptions _options;
    private readonly RequestTable _table;
    private readonly uint _grant;
    private readonly Queue<uint> _waiting;
    private readonly Queue<BlockResult> _late;
    private readonly SafeFileHandle? _wake;
    private SharedRegion _ringRegion;
    private BlockRings.ClientEnd? _rings;
    private uint _queued;
    private bool _flushing;
    private ChannelMessage? _next;
    private BlockException? _failure;
    private ulong _answers;
    private ulong _answersSeen;
    private long _since = Stopwatch.GetTimestamp();

    private BlockPort(string name, DaemonConnection control, ChannelMessage opened, BlockPortOptions options, SafeFileHandle? wake)
    {
        Name = name;
        _control = control;
        _options = options;
        _wake = wake;
        OpenedBlockMessage what = opened.Get<OpenedBlockMessage>();
        _pool = SharedRegion.Open(opened.TakeHandle(0), checked((long)what.PoolBytes), RegionAccess.ReadWrite);
        _ringRegion = SharedRegion.Open(opened.TakeHandle(1), what.RingsBytes, RegionAccess.ReadWrite);
        _ownBell = opened.TakeHandle(2);
        _driverBell = opened.TakeHandle(3);
        _grant = what.Grant;
        Info = what.Info;
        MaxSegments = (int)Math.Min((uint)options.MaxSegments, what.Info.MaxSegments);
        _table = new RequestTable(options.Depth, MaxSegments, options.RetryBudget);
        _waiting = new Queue<uint>(options.Depth);
        _late = new Queue<BlockResult>(options.Depth);
        Adopt(what.Rings);
    }

    /// <summary>What the disk was opened by.</summary>
    public string Name { get; }

    /// <summary>The disk, as last told.</summary>
    public BlockDeviceInfo Info { get; private set; }

    /// <summary>The driver's life that serves this port.</summary>
    public uint Generation { get; private set; }

    /// <summary>Drivers that this port has survived.</summary>
    public uint Recoveries { get; private set; }

    /// <summary>Pieces of memory that a request may have.</summary>
    public int MaxSegments { get; }

    /// <summary>Bytes of memory.</summary>
    public uint PoolBytes => (uint)_pool.Size;

    /// <summary>Requests that are not answered yet.</summary>
    public int Outstanding => _table.Outstanding + _late.Count;

    /// <summary>Opens a disk of the daemon.</summary>
    /// <param name="device">Name such as <c>disk0</c>, or PCI address; of a disk on a controller <c>sata0.1</c>, with the number of its port.</param>
    /// <param name="socket">The daemon's socket; by default where the daemon listens by default.</param>
    /// <param name="wake">An eventfd that ends <see cref="Wait"/> too; not owned.</param>
    /// <exception cref="BlockException">No such disk, it is in use, or it has no driver.</exception>
    /// <exception cref="Ipc.LinuxException">No daemon, or this user may not connect.</exception>
    public static BlockPort Open(string device, BlockPortOptions? options = null, string? socket = null, SafeFileHandle? wake = null)
    {
        options ??= new BlockPortOptions();
        if (Encoding.UTF8.GetByteCount(device) > FixedText.Bytes) throw new BlockException($"there is no device '{device}'");
        DaemonConnection control = DaemonConnection.Connect(socket, options.AnswerLimit, reason => new BlockException(reason));
        try
        {
            int elements = (options.MaxSegments + BlockRequest.SegmentsPerElement - 1) / BlockRequest.SegmentsPerElement;
            OpenBlockMessage wish = new()
            {
                Device = FixedText.From(device),
                PoolBytes = (ulong)options.PoolBytes,
                Submissions = System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(options.Depth * elements)),
                Completions = (uint)options.Depth,
            };
            using ChannelMessage opened = control.Open(ClientMessage.OpenBlock, wish);
            return new BlockPort(device, control, opened, options, wake);
        }
        catch
        {
            control.Dispose();
            throw;
        }
    }

    /// <summary>A piece of memory, for reading and writing.</summary>
    public Span<byte> Memory(uint offset, int length) => _pool.Slice(offset, length);

    /// <summary>Queues a request. <see cref="Commit"/> hands it over; its memory belongs to the device until its result is reaped.</summary>
    /// <param name="pieces">Its memory: as long as its blocks, none for a request without data.</param>
    /// <returns>False where <see cref="BlockPortOptions.Depth"/> requests are outstanding: reap first.</returns>
    /// <exception cref="ArgumentException">More pieces than <see cref="MaxSegments"/>, or outside the pool.</exception>
    /// <exception cref="BlockException">The disk is lost.</exception>
    public bool TrySubmit(in BlockIo io, ReadOnlySpan<BlockPiece> pieces)
    {
        ThrowIfLost();
        if (pieces.Length > MaxSegments) throw new ArgumentException($"{pieces.Length} pieces of memory; {MaxSegments} are allowed", nameof(pieces));
        foreach (BlockPiece piece in pieces)
        {
            if ((ulong)piece.Offset + piece.Length > PoolBytes) throw new ArgumentException($"{piece} leaves the pool of {PoolBytes} bytes", nameof(pieces));
        }

        if (!_table.TryAdd(io, pieces, out uint slot)) return false;
        // Without rings, and as long as repeated requests wait for their turn, it waits behind them.
        if (_rings is null || _waiting.Count != 0 || _flushing) _waiting.Enqueue(slot);
        else Post(slot);
        return true;
    }

    /// <summary>Hands queued requests to the driver, and wakes it if it sleeps: once a batch.</summary>
    public void Commit()
    {
        ThrowIfLost();
        if (_rings is { IsClosed: true }) Recover();
        if (_rings is not { } rings || _queued == 0) return;
        rings.Submitted.Publish(_queued);
        _queued = 0;
        rings.Driver.Ring();
    }

    /// <summary>Takes results, in the order in which they came.</summary>
    /// <returns>How many.</returns>
    /// <exception cref="BlockException">The disk is lost; so are all requests that were not answered.</exception>
    public int Reap(Span<BlockResult> into)
    {
        int count = 0;
        while (count < into.Length && _late.TryDequeue(out BlockResult late)) into[count++] = late;
        if (count != 0) return count;
        ThrowIfLost();
        if (_rings is not { } rings)
        {
            Recover();
            return 0;
        }

        count = ReapFrom(rings, into);
        if (_waiting.Count != 0 || _flushing) Pump();
        if (count == 0 && rings.IsClosed) Recover();
        return count;
    }

    /// <summary>Commits, then sleeps until a result has come, something else has happened or the time is over.</summary>
    /// <returns>False when the time is over.</returns>
    public bool Wait(TimeSpan limit)
    {
        Commit();
        if (_late.Count != 0 || SpinForWork()) return true;
        CheckStall();
        Doorbell? own = _rings?.Own;
        own?.PrepareToSleep();
        bool ready = HasWork() || _rings is { IsClosed: true };
        if (!ready) ready = (_wake is null ? Descriptor.Poll(limit, _ownBell, _control.Handle) : Descriptor.Poll(limit, _ownBell, _control.Handle, _wake)) != 0;
        own?.Awake();
        if (!ready) return false;
        Descriptor.Drain(_ownBell);
        if (_wake is not null) Descriptor.Drain(_wake);
        if (_rings is null || _rings.IsClosed) Recover();
        else HandleMessages();
        return true;
    }

    /// <summary>Switches the disk's volatile write cache; it stays so over restarts of the driver, until this port is closed.</summary>
    /// <exception cref="BlockException">The device cannot, or has no driver at the moment.</exception>
    public void SetWriteCache(bool on)
    {
        using ChannelMessage done = _control.Ask(ClientMessage.SetWriteCache, on ? 1u : 0, ClientMessage.Done, Handle);
    }

    /// <summary>Counters of the device since the daemon took it.</summary>
    public BlockStatistics GetStatistics()
    {
        using ChannelMessage answer = _control.Ask(ClientMessage.GetStatistics, 0u, ClientMessage.Statistics, Handle);
        return answer.Get<BlockStatistics>();
    }

    public void Dispose()
    {
        // Rings look at memory directly: nothing may look once it is unmapped.
        _rings = null;
        _failure ??= new BlockException("the port is closed");
        _control.Dispose();
        _next?.Dispose();
        _ringRegion.Dispose();
        _pool.Dispose();
        _ownBell.Dispose();
        _driverBell.Dispose();
    }

    private void ThrowIfLost()
    {
        if (_failure is not null) throw _failure;
    }

    /// <summary>Puts a request into the ring. There is room: the ring holds as many as may be outstanding, with all their pieces.</summary>
    private void Post(uint slot)
    {
        BlockRings.ClientEnd rings = _rings!;
        ReadOnlySpan<BlockPiece> pieces = _table.PiecesOf(slot);
        uint elements = Math.Max(1, ((uint)pieces.Length + BlockRequest.SegmentsPerElement - 1) / BlockRequest.SegmentsPerElement);
        if (!HasRoom(rings.Submitted, elements))
        {
            _waiting.Enqueue(slot);
            return;
        }

        ref readonly BlockIo io = ref _table.IoOf(slot);
        BlockRequest request = new() { Cookie = _table.Give(slot), Lba = io.Lba, Count = io.Count, Operation = io.Operation };
        for (uint element = 0; element < elements; element++)
        {
            ReadOnlySpan<BlockPiece> part = pieces.Length > BlockRequest.SegmentsPerElement ? pieces[..BlockRequest.SegmentsPerElement] : pieces;
            pieces = pieces[part.Length..];
            for (int i = 0; i < part.Length; i++) request.Segments[i] = new BlockSegment(_grant, part[i].Offset, part[i].Length);
            request.SegmentCount = (ushort)part.Length;
            request.Flags = pieces.IsEmpty ? io.Flags : io.Flags | BlockFlags.More;
            rings.Submitted[_queued++] = request;
        }
    }

    private bool HasRoom(RingProducer<BlockRequest> ring, uint elements)
    {
        try
        {
            if (ring.Reserve(_queued + elements) == _queued + elements) return true;
            Distrust("the driver holds more requests than it was given");
        }
        catch (RingException nonsense)
        {
            Distrust(nonsense.Message);
        }

        return false;
    }

    private int ReapFrom(BlockRings.ClientEnd rings, Span<BlockResult> into)
    {
        int count = 0;
        try
        {
            uint ready = rings.Completed.Peek((uint)into.Length);
            uint read = 0;
            while (read < ready)
            {
                BlockCompletion completion = rings.Completed.Read(read);
                if (completion.Status > BlockStatus.NoMedium || !_table.TryFinish(completion, out into[count]))
                {
                    rings.Completed.Release(read);
                    Distrust($"the driver answered request 0x{completion.Cookie:x} with {completion.Status}, which it does not hold");
                    return count;
                }

                count++;
                read++;
            }

            if (read != 0) rings.Completed.Release(read);
        }
        catch (RingException nonsense)
        {
            Distrust(nonsense.Message);
        }

        _answers += (ulong)count;
        return count;
    }

    /// <summary>Looks for about as long as a wake-up takes: an answer that is on its way then costs no system call.</summary>
    private bool SpinForWork()
    {
        for (int look = 0; look < SpinLooks && _rings is not null && _table.WithDriver != 0; look++)
        {
            if (HasWork()) return true;
            // The driver may wait for this very processor. No PAUSE: in a virtual machine it can end in the host, and cost more than the wait.
            if (look % LooksPerYield == LooksPerYield - 1) Thread.Yield();
        }

        return false;
    }

    private bool HasWork()
    {
        try
        {
            return _rings is { } rings && rings.Completed.Peek(1) != 0;
        }
        catch (RingException nonsense)
        {
            Distrust(nonsense.Message);
            return false;
        }
    }
}
