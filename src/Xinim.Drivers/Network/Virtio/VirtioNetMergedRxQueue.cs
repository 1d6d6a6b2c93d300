using System.Runtime.InteropServices;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>
/// A receive queue with MRG_RXBUF [V §5.1.6.4]: every buffer of the client's is one of the queue's, and a frame takes as many as it needs; the header of the first says how
/// many. Which buffer begins a frame is the device's choice, so each has room for a header in the driver's memory; in a later buffer of a frame that room has its first
/// bytes, which go to the client in the ring's element (<see cref="NetFlags.Lead"/>).
/// </summary>
internal sealed class VirtioNetMergedRxQueue<TQueue> : VirtioNetRx
    where TQueue : struct, IVirtQueue
{
    private const int MaxBatch = 256;
    private const uint PatienceSeconds = 5;

    private readonly DmaBuffer<VirtioNetHeader> _headers;
    private readonly VirtioFeatures _features;
    private readonly Place[] _places;
    private readonly uint[] _free;
    private readonly NetBuffer[] _refused;
    private readonly Piece[] _frame = new Piece[MaxPieces];
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

    /// <summary>The frame that is being taken: its header, its pieces so far, how many it has (0: none is), its bytes with the header.</summary>
    private VirtioNetHeader _header;
    private uint _count;
    private uint _expected;
    private uint _bytes;
    private uint _idleChecks;

    /// <param name="features">What was negotiated.</param>
    public VirtioNetMergedRxQueue(TQueue queue, DmaArena arena, VirtioFeatures features)
    {
        _queue = queue;
        _features = features;
        _mask = queue.Size - 1;
        _places = new Place[queue.Size];
        _refused = new NetBuffer[queue.Size];
        _headers = arena.Allocate<VirtioNetHeader>(queue.Size, 64);
        _free = new uint[queue.Size];
        for (uint i = 0; i < _free.Length; i++) _free[i] = i;
        _freeCount = (uint)_free.Length;
    }

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
        uint ready = free.Peek(Math.Min(MaxBatch, _mask + 1 - (_refusedTail - _refusedHead)));
        uint taken = 0;
        while (taken < ready && Give(buffers, free.Read(taken))) taken++;
        if (taken == 0) return 0;
        free.Release(taken);
        if (!_queue.Publish()) return taken;
        Notify();
        return taken;
    }

    public override uint Return(RingProducer<NetBuffer> received)
    {
        uint wanted = _withDevice + _count + (_refusedTail - _refusedHead);
        if (wanted == 0) return 0;
        uint room = received.Reserve(wanted);
        uint put = 0;
        for (; put < room && _refusedHead != _refusedTail; put++) received[put] = _refused[_refusedHead++ & _mask];
        while (true)
        {
            if (_expected == 0 || _count < _expected)
            {
                int number = _queue.Take(out uint written);
                if (number < 0) break;
                Gather(_places[number], written);
            }
            else if (room - put >= _count)
            {
                put += Deliver(received, put);
            }
            else
            {
                // Whole, and waits for room.
                break;
            }
        }

        if (put != 0) received.Publish(put);
        return put;
    }

    public override void Arm() => _ = _queue.EnableInterrupts();

    public override void Mask() => _queue.DisableInterrupts();

    /// <summary>All buffers of a frame are used together [V §5.1.6.4.1].</summary>
    public override void CheckProgress()
    {
        _idleChecks = _count == _expected ? 0 : _idleChecks + 1;
        if (_idleChecks == PatienceSeconds)
            throw new DeviceFaultException($"of a received frame of {_expected} buffers {_count} were used, and for {PatienceSeconds} s no other [V §5.1.6.4.1]");
    }

    /// <returns>False where there is no room.</returns>
    private bool Give(BufferTable buffers, NetBuffer buffer)
    {
        if (!buffers.TryLocate(in buffer, RegionAccess.Write, out Iova address) || buffer.Length - MinBuffer > MaxRoom)
        {
            _refused[_refusedTail++ & _mask] = buffer with { Flags = NetFlags.Rejected };
            return true;
        }

        if (_freeCount == 0) return false;
        uint slot = _free[_freeCount - 1];
        int number = _queue.Add(new VirtSegment(_headers.Iova + ((ulong)slot * VirtioNetHeader.Stride), VirtioNetHeader.Bytes), new VirtSegment(address, buffer.Length), 0);
        if (number < 0) return false;
        _freeCount--;
        _places[number] = new Place(buffer.Cookie, slot);
        _withDevice++;
        return true;
    }

    private void Gather(in Place place, uint written)
    {
        _withDevice--;
        if (_count == _expected) Begin(_headers[place.Slot], written);
        _frame[_count++] = new Piece(place, written);
        _bytes += written;
        _idleChecks = 0;
    }

    /// <summary>The number of buffers is the device's word: it has had so many, or it is broken.</summary>
    private void Begin(in VirtioNetHeader header, uint written)
    {
        if (written < VirtioNetHeader.Bytes) throw new DeviceFaultException($"a received frame begins with {written} bytes, less than its header's {VirtioNetHeader.Bytes} [V §5.1.6.4]");
        _header = header;
        uint buffers = _header.Buffers;
        if (buffers - 1 > Math.Min(_withDevice, MaxPieces - 1))
            throw new DeviceFaultException($"a received frame is said to be in {buffers} buffers (num_buffers); the device had {_withDevice + 1}, and {MaxPieces} hold the largest [V §5.1.6.4.1]");
        _expected = buffers;
        _count = _bytes = 0;
    }

    /// <returns>Buffers put: all of the frame's.</returns>
    private uint Deliver(RingProducer<NetBuffer> received, uint put)
    {
        uint length = _bytes - VirtioNetHeader.Bytes;
        bool good = TryDescribe(length, out NetFlags segments);
        for (uint i = 0; i < _count; i++) good &= _frame[i].Written > (i == 0 ? VirtioNetHeader.Bytes : 0u);
        uint count = _count;
        for (uint i = 0; i < count; i++)
        {
            NetBuffer buffer = Show(_frame[i], first: i == 0);
            buffer.Flags |= (i == 0 ? segments : NetFlags.None) | (i < count - 1 ? NetFlags.More : ChecksumResult());
            if (!good) (buffer.Flags, buffer.Length) = (NetFlags.Unused, 0);
            received[put + i] = buffer;
            _free[_freeCount++] = _frame[i].Place.Slot;
        }

        if (good)
        {
            Frames++;
            Bytes += length;
        }
        else
        {
            Dropped++;
        }

        _count = _expected = 0;
        return count;
    }

    private NetBuffer Show(in Piece piece, bool first)
    {
        NetBuffer buffer = new() { Cookie = piece.Place.Cookie, Length = piece.Written };
        if (first)
        {
            buffer.Length -= VirtioNetHeader.Bytes;
            (buffer.SegmentSize, buffer.HeaderHint) = (_header.GsoSize, _header.HeaderLength);
            return buffer;
        }

        VirtioNetHeader lead = _headers[piece.Place.Slot];
        buffer.PutLead(MemoryMarshal.AsBytes(new ReadOnlySpan<VirtioNetHeader>(in lead)));
        buffer.Flags = NetFlags.Lead;
        return buffer;
    }

    private NetFlags ChecksumResult() => (_features & VirtioNetFeatures.GuestChecksum) != 0 ? VirtioNetHeader.ResultOf(_header.Flags) : NetFlags.None;

    /// <summary>What is to be cut was negotiated, has a size, and no checksum yet [V §5.1.6.4.1].</summary>
    /// <returns>False where the frame is not for delivery.</returns>
    private bool TryDescribe(uint length, out NetFlags segments)
    {
        segments = NetFlags.None;
        if (length < MinFrame) return false;
        if (_header.GsoType == VirtioNetHeader.GsoNone) return length <= MaxFrame;
        (VirtioFeatures needed, segments) = VirtioNetHeader.KindOf(_header.GsoType);
        return (_features & needed) != 0 && _header.GsoSize != 0 && (_header.Flags & VirtioNetHeader.NeedsChecksum) != 0 && length <= NetBuffer.MaxSegmentedFrame;
    }

    /// <summary>A buffer of the queue: the client's, and which header goes with it.</summary>
    private readonly record struct Place(ulong Cookie, uint Slot);

    /// <summary>A buffer that the device has used.</summary>
    private readonly record struct Piece(Place Place, uint Written);
}
