using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>
/// A frame is a header and what the client granted [V §5.1.6.2]. A frame without requests has a header of zeroes: those that the client keeps before it, so
/// that both are one part, or those that all other such frames share. A header that asks for something lies in the driver's memory. Which of the client's
/// buffers belong to a frame is kept in private memory.
/// </summary>
internal sealed class VirtioNetTxQueue<TQueue> : VirtioNetTx
    where TQueue : struct, IVirtQueue
{
    private const uint MaxSegmentedFrame = 65535; // an IP packet's length
    private const uint MinFrame = 14;
    private const uint MaxBatch = 256;
    private const uint ZeroHeader = 0, OwnFrame = uint.MaxValue;

    /// <summary>Calls of <see cref="Return"/> that finished buffers may wait for others.</summary>
    private const uint MostDelays = 256;

    /// <summary>Frames of which half are not sent before a sleeper is awake.</summary>
    private const uint MinBacklog = 512;
    private const int None = -1;
    private const NetFlags Checksums = NetFlags.TcpChecksum | NetFlags.UdpChecksum;

    private readonly DmaBuffer<VirtioNetHeader> _headers;
    private readonly Given[] _given;
    private readonly More[] _more;
    private readonly uint[] _freeHeaders;
    private readonly ulong[] _refused;
    private readonly NetBuffer[] _frame = new NetBuffer[MaxBuffers];
    private readonly VirtSegment[] _parts = new VirtSegment[MaxBuffers + 1];
    private readonly uint _mask;
    private readonly uint _maxChain;
#pragma warning disable IDE0044 // a struct that changes: readonly would have each call work on a copy
    private TQueue _queue;
#pragma warning restore IDE0044
    private uint _freeHeaderCount;
    private uint _withDevice;
    private uint _ownWithDevice;
    private uint _refusedTail;
    private uint _refusedHead;
    private int _freeMore;
    private uint _freeMoreCount;
    private int _unreturned = None;
    private uint _ready;
    private uint _waiting;
    private uint _delays;
    private bool _rejectRest;
    private VirtioDoorbell? _doorbell;
    private BufferTable? _buffers;

    public VirtioNetTxQueue(TQueue queue, DmaArena arena)
    {
        _queue = queue;
        _mask = queue.Size - 1;
        _given = new Given[queue.Size];
        _refused = new ulong[queue.Size];
        // Header 0 stays zero; the others go with frames that ask for something.
        _headers = arena.Allocate<VirtioNetHeader>(queue.Size, 64);
        _freeHeaders = new uint[queue.Size - 1];
        for (uint i = 0; i < _freeHeaders.Length; i++) _freeHeaders[i] = i + 1;
        _freeHeaderCount = (uint)_freeHeaders.Length;
        _more = new More[queue.Size + MaxBuffers];
        for (int i = 0; i < _more.Length; i++) _more[i].Next = i + 1;
        _freeMoreCount = (uint)_more.Length;
        _maxChain = Math.Min(MaxBuffers, queue.Size - 1);
    }

    public override bool Busy => _queue.Outstanding != 0;

    public override bool Backlog => LateInterrupts && _queue.Outstanding >= MinBacklog && _waiting == 0;

    public override void SetUp(IVirtioTransport transport, ushort queue, int? vector)
    {
        _queue.DisableInterrupts();
        _doorbell = transport.SetUpQueue(queue, _queue.Memory, vector);
    }

    public override void Attach(BufferTable buffers) => _buffers = buffers;

    public override uint Provide(RingConsumer<NetBuffer> submitted)
    {
        if (_buffers is not { } buffers) return 0;
        uint waiting = submitted.Peek(submitted.Capacity);
        uint ready = Math.Min(waiting, Math.Min(MaxBatch, _mask + 1 - (_refusedTail - _refusedHead)));
        uint taken = 0;
        while (taken < ready && _queue.Free != 0)
        {
            uint used = ProvidePlain(buffers, submitted.Ready, taken, ready);
            // What is not plain is read anew and as a whole; nothing of the look that found it is kept.
            if (used == 0) used = ProvideFrame(buffers, submitted, taken, ready);
            if (used == 0) break;
            taken += used;
        }

        _waiting = waiting - taken;
        if (taken == 0) return 0;
        submitted.Release(taken);
        Notify();
        return taken;
    }

    public override uint Return(RingProducer<NetBuffer> completed)
    {
        uint wanted = _ready + _withDevice + _ownWithDevice + (_refusedTail - _refusedHead);
        if (wanted == 0) return 0;
        uint room = completed.Reserve(wanted);
        RingView<NetBuffer> slots = completed.Reserved;
        uint put = ReturnRefused(slots, _ready, room);
        Given[] given = _given;
        uint frames = 0;
        while (true)
        {
            while (_unreturned != None && put < room) ReturnMore(ref slots[put++]);
            if (put == room) break;
            int number = _queue.Take(out _);
            if (number < 0) break;
            frames++;
            ref Given sent = ref given[number];
            if (sent.Header == OwnFrame)
            {
                _ownWithDevice--;
                continue;
            }

            if (sent.Header != ZeroHeader) _freeHeaders[_freeHeaderCount++] = sent.Header;
            _unreturned = sent.Next;
            _withDevice--;
            ref NetBuffer slot = ref slots[put++];
            slot.Cookie = sent.Cookie;
            slot.Flags = NetFlags.None;
        }

        Done += frames;
        _ready = put;
        if (put == 0 || IsWorthWaiting(put)) return 0;
        completed.Publish(put);
        _ready = _delays = 0;
        return put;
    }

    /// <summary>Nothing waits while the loop sleeps.</summary>
    public override void Arm()
    {
        _delays = MostDelays;
        _ = _queue.EnableInterrupts(late: true);
    }

    public override void Mask() => _queue.DisableInterrupts();

    public override void Send(Iova at, uint length)
    {
        int number = _queue.Add(new VirtSegment(_headers.Iova, HeaderBytes), new VirtSegment(at, length), 2);
        if (number < 0) return;
        _given[number] = new Given(0, None, OwnFrame);
        _ownWithDevice++;
        Notify();
    }

    /// <summary>
    /// A client that has all its buffers in the device sends again what it is given back: piece by piece that is a batch of one for everybody. So it gets
    /// them when they are a quarter of what is out, in the device or on the way there.
    /// </summary>
    private bool IsWorthWaiting(uint ready) => ready * 4 < _withDevice + _waiting && ++_delays < MostDelays;

    /// <summary>A run of frames of one buffer each without requests: the path that has to be fast.</summary>
    /// <returns>Buffers taken; 0 where the first is not such a frame, is refused, or has no room.</returns>
    private uint ProvidePlain(BufferTable buffers, RingView<NetBuffer> from, uint at, uint ready)
    {
        if (_rejectRest) return 0;
        Given[] given = _given;
        uint excess = MaxFrame - MinFrame;
        uint headroom = Headroom;
        NetFlags known = headroom == 0 ? NetFlags.None : NetFlags.Headroom;
        BufferWindow window = default;
        VirtSegment header = new(_headers.Iova, HeaderBytes);
        ulong bytes = 0;
        uint count = 0;
        for (; at + count < ready; count++)
        {
            ref readonly NetBuffer slot = ref from[at + count];
            uint length = slot.Length;
            ulong offset = slot.Offset;
            uint grant = slot.Grant;
            NetFlags flags = slot.Flags;
            if ((flags & ~known) != 0 || length - MinFrame > excess) break;
            if (grant != window.Handle && !buffers.TryFind(grant, RegionAccess.Read, out window)) break;
            if (offset + length > window.Length) break;
            ulong address = window.Iova.Value + offset;
            int number;
            if (flags == NetFlags.None) number = _queue.Add(header, new VirtSegment(new Iova(address), length), 2);
            else if (offset < headroom) break;
            else number = _queue.Add(new Iova(address - headroom), length + headroom, deviceWrites: false);
            if (number < 0) break;
            given[number] = new Given(slot.Cookie, None, ZeroHeader);
            bytes += length;
        }

        _withDevice += count;
        Frames += count;
        Bytes += bytes;
        return count;
    }

    /// <summary>A frame of several buffers, or with an offload, or a wrong one. Gathers it whole, checks it, gives it.</summary>
    /// <returns>Buffers taken; 0 to wait for the rest of the frame or for room.</returns>
    private uint ProvideFrame(BufferTable buffers, RingConsumer<NetBuffer> submitted, uint at, uint ready)
    {
        uint count = 0;
        uint total = 0;
        bool located = true;
        while (true)
        {
            NetBuffer buffer = submitted.Read(at + count);
            bool more = (buffer.Flags & NetFlags.More) != 0;
            if (_rejectRest)
            {
                _rejectRest = more;
                Reject(buffer.Cookie);
                return 1;
            }

            _frame[count] = buffer;
            located &= buffers.TryLocate(in buffer, RegionAccess.Read, out Iova address);
            _parts[++count] = new VirtSegment(address, buffer.Length);
            total += Math.Min(buffer.Length, MaxSegmentedFrame + 1); // at most 64 × 64 Ki: cannot wrap
            if (!more) break;
            if (count == _maxChain) return RejectFrame(count, andRest: true);
            if (at + count == ready) return 0;
        }

        return located && IsValid(_frame[0], total) && FlagsFollow(count) ? Give(count, total) : RejectFrame(count, andRest: false);
    }

    private uint Give(uint count, uint total)
    {
        bool plain = (_frame[0].Flags & Checksums) == 0;
        bool whole = plain && (_frame[0].Flags & NetFlags.Headroom) != 0;
        if (count - 1 > _freeMoreCount || (!plain && _freeHeaderCount == 0)) return 0;
        uint header = plain ? ZeroHeader : _freeHeaders[_freeHeaderCount - 1];
        _parts[0] = new VirtSegment(_headers.Iova + ((ulong)header * VirtioNetHeader.Stride), HeaderBytes);
        if (!plain) _headers[header] = VirtioNetHeader.For(_frame[0]);
        if (whole) _parts[1] = new VirtSegment(new Iova(_parts[1].At.Value - Headroom), _parts[1].Length + Headroom);
        Span<VirtSegment> parts = whole ? _parts.AsSpan(1, (int)count) : _parts.AsSpan(0, (int)count + 1);
        int number = _queue.Add(parts, parts.Length);
        if (number < 0) return 0;
        if (!plain) _freeHeaderCount--;
        int next = None;
        for (uint i = count - 1; i > 0; i--) next = KeepMore(_frame[i].Cookie, next);
        _given[number] = new Given(_frame[0].Cookie, next, header);
        _withDevice += count;
        Frames++;
        Bytes += total;
        return count;
    }

    private bool IsValid(in NetBuffer first, uint total)
    {
        NetFlags flags = first.Flags & ~NetFlags.More;
        if ((flags & NetFlags.Headroom) != 0)
        {
            if (Headroom == 0 || first.Offset < Headroom) return false;
            flags &= ~NetFlags.Headroom;
        }

        if (total < MinFrame || (flags & ~Offloads) != 0) return false;
        NetFlags sums = flags & Checksums;
        if (sums == 0) return flags == 0 && total <= MaxFrame;
        uint transport = (uint)first.LinkHeader + first.NetworkHeader;
        if (sums == Checksums || first.LinkHeader < MinFrame || first.NetworkHeader < 20) return false;
        if ((flags & NetFlags.Segment) == 0) return total <= MaxFrame && transport + (sums == NetFlags.TcpChecksum ? 18u : 8u) <= total;
        if (sums == NetFlags.UdpChecksum && !CutsUdp) return false;
        uint header = transport + first.TransportHeader;
        return first.TransportHeader >= (sums == NetFlags.TcpChecksum ? 20 : 8) && header < total && total <= MaxSegmentedFrame
            && first.SegmentSize != 0 && header + first.SegmentSize <= MaxFrame;
    }

    /// <summary>Requests stand in the first buffer only.</summary>
    private bool FlagsFollow(uint count)
    {
        for (uint i = 1; i < count; i++)
        {
            if ((_frame[i].Flags & ~NetFlags.More) != 0) return false;
        }

        return true;
    }

    private uint RejectFrame(uint count, bool andRest)
    {
        uint room = _mask + 1 - (_refusedTail - _refusedHead);
        if (count > room) return 0;
        for (uint i = 0; i < count; i++) Reject(_frame[i].Cookie);
        _rejectRest = andRest;
        return count;
    }

    private void Reject(ulong cookie)
    {
        _refused[_refusedTail++ & _mask] = cookie;
        Rejected++;
    }

    private uint ReturnRefused(RingView<NetBuffer> slots, uint put, uint room)
    {
        for (; put < room && _refusedHead != _refusedTail; put++)
        {
            slots[put].Cookie = _refused[_refusedHead++ & _mask];
            slots[put].Flags = NetFlags.Rejected;
        }

        return put;
    }

    private void ReturnMore(ref NetBuffer slot)
    {
        ref More more = ref _more[_unreturned];
        slot.Cookie = more.Cookie;
        slot.Flags = NetFlags.None;
        int next = more.Next;
        more.Next = _freeMore;
        _freeMore = _unreturned;
        _freeMoreCount++;
        _unreturned = next;
        _withDevice--;
    }

    private int KeepMore(ulong cookie, int next)
    {
        int at = _freeMore;
        _freeMore = _more[at].Next;
        _freeMoreCount--;
        _more[at] = new More { Cookie = cookie, Next = next };
        return at;
    }

    private void Notify()
    {
        if (!_queue.Publish()) return;
        _doorbell!.Ring();
        Doorbells++;
    }

    /// <summary>A frame that is with the device: its first buffer, the others, its header.</summary>
    private readonly record struct Given(ulong Cookie, int Next, uint Header);

    /// <summary>A further buffer of a frame, and the one after it; or a free place and the next one.</summary>
    private struct More
    {
        public ulong Cookie;
        public int Next;
    }
}
