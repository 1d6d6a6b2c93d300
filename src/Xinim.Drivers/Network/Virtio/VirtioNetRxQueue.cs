using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>
/// A place for a frame is a header and as many of the client's buffers as the largest frame needs [V §5.1.6.3]. Where the header can say something it lies in
/// the driver's memory: the driver reads it and never the packet, of which it has no mapping. Where it cannot, the bytes before the client's
/// first buffer take it, and a place of one buffer is one part.
/// </summary>
internal sealed class VirtioNetRxQueue<TQueue> : VirtioNetRx
    where TQueue : struct, IVirtQueue
{
    private const uint MaxParts = MaxBuffers;
    private const int MaxBatch = 256;

    private readonly DmaBuffer<VirtioNetHeader> _headers;
    private readonly Place[] _places;
    private readonly NetBuffer[] _given;
    private readonly uint[] _free;
    private readonly NetBuffer[] _refused;
    private readonly VirtSegment[] _parts = new VirtSegment[MaxParts + 1];
    private readonly uint _mask;
#pragma warning disable IDE0044 // a struct that changes: readonly would have each call work on a copy
    private TQueue _queue;
#pragma warning restore IDE0044
    private uint _freeCount;
    private uint _withDevice;
    private uint _refusedTail;
    private uint _refusedHead;
    private bool _closed;
    private BufferTable? _buffers;

    public VirtioNetRxQueue(TQueue queue, DmaArena arena)
    {
        _queue = queue;
        _mask = queue.Size - 1;
        _places = new Place[queue.Size];
        _given = new NetBuffer[queue.Size * MaxParts];
        _refused = new NetBuffer[queue.Size];
        _headers = arena.Allocate<VirtioNetHeader>(queue.Size, 64);
        _free = new uint[queue.Size];
        for (uint i = 0; i < _free.Length; i++) _free[i] = (uint)_free.Length - 1 - i;
        _freeCount = (uint)_free.Length;
    }

    /// <summary>Client buffers that a frame may need.</summary>
    private uint PartsPerFrame => Math.Min((MaxFrame + MinBuffer - 1) / MinBuffer, MaxParts);

    public override void SetUp(IVirtioTransport transport, ushort queue, int? vector)
    {
        _queue.DisableInterrupts();
        Doorbell = transport.SetUpQueue(queue, _queue.Memory, vector);
    }

    public override void Attach(BufferTable buffers) => _buffers = buffers;

    public override void Close() => _closed = true;

    public override uint Provide(RingConsumer<NetBuffer> free)
    {
        if (_buffers is not { } buffers || _closed) return 0;
        uint parts = PartsPerFrame;
        uint ready = free.Peek(Math.Min(MaxBatch, _mask + 1 - (_refusedTail - _refusedHead)));
        uint taken = 0;
        while (taken + parts <= ready && _queue.Free != 0)
        {
            uint used = parts == 1 && Headroom != 0 ? GivePlain(buffers, free.Ready, taken, ready) : 0;
            // What is not plain is read anew and as a whole; nothing of the look that found it is kept.
            if (used == 0) used = GivePlace(buffers, free, taken, parts);
            if (used == 0) break;
            taken += used;
        }

        if (taken == 0) return 0;
        free.Release(taken);
        if (!_queue.Publish()) return taken;
        Notify();
        return taken;
    }

    public override uint Return(RingProducer<NetBuffer> received)
    {
        uint wanted = _withDevice + (_refusedTail - _refusedHead);
        if (wanted == 0) return 0;
        uint room = received.Reserve(wanted);
        uint put = ReturnRefused(received, room);
        RingView<NetBuffer> slots = received.Reserved;
        Place[] places = _places;
        while (room - put >= MaxParts || (room == wanted && put < room))
        {
            int number = _queue.Take(out uint written);
            if (number < 0) break;
            ref readonly Place place = ref places[number];
            uint length = Measure(written);
            if (place.Parts == 0) DeliverPlain(ref slots[put++], place.Cookie, length);
            else put += Deliver(slots, put, place, length);
        }

        if (put != 0) received.Publish(put);
        return put;
    }

    public override void Arm() => _ = _queue.EnableInterrupts();

    public override void Mask() => _queue.DisableInterrupts();

    /// <summary>A run of places of one part each: the path that has to be fast.</summary>
    /// <returns>Buffers taken; 0 where the first is none for such a place, is wrong, or has no room.</returns>
    private uint GivePlain(BufferTable buffers, RingView<NetBuffer> from, uint at, uint ready)
    {
        Place[] places = _places;
        uint headroom = Headroom;
        BufferWindow window = default;
        uint count = 0;
        for (; at + count < ready; count++)
        {
            ref readonly NetBuffer slot = ref from[at + count];
            uint length = slot.Length;
            ulong offset = slot.Offset;
            uint grant = slot.Grant;
            if ((slot.Flags & NetFlags.Headroom) == 0 || offset < headroom || length - MinBuffer > MaxRoom) break;
            if (grant != window.Handle && !buffers.TryFind(grant, RegionAccess.Write, out window)) break;
            if (offset + length > window.Length) break;
            int number = _queue.Add(new Iova(window.Iova.Value + offset - headroom), length + headroom, deviceWrites: true);
            if (number < 0) break;
            places[number] = new Place(slot.Cookie, 0, 0);
        }

        _withDevice += count;
        return count;
    }

    /// <returns>Buffers taken from the ring; 0 where the device has no room.</returns>
    private uint GivePlace(BufferTable buffers, RingConsumer<NetBuffer> free, uint at, uint parts)
    {
        if (_freeCount == 0) return 0;
        uint slot = _free[_freeCount - 1];
        uint first = slot * MaxParts;
        uint headroom = 0;
        for (uint i = 0; i < parts; i++)
        {
            NetBuffer buffer = free.Read(at + i);
            if (i == 0 && (buffer.Flags & NetFlags.Headroom) != 0) headroom = Headroom;
            if (!IsPlace(buffers, in buffer, i == 0 ? headroom : 0, out Iova address))
            {
                // Those before it are read anew next time.
                if (i != 0) return Refuse(free, at, i);
                return Refuse(free, at, 1, NetFlags.Rejected);
            }

            _given[first + i] = buffer;
            _parts[i + 1] = new VirtSegment(address, buffer.Length);
        }

        if (headroom == 0) _parts[0] = new VirtSegment(_headers.Iova + ((ulong)slot * VirtioNetHeader.Stride), HeaderBytes);
        else _parts[1] = new VirtSegment(new Iova(_parts[1].At.Value - headroom), _parts[1].Length + headroom);
        int number = parts == 1 && headroom == 0
            ? _queue.Add(_parts[0], _parts[1], 0)
            : _queue.Add(headroom == 0 ? _parts.AsSpan(0, (int)parts + 1) : _parts.AsSpan(1, (int)parts), 0);
        if (number < 0) return 0;
        _freeCount--;
        _places[number] = new Place(0, slot, parts);
        _withDevice += parts;
        return parts;
    }

    private static bool IsPlace(BufferTable buffers, in NetBuffer buffer, uint headroom, out Iova address)
        => buffers.TryLocate(in buffer, RegionAccess.Write, out address) && buffer.Length - MinBuffer <= MaxRoom && buffer.Offset >= headroom;

    private uint Refuse(RingConsumer<NetBuffer> free, uint at, uint count, NetFlags flags = NetFlags.Unused)
    {
        for (uint i = 0; i < count; i++)
        {
            NetBuffer buffer = free.Read(at + i);
            buffer.Flags = flags;
            buffer.Length = flags == NetFlags.Unused ? 0 : buffer.Length;
            _refused[_refusedTail++ & _mask] = buffer;
        }

        return count;
    }

    private uint ReturnRefused(RingProducer<NetBuffer> received, uint room)
    {
        uint count = Math.Min(_refusedTail - _refusedHead, room);
        for (uint i = 0; i < count; i++) received[i] = _refused[_refusedHead++ & _mask];
        return count;
    }

    /// <summary>Counts a frame.</summary>
    /// <returns>Its bytes; 0 where it is not for delivery.</returns>
    private uint Measure(uint written)
    {
        uint header = HeaderBytes;
        if (written < header) ThrowShort(written, header);
        uint length = written - header;
        if (length - MinFrame > MaxFrame - MinFrame)
        {
            Dropped++;
            return 0;
        }

        Frames++;
        Bytes += length;
        return length;
    }

    private static void ThrowShort(uint written, uint header)
        => throw new DeviceFaultException($"a received frame has {written} bytes, less than its header's {header} [V §5.1.6.4]");

    private void DeliverPlain(ref NetBuffer slot, ulong cookie, uint length)
    {
        _withDevice--;
        slot.Cookie = cookie;
        slot.Length = length;
        slot.Flags = length == 0 ? NetFlags.Unused : NetFlags.None;
        slot.VlanTag = 0;
    }

    /// <returns>Buffers put: all of the place's.</returns>
    private uint Deliver(RingView<NetBuffer> slots, uint put, in Place place, uint left)
    {
        VirtioNetHeader header = _headers[place.Slot];
        NetFlags result = ReportChecksums ? VirtioNetHeader.ResultOf(header.Flags) : NetFlags.None;
        _free[_freeCount++] = place.Slot;
        _withDevice -= place.Parts;
        uint first = place.Slot * MaxParts;
        for (uint i = 0; i < place.Parts; i++)
        {
            NetBuffer buffer = _given[first + i];
            uint part = Math.Min(left, buffer.Length);
            left -= part;
            buffer.Length = part;
            buffer.VlanTag = 0;
            buffer.Flags = part == 0 ? NetFlags.Unused : left != 0 ? NetFlags.More : result;
            if (part != 0 && left == 0 && HeaderBytes == VirtioNetHeader.HashedBytes) AddHash(ref buffer, in header);
            slots[put + i] = buffer;
        }

        return place.Parts;
    }

    private static void AddHash(ref NetBuffer last, in VirtioNetHeader header)
    {
        HashKind kind = header.KindOfHash;
        if (kind == HashKind.None) return;
        (last.Hash, last.HashKind) = (header.Hash, kind);
        last.Flags |= NetFlags.Hash;
    }

    /// <summary>What a buffer of the queue is: its header's slot, and how many of the client's buffers it has; or, with 0 parts, the one buffer that is all of it.</summary>
    private readonly record struct Place(ulong Cookie, uint Slot, uint Parts);
}
