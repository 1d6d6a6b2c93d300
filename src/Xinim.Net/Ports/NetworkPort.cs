using System.Runtime.CompilerServices;
using System.Text;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Net.Ports;

/// <summary>
/// A client's hold on a NIC: read this first. Frames go straight between this process's memory and the device; the driver moves only
/// descriptors. When the driver dies, everything that it held is posted to its successor, and the caller notices nothing but
/// time: a frame may be sent twice, and none is lost silently. One thread at a time; of a NIC with several pairs of queues each has a port, and a
/// thread, of its own (<see cref="OpenQueues"/>).
/// </summary>
/// <example><code>
/// using NetworkPort port = NetworkPort.Open("net0");
/// if (port.TryRent(out uint slot)) { frame.CopyTo(port.TxMemory(slot)); port.Send(slot, length); }
/// port.Flush();
/// </code></example>
public sealed partial class NetworkPort : IDisposable
{
    private const uint Batch = 64;
    private const int SpinLooks = 64;
    private const int SpinPause = 4;
    private const int LooksPerYield = 8;
    private const uint LeastLargeBuffers = 64;

    private readonly PortSession _session;
    private readonly int _queue;
    private readonly BufferPool _tx;
    private readonly BufferPool _rx;
    private readonly uint _rxBytes;
    private readonly bool _large;
    private readonly FrameSegments[] _segments;
    private readonly FrameHash[] _hashes;
    private readonly StallWatch _stall;
    private readonly LateFrames _late = new();
    private SharedRegion? _ringRegion;
    private NetworkRings.ClientEnd? _rings;
    private uint _queuedTx;
    private uint _wholeTx;
    private uint _queuedRx;
    private uint _partialRx;
    private bool _insideFrame;
    private NetFlags _txHeadroom;
    private NetFlags _rxHeadroom;

    /// <param name="session">Shared with the other ports.</param>
    /// <param name="queue">Which pair of queues.</param>
    private NetworkPort(PortSession session, int queue, NetworkPortOptions options)
    {
        _session = session;
        _queue = queue;
        PortRings first = session.TryEnter(0, queue)!;
        _tx = new BufferPool(session.TxRegion, first.What.TxGrant, options.TxBuffers, options.BufferBytes, queue);
        _rx = new BufferPool(session.RxRegion, first.What.RxGrant, options.RxBuffers, options.BufferBytes, queue);
        _rxBytes = options.BufferBytes;
        _large = options.LargeReceive;
        _segments = new FrameSegments[options.RxBuffers];
        _hashes = new FrameHash[options.RxBuffers];
        _stall = new StallWatch(options.StallLimit);
        Adopt(first);
        while (_rx.TryRent(out uint slot)) Recycle(slot);
        Flush();
    }

    /// <summary>The device.</summary>
    public NetworkDeviceInfo Info { get; private set; }

    /// <summary>As last reported.</summary>
    public LinkState Link => _session.Link;

    /// <summary>The driver's life that serves this port.</summary>
    public uint Generation { get; private set; }

    /// <summary>Drivers that this port has survived.</summary>
    public uint Recoveries { get; private set; }

    /// <summary>Frames that the driver refused: too long, or an offload that the device lacks.</summary>
    public ulong RejectedFrames { get; private set; }

    /// <summary>Frames that the device has taken.</summary>
    public ulong SentFrames { get; private set; }

    /// <summary>True where every frame handed over has been sent.</summary>
    public bool TxIdle => _tx.FreeCount == _tx.Count;

    /// <summary>Opens a NIC of the daemon.</summary>
    /// <param name="device">Name such as <c>net0</c>, or PCI address.</param>
    /// <param name="socket">The daemon's socket; by default where the daemon listens by default.</param>
    /// <exception cref="NetworkPortException">No such device, it is in use, or it has no driver.</exception>
    /// <exception cref="Ipc.LinuxException">No daemon, or this user may not connect.</exception>
    public static NetworkPort Open(string device, NetworkPortOptions? options = null, string? socket = null) => OpenQueues(device, 1, options, socket)[0];

