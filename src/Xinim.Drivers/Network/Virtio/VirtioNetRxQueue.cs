using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>
/// A place for a frame is a header in the driver's memory and as many of the client's buffers as the largest frame needs [V §5.1.6.3]: the driver
/// reads the header and never the packet, of which it has no mapping.
/// </summary>
internal sealed class VirtioNetRxQueue<TQueue> : VirtioNetRx
    where TQueue : struct, IVirtQueue
{
    private const uint MinFrame = 14;
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
    private VirtioDoorbell? _doorbell;
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
        _doorbell = transport.SetUpQueue(queue, _queue.Memory, vector);
    }

    public override void Attach(BufferTable buffers) => _buffers = buffers;

    public override void Close() => _closed = true;

    public override uint Provide(RingConsumer<NetBuffer> free)
    {
        if (_buffers is not { } buffers || _closed) return 0;
        uint parts = PartsPerFrame;
        uint ready = free.Peek(Math.Min(MaxBatch, _mask + 1 - (_refusedTail - _refusedHead)));
        uint taken = 0;
        while (taken + parts <= ready && _freeCount != 0)
        {
            uint used = GivePlace(buffers, free, taken, parts);
            if (used == 0) break;
            taken += used;
        }

        if (taken == 0) return 0;
        free.Release(taken);
        if (!_queue.Publish()) return taken;
        _doorbell!.Ring();
        Doorbells++;
        return taken;
    }

    public override uint Return(RingProducer<NetBuffer> received)
    {
        uint wanted = _withDevice + (_refusedTail - _refusedHead);
        if (wanted == 0) return 0;
        uint room = received.Reserve(wanted);
        uint put = ReturnRefused(received, room);
        while (room - put >= MaxParts || (room == wanted && put < room))
        {
            int number = _queue.Take(out uint written);
            if (number < 0) break;
            put += Deliver(received, put, _places[number], written);
        }

        if (put != 0) received.Publish(put);
        return put;
    }

    public override void Arm() => _ = _queue.EnableInterrupts();

    public override void Mask() => _queue.DisableInterrupts();

    /// <returns>Buffers taken from the ring; 0 where the device has no room.</returns>
    private uint GivePlace(BufferTable buffers, RingConsumer<NetBuffer> free, uint at, uint parts)
    {
        uint slot = _free[_freeCount - 1];
        uint first = slot * MaxParts;
        _parts[0] = new VirtSegment(_headers.Iova + ((ulong)slot * VirtioNetHeader.Stride), VirtioNetHeader.Bytes);
        for (uint i = 0; i < parts; i++)
        {
            NetBuffer buffer = free.Read(at + i);
            if (buffer.Length < MinBuffer || !buffers.TryLocate(in buffer, RegionAccess.Write, out Iova address))
            {
                // Those before it are read anew next time.
                if (i != 0) return Refuse(free, at, i);
                return Refuse(free, at, 1, NetFlags.Rejected);
            }

            _given[first + i] = buffer;
            _parts[i + 1] = new VirtSegment(address, buffer.Length);
        }

        int number = parts == 1 ? _queue.Add(_parts[0], _parts[1], 0) : _queue.Add(_parts.AsSpan(0, (int)parts + 1), 0);
        if (number < 0) return 0;
        _freeCount--;
        _places[number] = new Place(slot, parts);
        _withDevice += parts;
        return parts;
    }

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

    /// <returns>Buffers put: all of the place's.</returns>
    private uint Deliver(RingProducer<NetBuffer> received, uint put, in Place place, uint written)
    {
        if (written < VirtioNetHeader.Bytes) throw new DeviceFaultException($"a received frame has {written} bytes, less than its header's {VirtioNetHeader.Bytes} [V §5.1.6.4]");
        VirtioNetHeader header = _headers[place.Slot];
        _free[_freeCount++] = place.Slot;
        _withDevice -= place.Parts;
        uint left = written - VirtioNetHeader.Bytes;
        bool wanted = left >= MinFrame && left <= MaxFrame;
        if (wanted)
        {
            Frames++;
            Bytes += left;
        }
        else
        {
            Dropped++;
            left = 0;
        }

        uint first = place.Slot * MaxParts;
        for (uint i = 0; i < place.Parts; i++)
        {
            NetBuffer buffer = _given[first + i];
            uint part = Math.Min(left, buffer.Length);
            left -= part;
            buffer.Length = part;
            buffer.VlanTag = 0;
            buffer.Flags = part == 0 ? NetFlags.Unused : left != 0 ? NetFlags.More : Describe(header.Flags);
            received[put + i] = buffer;
        }

        return place.Parts;
    }

    /// <summary>The device vouches for the data: it has checked the sum, or none was made because the frame was on no wire [V §5.1.6.4].</summary>
    private NetFlags Describe(byte flags) => !ReportChecksums ? NetFlags.None
        : (flags & VirtioNetHeader.NeedsChecksum) != 0 ? NetFlags.PartialChecksum
        : (flags & VirtioNetHeader.DataValid) != 0 ? NetFlags.TransportChecksum : NetFlags.None;

    /// <summary>What a buffer of the queue is: its header's slot, and how many of the client's buffers it has.</summary>
    private readonly record struct Place(uint Slot, uint Parts);
}
