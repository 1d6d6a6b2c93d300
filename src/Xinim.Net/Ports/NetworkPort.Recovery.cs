using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Net.Ports;

/// <summary>From one generation of drivers to the next.</summary>
public sealed partial class NetworkPort
{
    /// <summary>This generation is over: takes what it still delivered, then waits, without blocking, for the next one.</summary>
    private void Recover()
    {
        if (_rings is { } old)
        {
            SaveDelivered(old);
            // Of a driver that is gone the daemon knows that; one that lives has closed what only the daemon may close.
            Distrust("its rings were closed, and not by the daemon");
        }

        _session.Listen();
        if (_session.TryEnter(Generation, _queue) is { } next) Reopen(next);
    }

    /// <summary>
    /// The driver lives and returns nonsense: nothing of its rings is looked at any more, its supervisor is told, and its successor gets what
    /// it held. The caller notices nothing but time.
    /// </summary>
    private void Distrust(string reason)
    {
        _session.Report(Generation, reason);
        LeaveRings();
    }

    private void LeaveRings()
    {
        _rings = null;
        _queuedTx = _wholeTx = _queuedRx = _partialRx = 0;
    }

    /// <summary>
    /// Frames that the dead driver delivered are good frames, for the caller to receive whenever it wants; the next driver does not wait for
    /// that. A driver that died of corrupting memory may have left nonsense: it ends the taking, not the client.
    /// </summary>
    private void SaveDelivered(NetworkRings.ClientEnd old)
    {
        try
        {
            CollectFrom(old);
            ReceivedBuffer[] batch = new ReceivedBuffer[_rx.Count];
            while (ReceiveFrom(old, batch) is > 0 and uint count) _late.Add(batch.AsSpan(0, (int)count));
        }
        catch (Exception exception) when (exception is RingException or NetworkPortException)
        {
            // What was not taken is posted again.
        }
    }

    private void Reopen(PortRings next)
    {
        Adopt(next);
        Recoveries++;
        foreach (NetBuffer buffer in _rx.TakeOutstanding(out _)) _rings!.Free[_queuedRx++] = buffer with { Flags = _rxHeadroom };
        List<NetBuffer> frames = _tx.TakeOutstanding(out uint finished);
        foreach (NetBuffer buffer in frames)
        {
            // Another version of the driver may want no headroom.
            _rings!.Submit[_queuedTx++] = buffer with { Flags = buffer.Flags & (~NetFlags.Headroom | _txHeadroom) };
            if ((buffer.Flags & NetFlags.More) == 0) _wholeTx = _queuedTx;
        }

        SentFrames += finished;
        Flush();
    }

    private void Adopt(PortRings next)
    {
        _ringRegion?.Dispose();
        _ringRegion = next.Memory;
        _rings = next.End;
        Info = next.What.Info;
        RingShape shape = next.What.Rings;
        _queuedTx = _wholeTx = _queuedRx = 0;
        Generation = shape.Generation;
        _txHeadroom = FlagOf(Info.TxHeadroom);
        _rxHeadroom = FlagOf(Info.RxHeadroom);
        if (shape.TxCapacity < _tx.Count || shape.RxCapacity < _rx.Count) throw new NetworkPortException("the daemon gave smaller rings than were asked for");
    }

    private static NetFlags FlagOf(ushort headroom) => headroom is > 0 and <= (ushort)BufferPool.Headroom ? NetFlags.Headroom : NetFlags.None;
}