    /// <summary>
    /// Opens a NIC of the daemon with several pairs of queues, each a port for a thread of its own. Which of them a frame is received on is the device's
    /// choice: as a rule those of a connection come to one. Filters and counters are the NIC's. It is closed when all of them are.
    /// </summary>
    /// <param name="queues">1 to <see cref="NetworkRings.MaxPairs"/>, no more than the device has (<see cref="NetworkDeviceInfo.MaxPairs"/>).</param>
    /// <inheritdoc cref="Open"/>
    public static IReadOnlyList<NetworkPort> OpenQueues(string device, int queues, NetworkPortOptions? options = null, string? socket = null)
    {
        options ??= new NetworkPortOptions();
        if (options.LargeReceive && options.RxBuffers < LeastLargeBuffers) throw new NetworkPortException($"{options.RxBuffers} receive buffers; large frames need {LeastLargeBuffers}");
        if (options.LargeReceive && options.ReceiveHash) throw new NetworkPortException("large frames come without hashes; ask for one of the two");
        if (queues is < 1 or > (int)NetworkRings.MaxPairs) throw new NetworkPortException($"{queues} pairs of queues; 1 to {NetworkRings.MaxPairs} can be had");
        if (Encoding.UTF8.GetByteCount(device) > FixedText.Bytes) throw new NetworkPortException($"there is no device '{device}'");
        DaemonConnection control = DaemonConnection.Connect(socket, options.AnswerLimit, reason => new NetworkPortException(reason));
        try
        {
            OpenNetworkMessage wish = new()
            {
                Device = FixedText.From(device),
                TxPoolBytes = BufferPool.BytesOf(options.TxBuffers, options.BufferBytes) * (uint)queues,
                RxPoolBytes = BufferPool.BytesOf(options.RxBuffers, options.BufferBytes) * (uint)queues,
                TxCapacity = options.TxBuffers,
                RxCapacity = options.RxBuffers,
                Pairs = (uint)queues,
                Wishes = (options.LargeReceive ? NetworkWishes.LargeReceive : NetworkWishes.None) | (options.ReceiveHash ? NetworkWishes.ReceiveHash : NetworkWishes.None),
            };
            using ChannelMessage opened = control.Open(ClientMessage.OpenNetwork, wish);
            if (opened.HandleCount != 4 + queues) throw new NetworkPortException($"the daemon gave {opened.HandleCount} descriptors for {queues} pairs of queues");
            PortSession session = new(control, opened);
            return [.. Enumerable.Range(0, queues).Select(queue => new NetworkPort(session, queue, options))];
        }
        catch
        {
            control.Dispose();
            throw;
        }
    }

    /// <summary>Takes a buffer to send from; finished ones are collected when none is left.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRent(out uint slot) => _tx.TryRent(out slot) || (Collect() != 0 && _tx.TryRent(out slot));

    /// <summary>Gives a rented buffer back unsent.</summary>
    public void Unrent(uint slot) => _tx.Return(slot);

    /// <summary>The whole buffer; it keeps its contents over a send.</summary>
    public Span<byte> TxMemory(uint slot) => _tx.Memory(slot);

    /// <summary>Queues the first <paramref name="length"/> bytes of a rented buffer as one frame. <see cref="Flush"/> hands it over.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Send(uint slot, uint length) => Send(slot, new NetBuffer { Length = length });

    /// <summary>Queues a rented buffer with offload requests, or as one piece of a frame (<see cref="NetFlags.More"/>).</summary>
    /// <param name="slot">From <see cref="TryRent"/>.</param>
    /// <param name="request">Offset within the buffer, length, flags and what they need; grant and cookie are filled in.</param>
    public void Send(uint slot, NetBuffer request)
    {
        // Behind an offset of the caller's stand bytes of the caller's.
        if (request.Offset == 0 && !_insideFrame) request.Flags |= _txHeadroom;
        ref readonly NetBuffer posted = ref _tx.Post(slot, ref request, !_insideFrame);
        _insideFrame = (request.Flags & NetFlags.More) != 0;
        // Without rings (the driver is being replaced) the pool remembers the frame and its successor gets it.
        if (_rings is not { } rings || !HasRoom(rings.Submit, _queuedTx)) return;
        rings.Submit[_queuedTx++] = posted;
        if (!_insideFrame) _wholeTx = _queuedTx;
    }

    /// <summary>Hands queued whole frames and recycled buffers to the driver, and wakes it if it sleeps: once a batch.</summary>
    public void Flush()
    {
        if (_rings is not { } rings || rings.IsClosed)
        {
            Recover();
            return;
        }

        if ((_wholeTx | _queuedRx) == 0) return;
        if (_wholeTx != 0) rings.Submit.Publish(_wholeTx);
        if (_queuedRx != 0) rings.Free.Publish(_queuedRx);
        _queuedTx -= _wholeTx;
        _wholeTx = _queuedRx = 0;
        rings.Driver.Ring();
    }

