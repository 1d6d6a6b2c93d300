using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Net.Ports;

/// <summary>Received frames.</summary>
public sealed partial class NetworkPort
{
    /// <summary>Of pieces that come otherwise than as bytes in their buffers.</summary>
    private const NetFlags Special = NetFlags.Lead | NetFlags.Segment | NetFlags.Hash;

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

        try
        {
            uint count = ReceiveFrom(rings, into);
            if (count == 0 && rings.IsClosed) Recover();
            return count;
        }
        catch (RingException nonsense)
        {
            Distrust(nonsense.Message);
            return 0;
        }
    }

    /// <summary>The bytes of a received piece, until it is recycled.</summary>
    public ReadOnlySpan<byte> Data(in ReceivedBuffer piece)
        => (piece.Flags & NetFlags.Lead) == 0 ? _rx.Memory(piece.Slot)[..(int)piece.Length] : _rx.Memory(piece.Slot, NetBuffer.LeadBytes, (int)piece.Length);

    /// <summary>How a frame with <see cref="NetFlags.Segment"/> is to be cut, until its first piece is recycled.</summary>
    public FrameSegments SegmentsOf(in ReceivedBuffer first) => (first.Flags & NetFlags.Segment) != 0 ? _segments[first.Slot] : default;

    /// <summary>The hash of a frame whose last piece has <see cref="NetFlags.Hash"/>, until that is recycled; of kind None without.</summary>
    public FrameHash HashOf(in ReceivedBuffer last) => (last.Flags & NetFlags.Hash) != 0 ? _hashes[last.Slot] : default;

    /// <summary>Queues a received buffer for the next frame; <see cref="Flush"/> hands it over.</summary>
    public void Recycle(uint slot)
    {
        NetBuffer request = new() { Length = _rxBytes, Flags = _rxHeadroom };
        ref readonly NetBuffer posted = ref _rx.Post(slot, ref request, startsFrame: true);
        if (_rings is not { } rings || !HasRoom(rings.Free, _queuedRx)) return;
        rings.Free[_queuedRx++] = posted;
    }

    private uint ReceiveFrom(NetworkRings.ClientEnd rings, Span<ReceivedBuffer> into)
    {
        uint count = rings.Received.Peek((uint)into.Length);
        int kept = 0, whole = 0;
        uint read = 0;
        for (uint i = 0; i < count; i++)
        {
            NetBuffer buffer = rings.Received.Read(i);
            if (!_rx.TryTake(buffer.Cookie, out uint slot) || (buffer.Length > _rxBytes && !IsLed(buffer)))
            {
                // What came before the nonsense is delivered; the next look finds it first.
                if (whole != 0) break;
                PutBack(into[..kept]);
                throw NotHeld(buffer);
            }

            if ((buffer.Flags & Special) != 0) Note(slot, buffer);
            into[kept++] = new ReceivedBuffer(slot, buffer.Length, buffer.Flags, buffer.VlanTag);
            bool nothing = (buffer.Flags & (NetFlags.Unused | NetFlags.Rejected)) != 0;
            if (!nothing && (buffer.Flags & NetFlags.More) != 0) continue;
            while (nothing && kept > whole) Recycle(into[--kept].Slot);
            whole = kept;
            read = i + 1;
        }

        _partialRx = (uint)(kept - whole);
        if (_partialRx != 0) PutBack(into[whole..kept]);
        if (count != 0 && _partialRx == into.Length) ThrowTooLong(into.Length);
        rings.Received.Release(read);
        return (uint)whole;
    }

    /// <summary>Too little room is the caller's fault, unless it was enough for the longest frame that the device can have.</summary>
    private void ThrowTooLong(int room)
    {
        string what = $"the driver returned a frame of more than {room} pieces";
        if (room > (_large ? NetBuffer.MaxSegmentedFrame : Info.MaxFrame) / Math.Max(Info.RxBufferBytes, 1)) throw new RingException(what);
        throw new NetworkPortException(what);
    }

    private bool IsLed(in NetBuffer buffer) => (buffer.Flags & NetFlags.Lead) != 0 && buffer.Length <= _rxBytes + NetBuffer.LeadBytes;

    private void Note(uint slot, in NetBuffer buffer)
    {
        if ((buffer.Flags & NetFlags.Hash) != 0) _hashes[slot] = new FrameHash(buffer.Hash, buffer.HashKind <= HashKind.UdpIpv6Ex ? buffer.HashKind : HashKind.None);
        if ((buffer.Flags & NetFlags.Lead) != 0) buffer.GetLead(_rx.Memory(slot, NetBuffer.LeadBytes, NetBuffer.LeadBytes));
        else _segments[slot] = new FrameSegments(buffer.SegmentSize, buffer.HeaderHint);
    }

    private static RingException NotHeld(in NetBuffer buffer) => new($"the driver returned buffer {buffer.Cookie} with {buffer.Length} bytes, which it does not hold");

    /// <summary>Pieces of a frame that is not whole yet are looked at again next time; until then the driver can still die and leave it so.</summary>
    private void PutBack(ReadOnlySpan<ReceivedBuffer> pieces)
    {
        foreach (ReceivedBuffer piece in pieces) _rx.Untake(piece.Slot);
    }
}
