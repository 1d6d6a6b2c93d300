using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Net.Ports;

/// <summary>
/// A client's hold on a NIC: read this first. Frames go straight between this process's memory and the device; the driver moves only
/// descriptors. When the driver dies, everything that it held is posted to its successor, and the caller notices nothing but
/// time: a frame may be sent twice, and none is lost silently. One thread at a time.
/// </summary>
/// <example><code>
/// using NetworkPort port = NetworkPort.Open("net0");
/// if (port.TryRent(out uint slot)) { frame.CopyTo(port.TxMemory(slot)); port.Send(slot, length); }
/// port.Flush();
/// </code></example>
public sealed class NetworkPort : IDisposable
{
    private const uint Batch = 64;
    private const int SpinLooks = 64;
    private const int SpinPause = 4;

    private readonly PortControl _control;
    private readonly SharedRegion _txRegion;
    private readonly SharedRegion _rxRegion;
    private readonly SafeFileHandle _ownBell;
    private readonly SafeFileHandle _driverBell;
    private readonly BufferPool _tx;
    private readonly BufferPool _rx;
    private readonly uint _rxBytes;
    private readonly LateFrames _late = new();
    private SharedRegion _ringRegion;
    private NetworkRings.ClientEnd? _rings;
    private uint _queuedTx;
    private uint _wholeTx;
    private uint _queuedRx;
    private uint _partialRx;
    private bool _insideFrame;
    private ChannelMessage? _next;

    private NetworkPort(PortControl control, ChannelMessage opened, NetworkPortOptions options)
    {
        _control = control;
        OpenedNetworkMessage what = opened.Get<OpenedNetworkMessage>();
        _txRegion = SharedRegion.Open(opened.TakeHandle(0), checked((long)what.TxPoolBytes), RegionAccess.ReadWrite);
        _rxRegion = SharedRegion.Open(opened.TakeHandle(1), checked((long)what.RxPoolBytes), RegionAccess.ReadWrite);
        _ringRegion = SharedRegion.Open(opened.TakeHandle(2), what.RingsBytes, RegionAccess.ReadWrite);
        _ownBell = opened.TakeHandle(3);
        _driverBell = opened.TakeHandle(4);
        _tx = new BufferPool(_txRegion, what.TxGrant, options.TxBuffers, options.BufferBytes);
        _rx = new BufferPool(_rxRegion, what.RxGrant, options.RxBuffers, options.BufferBytes);
        _rxBytes = options.BufferBytes;
        Info = what.Info;
        Link = Info.Link;
        Adopt(what.Rings);
        while (_rx.TryRent(out uint slot)) Recycle(slot);
        Flush();
    }

    /// <summary>The device.</summary>
    public NetworkDeviceInfo Info { get; private set; }