    /// <summary>Collects sent buffers.</summary>
    /// <returns>How many.</returns>
    public uint Collect()
    {
        if (_rings is not { } rings) return 0;
        try
        {
            return CollectFrom(rings);
        }
        catch (RingException nonsense)
        {
            Distrust(nonsense.Message);
            return 0;
        }
    }

    /// <summary>Flushes, then sleeps until a frame has come, a buffer was sent, the link changed or the time is over.</summary>
    /// <returns>False when the time is over.</returns>
    public bool Wait(TimeSpan limit)
    {
        Flush();
        if (!_late.IsEmpty) return true;
        if (SpinForWork()) return true;
        if (_stall.IsStalled(TxIdle || _rings is null || Link.Up == 0, SentFrames + RejectedFrames)) Distrust("it sends none of the frames that it was given");
        Doorbell? own = _rings?.Own;
        own?.PrepareToSleep();
        bool ready = HasWork() || _rings is { IsClosed: true };
        if (!ready) ready = Descriptor.Poll(limit, _session.BellOf(_queue), _session.Handle) != 0;
        own?.Awake();
        if (!ready) return false;
        Descriptor.Drain(_session.BellOf(_queue));
        if (_rings is null || _rings.IsClosed) Recover();
        else _session.Listen();
        return true;
    }

    /// <summary>Sets all receive filters at once; they stay over restarts of the driver.</summary>
    /// <exception cref="NetworkPortException">The device cannot do it; says what it can.</exception>
    public void SetFilters(in NetworkFilters filters)
    {
        using ChannelMessage done = _session.Ask(ClientMessage.SetFilters, filters, ClientMessage.Done);
    }

    /// <summary>Counters of the device since the daemon took it.</summary>
    public NetworkStatistics GetStatistics()
    {
        using ChannelMessage answer = _session.Ask(ClientMessage.GetStatistics, 0u, ClientMessage.Statistics);
        return answer.Get<NetworkStatistics>();
    }

    public void Dispose()
    {
        // Rings look at memory directly: nothing may look once it is unmapped.
        if (_ringRegion is null) return;
        _rings = null;
        _ringRegion.Dispose();
        _ringRegion = null;
        _session.Dispose();
    }

    /// <summary>Looks for about as long as a wake-up takes: an answer that is on its way then costs no system call.</summary>
    private bool SpinForWork()
    {
        for (int look = 0; look < SpinLooks && _rings is not null; look++)
        {
            if (HasWork()) return true;
            // The driver may wait for this very processor.
            if (look % LooksPerYield == LooksPerYield - 1) Thread.Yield();
            else Thread.SpinWait(SpinPause);
        }

        return false;
    }

    /// <summary>True where a frame has come that was not looked at, or buffers were sent. Nonsense counts as nothing: it has been reported.</summary>
    private bool HasWork()
    {
        try
        {
            return (_rings is { } rings && rings.Received.Peek(_partialRx + 1) > _partialRx) || Collect() != 0;
        }
        catch (RingException nonsense)
        {
            Distrust(nonsense.Message);
            return false;
        }
    }

    /// <summary>False where the driver keeps more buffers than there are, or its index is nonsense: then the frame waits for its successor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool HasRoom(RingProducer<NetBuffer> ring, uint queued) => ring.KnownFree > queued || FindRoom(ring, queued);

    // Once in a while, and a call of its own: a method with a try block is not inlined.
    private bool FindRoom(RingProducer<NetBuffer> ring, uint queued)
    {
        try
        {
            if (ring.Reserve(queued + 1) > queued) return true;
            Distrust("the driver keeps more buffers than the port has");
        }
        catch (RingException nonsense)
        {
            Distrust(nonsense.Message);
        }

        return false;
    }

    private uint CollectFrom(NetworkRings.ClientEnd rings)
    {
        uint total = 0;
        uint count;
        while ((count = rings.Completed.Peek(Batch)) != 0)
        {
            for (uint i = 0; i < count; i++) CollectOne(rings.Completed.Read(i));
            rings.Completed.Release(count);
            total += count;
        }

        return total;
    }

    private void CollectOne(in NetBuffer buffer)
    {
        if (!_tx.TryTake(buffer.Cookie, out uint slot)) throw NotHeld(buffer);
        _tx.Return(slot);
        if ((buffer.Flags & NetFlags.Rejected) != 0) RejectedFrames++;
        else if ((buffer.Flags & NetFlags.More) == 0) SentFrames++;
    }
}