    /// <summary>As last reported.</summary>
    public LinkState Link { get; private set; }

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
    public static NetworkPort Open(string device, NetworkPortOptions? options = null, string? socket = null)
    {
        options ??= new NetworkPortOptions();
        if (Encoding.UTF8.GetByteCount(device) > FixedText.Bytes) throw new NetworkPortException($"there is no device '{device}'");
        PortControl control = PortControl.Connect(socket, options.AnswerLimit);
        try
        {
            OpenNetworkMessage wish = new()
            {
                Device = FixedText.From(device),
                TxPoolBytes = (ulong)options.TxBuffers * options.BufferBytes,
                RxPoolBytes = (ulong)options.RxBuffers * options.BufferBytes,
                TxCapacity = options.TxBuffers,
                RxCapacity = options.RxBuffers,
            };
            using ChannelMessage opened = control.Open(wish);
            return new NetworkPort(control, opened, options);
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
        ref readonly NetBuffer posted = ref _tx.Post(slot, ref request, !_insideFrame);
        _insideFrame = (request.Flags & NetFlags.More) != 0;
        // Without rings (the driver is being replaced) the pool remembers the frame and its successor gets it.
        if (_rings is not { } rings) return;
        if (rings.Submit.Reserve(_queuedTx + 1) <= _queuedTx) throw new NetworkPortException("the driver keeps more buffers than this port has");
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

    /// <summary>
    /// Takes received frames, whole ones only: a frame of several pieces comes with all of them or, where its driver died over it, not
    /// at all. The caller gives each piece back with <see cref="Recycle"/>.
    /// </summary>
    /// <param name="into">Room for the pieces of the longest frame at least.</param>
    /// <returns>How many pieces.</returns>
    public uint Receive(Span<ReceivedBuffer> into)
    {
        if (!_late.IsEmpty) return _late.Take(into);
        if (_rings is not { } rings)
        {
            Recover();
            return 0;
        }

        uint count = ReceiveFrom(rings, into);
        if (count == 0 && rings.IsClosed) Recover();
        return count;
    }

    /// <summary>The bytes of a received piece, until it is recycled.</summary>
    public ReadOnlySpan<byte> Data(in ReceivedBuffer piece) => _rx.Memory(piece.Slot)[..(int)piece.Length];

    /// <summary>Queues a received buffer for the next frame; <see cref="Flush"/> hands it over.</summary>
    public void Recycle(uint slot)
    {
        NetBuffer request = new() { Length = _rxBytes };
        ref readonly NetBuffer posted = ref _rx.Post(slot, ref request, startsFrame: true);
        if (_rings is not { } rings) return;
        if (rings.Free.Reserve(_queuedRx + 1) <= _queuedRx) throw new NetworkPortException("the driver keeps more receive buffers than this port has");
        rings.Free[_queuedRx++] = posted;
    }

    /// <summary>Collects sent buffers.</summary>
    /// <returns>How many.</returns>
    public uint Collect()
    {
        if (_rings is not { } rings) return 0;
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

    /// <summary>Flushes, then sleeps until a frame has come, a buffer was sent, the link changed or the time is over.</summary>
    /// <returns>False when the time is over.</returns>
    public bool Wait(TimeSpan limit)
    {
        Flush();
        if (!_late.IsEmpty) return true;
        if (SpinForWork()) return true;
        Doorbell? own = _rings?.Own;
        own?.PrepareToSleep();
        bool ready = _rings is { } rings && (rings.Received.Peek(_partialRx + 1) > _partialRx || Collect() != 0 || rings.IsClosed);
        if (!ready) ready = Descriptor.Poll(limit, _ownBell, _control.Handle) != 0;
        own?.Awake();
        if (!ready) return false;
        Descriptor.Drain(_ownBell);
        if (_rings is null || _rings.IsClosed) Recover();
        else HandleMessages();
        return true;
    }

    /// <summary>Sets all receive filters at once; they stay over restarts of the driver.</summary>
    /// <exception cref="NetworkPortException">The device cannot do it; says what it can.</exception>
    public void SetFilters(in NetworkFilters filters)
    {
        using ChannelMessage done = _control.Ask(ClientMessage.SetFilters, filters, ClientMessage.Done, Handle);
    }

    /// <summary>Counters of the device since the daemon took it.</summary>
    public NetworkStatistics GetStatistics()
    {
        using ChannelMessage answer = _control.Ask(ClientMessage.GetStatistics, 0u, ClientMessage.Statistics, Handle);
        return answer.Get<NetworkStatistics>();
    }

    public void Dispose()
    {
        // Rings look at memory directly: nothing may look once it is unmapped.
        _rings = null;
        _control.Dispose();
        _next?.Dispose();
        _ringRegion.Dispose();
        _txRegion.Dispose();
        _rxRegion.Dispose();
        _ownBell.Dispose();
        _driverBell.Dispose();
    }

    /// <summary>Looks for about as long as a wake-up takes: an answer that is on its way then costs no system call.</summary>
    private bool SpinForWork()
    {
        if (_rings is not { } rings) return false;
        for (int look = 0; look < SpinLooks; look++)
        {
            if (rings.Received.Peek(_partialRx + 1) > _partialRx || Collect() != 0) return true;
            Thread.SpinWait(SpinPause);
        }

        return false;
    }

    private void CollectOne(in NetBuffer buffer)
    {
        if (!_tx.TryTake(buffer.Cookie, out uint slot)) throw NetworkPortException.NotHeld(buffer);
        _tx.Return(slot);
        if ((buffer.Flags & NetFlags.Rejected) != 0) RejectedFrames++;
        else if ((buffer.Flags & NetFlags.More) == 0) SentFrames++;
    }

    private uint ReceiveFrom(NetworkRings.ClientEnd rings, Span<ReceivedBuffer> into)
    {
        uint count = rings.Received.Peek((uint)into.Length);
        int kept = 0, whole = 0;
        uint read = 0;
        for (uint i = 0; i < count; i++)
        {
            NetBuffer buffer = rings.Received.Read(i);
            if (!_rx.TryTake(buffer.Cookie, out uint slot) || buffer.Length > _rxBytes)
            {
                PutBack(into[..kept]);
                throw NetworkPortException.NotHeld(buffer);
            }

            into[kept++] = new ReceivedBuffer(slot, buffer.Length, buffer.Flags, buffer.VlanTag);
            bool nothing = (buffer.Flags & (NetFlags.Unused | NetFlags.Rejected)) != 0;
            if (!nothing && (buffer.Flags & NetFlags.More) != 0) continue;
            while (nothing && kept > whole) Recycle(into[--kept].Slot);
            whole = kept;
            read = i + 1;
        }

        _partialRx = (uint)(kept - whole);
        if (_partialRx != 0) PutBack(into[whole..kept]);
        if (count != 0 && _partialRx == into.Length) throw new NetworkPortException($"the driver returned a frame of more than {into.Length} pieces");
        rings.Received.Release(read);
        return (uint)whole;
    }

    /// <summary>Pieces of a frame that is not whole yet are looked at again next time; until then the driver can still die and leave it so.</summary>
    private void PutBack(ReadOnlySpan<ReceivedBuffer> pieces)
    {
        foreach (ReceivedBuffer piece in pieces) _rx.Untake(piece.Slot);
    }

    /// <summary>This generation is over: takes what it still delivered, then waits, without blocking, for the next one.</summary>
    private void Recover()
    {
        if (_rings is { } old)
        {
            SaveDelivered(old);
            _rings = null;
            _queuedTx = _wholeTx = _queuedRx = _partialRx = 0;
        }

        HandleMessages();
    }

    /// <summary>
    /// Frames that the dead driver delivered are good frames, for the caller to receive whenever it wants; the next driver does not wait for
    /// that. A driver that died of corrupting memory may have left nonsense: it ends the taking, not the client.
    /// </summary>
    private void SaveDelivered(NetworkRings.ClientEnd old)
    {
        try
        {
            Collect();
            ReceivedBuffer[] batch = new ReceivedBuffer[_rx.Count];
            while (ReceiveFrom(old, batch) is > 0 and uint count) _late.Add(batch.AsSpan(0, (int)count));
        }
        catch (Exception exception) when (exception is RingException or NetworkPortException)
        {
            // What was not taken is posted again.
        }
    }

    private void HandleMessages()
    {
        while (_control.TryReceive() is { } message) Handle(message);
        if (_rings is not null || _next is not { } next) return;
        _next = null;
        using (next) Reopen(next);
    }

    private void Handle(ChannelMessage message)
    {
        if (message.Header.Type == (uint)ClientMessage.Reopened)
        {
            // Kept until the old rings are empty; of several generations that passed meanwhile the last one counts.
            _next?.Dispose();
            _next = message;
            return;
        }

        using ChannelMessage news = message;
        Link = (ClientMessage)news.Header.Type switch
        {
            ClientMessage.LinkChanged => news.Get<LinkState>(),
            ClientMessage.Closed => throw new NetworkPortException(news.Text),
            _ => throw new NetworkPortException($"the daemon sent message {news.Header.Type}, which is unknown here"),
        };
    }

    private void Reopen(ChannelMessage message)
    {
        OpenedNetworkMessage what = message.Get<OpenedNetworkMessage>();
        _ringRegion.Dispose();
        _ringRegion = SharedRegion.Open(message.TakeHandle(0), what.RingsBytes, RegionAccess.ReadWrite);
        Info = what.Info;
        Link = Info.Link;
        Adopt(what.Rings);
        Recoveries++;
        foreach (NetBuffer buffer in _rx.TakeOutstanding(out _)) _rings!.Free[_queuedRx++] = buffer;
        List<NetBuffer> frames = _tx.TakeOutstanding(out uint finished);
        foreach (NetBuffer buffer in frames)
        {
            _rings!.Submit[_queuedTx++] = buffer;
            if ((buffer.Flags & NetFlags.More) == 0) _wholeTx = _queuedTx;
        }

        SentFrames += finished;
        Flush();
    }

    private void Adopt(RingShape shape)
    {
        _rings = new NetworkRings.ClientEnd(_ringRegion, shape, _ownBell, _driverBell);
        _queuedTx = _wholeTx = _queuedRx = 0;
        Generation = shape.Generation;
        if (shape.TxCapacity < _tx.Count || shape.RxCapacity < _rx.Count) throw new NetworkPortException("the daemon gave smaller rings than were asked for");
    }
}
