using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Network.E1000;

/// <summary>
/// The transmit ring [SDM §3.4]. Indices are free-running counts; a slot is the count masked. The device is asked for status (RS) once an
/// eighth of the ring and at the end of each batch: it works in order, so one done bit stands for all descriptors before it, and the others
/// are never looked at. Who owns which buffer is kept in private memory, in the order of submission, refused ones among them.
/// </summary>
internal sealed class E1000TxQueue
{
    /// <summary>Buffers that one frame may have; QEMU 7.2's 82574 silently drops a frame of more.</summary>
    public const uint MaxBuffers = 64;

    /// <summary>Bytes of a frame that is to be segmented: its IP packet has a 16-bit length [82574 §7.3].</summary>
    public const uint MaxSegmentedFrame = 65535;

    private const uint PatienceSeconds = 5;
    private const uint MinFrame = 14; // an Ethernet header; the rest is padded [SDM §13.4.33]
    private const uint FieldLimit = 255; // offsets and HDRLEN have eight bits [SDM §3.3.6]
    private const uint VlanTagBytes = 4;
    private const NetFlags Checksums = NetFlags.Ipv4Checksum | NetFlags.TcpChecksum | NetFlags.UdpChecksum;
    private const NetFlags Known = NetFlags.More | NetFlags.Vlan | Checksums | NetFlags.Segment | NetFlags.Ipv6;

    private readonly DmaBuffer<TxDescriptor> _ring;
    private readonly WriteOnlyRegister<uint> _doorbell;
    private readonly Given[] _given;
    private readonly Report[] _reports;
    private readonly NetBuffer[] _frame = new NetBuffer[MaxBuffers];
    private readonly ulong[] _addresses = new ulong[MaxBuffers];
    private readonly uint _mask;
    private readonly uint _reportEvery;
    private readonly uint _maxChain;
    private readonly uint _batch;
    private uint _tail;
    private uint _done;
    private uint _givenTail;
    private uint _givenDone;
    private uint _givenHead;
    private uint _reportTail;
    private uint _reportHead;
    private uint _sinceReport;
    private uint _doneAtCheck;
    private uint _idleChecks;
    private bool _rejectRest;
    private TxContext _context;
    private BufferTable? _buffers;

    public E1000TxQueue(DmaBuffer<TxDescriptor> ring, WriteOnlyRegister<uint> doorbell)
    {
        _ring = ring;
        _doorbell = doorbell;
        _mask = ring.Count - 1;
        _given = new Given[ring.Count];
        _reports = new Report[ring.Count];
        _reportEvery = ring.Count / 8;
        // A quarter of the ring a call: while the device works on one part, the client fills another.
        _batch = Math.Max(ring.Count / 4, MaxBuffers);
        // A frame, its context descriptor and the gap between tail and head must fit [SDM §3.4].
        _maxChain = Math.Min(MaxBuffers, ring.Count - 2);
    }

    public DmaBuffer<TxDescriptor> Ring => _ring;

    /// <summary>Bytes of the largest frame, VLAN tag included.</summary>
    public uint MaxFrame { get; private set; } = 1518;

    /// <summary>True where the device inserts tags.</summary>
    public bool VlanOffload { get; private set; }

    /// <summary>False where requests for segmentation are refused.</summary>
    public bool Segmentation { get; init; } = true;

    /// <summary>True while descriptors are with the device.</summary>
    public bool Busy => _reportHead != _reportTail;

    public ulong Rejected { get; private set; }

    public ulong Doorbells { get; private set; }

    /// <summary>Calls of <see cref="Return"/> that found finished descriptors, free-running.</summary>
    public uint Harvests { get; private set; }

    /// <summary>Forgets every buffer. The device is reset and its TDH and TDT are 0.</summary>
    public void Reset()
    {
        _tail = _done = _givenTail = _givenDone = _givenHead = _reportTail = _reportHead = _sinceReport = _doneAtCheck = _idleChecks = 0;
        _rejectRest = false;
        _context = default;
        _buffers = null;
        _ring.Fill(0xff); // an address that no region has: a descriptor that was not written makes the IOMMU speak
    }

    public void Attach(BufferTable buffers) => _buffers = buffers;

    /// <summary>Takes what of the filters concerns the data path.</summary>
    public void Apply(E1000Filters filters)
    {
        MaxFrame = filters.MaxFrame;
        VlanOffload = filters.VlanOffload;
    }

    /// <inheritdoc cref="INetworkPair.TxProvide"/>
    public uint Provide(RingConsumer<NetBuffer> submitted)
    {
        if (_buffers is not { } buffers) return 0;
        uint ready = submitted.Peek(Math.Min(_mask + 1 - (_givenTail - _givenHead), _batch));
        uint start = _tail;
        uint room = _mask - (_tail - _done); // one slot stays empty: TDT = TDH means that nothing is left [SDM §3.4]
        uint taken = 0;
        while (taken < ready)
        {
            uint used = ProvidePlain(buffers, submitted.Ready, taken, ready, ref room);
            // What is not plain is read anew and as a whole; nothing of the look that found it is kept.
            if (used == 0) used = ProvideFrame(buffers, submitted, submitted.Read(taken), taken, ready, ref room);
            if (used == 0) break;
            taken += used;
        }

        if (taken != 0) submitted.Release(taken);
        if (_tail != start) RingDoorbell();
        return taken;
    }

    /// <summary>A run of frames of one buffer each without requests, up to the next report: the path that has to be fast.</summary>
    /// <returns>Buffers taken; 0 where the first is not such a frame, is refused, or has no room.</returns>
    private uint ProvidePlain(BufferTable buffers, RingView<NetBuffer> from, uint at, uint ready, ref uint room)
    {
        uint limit = _rejectRest ? 0 : Math.Min(Math.Min(ready - at, room), _reportEvery - _sinceReport);
        DmaBuffer<TxDescriptor> ring = _ring;
        Given[] given = _given;
        uint tail = _tail;
        uint givenTail = _givenTail;
        uint excess = MaxFrame - MinFrame;
        BufferWindow window = default;
        uint count = 0;
        for (; count < limit; count++)
        {
            ref readonly NetBuffer slot = ref from[at + count];
            uint length = slot.Length;
            ulong offset = slot.Offset;
            uint grant = slot.Grant;
            if (slot.Flags != NetFlags.None || length - MinFrame > excess) break;
            if (grant != window.Handle && !buffers.TryFind(grant, RegionAccess.Read, out window)) break;
            if (offset + length > window.Length) break;
            ref TxDescriptor descriptor = ref ring[tail + count];
            descriptor.Address = window.Iova.Value + offset;
            descriptor.Control = TxDescriptor.WholeFrame(length);
            given[(givenTail + count) & (uint)(given.Length - 1)] = new Given(slot.Cookie, NetFlags.None);
        }

        _tail = tail + count;
        _givenTail = givenTail + count;
        _sinceReport += count;
        room -= count;
        if (_sinceReport >= _reportEvery) RequestReport();
        return count;
    }

    /// <inheritdoc cref="INetworkPair.TxReturn"/>
    public uint Return(RingProducer<NetBuffer> completed)
    {
        Collect();
        uint count = _givenDone - _givenHead;
        if (count == 0) return 0;
        count = completed.Reserve(count);
        RingView<NetBuffer> slots = completed.Reserved;
        Given[] given = _given;
        uint head = _givenHead;
        for (uint i = 0; i < count; i++)
        {
            ref readonly Given done = ref given[(head + i) & (uint)(given.Length - 1)];
            ref NetBuffer slot = ref slots[i];
            slot.Cookie = done.Cookie;
            slot.Flags = done.Flags;
        }

        _givenHead = head + count;
        completed.Publish(count);
        return count;
    }

    /// <summary>Once a second: a transmitter that has work and finishes nothing is broken.</summary>
    /// <param name="excused">The link is down, or the partner holds the transmitter with PAUSE.</param>
    /// <exception cref="DeviceFaultException">Five seconds without a descriptor written back.</exception>
    public void CheckProgress(bool excused)
    {
        _idleChecks = excused || !Busy || _done != _doneAtCheck ? 0 : _idleChecks + 1;
        _doneAtCheck = _done;
        if (_idleChecks == PatienceSeconds)
            throw new DeviceFaultException($"no transmit descriptor was written back for {PatienceSeconds} s; TDT is {_tail & _mask}, {_tail - _done} wait (STA.DD) [SDM §3.3.3.2]");
    }

    private void Collect()
    {
        bool found = false;
        while (_reportHead != _reportTail)
        {
            Report report = _reports[_reportHead & _mask];
            if ((Volatile.Read(ref _ring[report.Tail - 1].Control) & TxDescriptor.Done) == 0) break;
            _done = report.Tail;
            _givenDone = report.Given;
            _reportHead++;
            found = true;
        }

        if (found) Harvests++;
        // Behind the last report stand only refused requests: a batch always ends with a report.
        if (_reportHead == _reportTail) _givenDone = _givenTail;
    }

    private void RingDoorbell()
    {
        if (_sinceReport != 0) RequestReport();
        MemoryOrder.DescriptorsBeforeDoorbell();
        _doorbell.Write(_tail & _mask);
        Doorbells++;
    }

    private void RequestReport()
    {
        _ring[_tail - 1].Control |= TxDescriptor.ReportStatus;
        _reports[_reportTail++ & _mask] = new Report(_tail, _givenTail);
        _sinceReport = 0;
    }

    private void Reject(in NetBuffer buffer)
    {
        _given[_givenTail++ & _mask] = new Given(buffer.Cookie, NetFlags.Rejected);
        Rejected++;
    }

    /// <summary>A frame with flags: of several buffers, or with an offload. Gathers it whole, checks it, gives it.</summary>
    /// <returns>Buffers taken; 0 to wait for the rest of the frame or for room.</returns>
    private uint ProvideFrame(BufferTable buffers, RingConsumer<NetBuffer> submitted, NetBuffer buffer, uint at, uint ready, ref uint room)
    {
        if (_rejectRest)
        {
            _rejectRest = (buffer.Flags & NetFlags.More) != 0;
            Reject(in buffer);
            return 1;
        }

        uint count = 0;
        uint total = 0;
        bool located = true;
        while (true)
        {
            _frame[count] = buffer;
            located &= buffer.Length <= TxDescriptor.MaxBytes && buffers.TryLocate(in buffer, RegionAccess.Read, out Iova address) && Keep(count, address);
            total += Math.Min(buffer.Length, TxDescriptor.MaxBytes); // at most 64 × 16,288: cannot wrap
            count++;
            if ((buffer.Flags & NetFlags.More) == 0) break;
            // A frame with too many buffers, or with more than the client's whole ring, cannot become whole.
            if (count == _maxChain || (at == 0 && count == submitted.Capacity)) return RejectFrame(count, endless: true);
            if (at + count == ready) return 0;
            buffer = submitted.Read(at + count);
        }

        if (!located || !IsValid(_frame[0], count, total)) return RejectFrame(count, endless: false);
        return Give(count, total, ref room) ? count : 0;
    }

    private bool Keep(uint index, Iova address)
    {
        _addresses[index] = address.Value;
        return true;
    }

    private uint RejectFrame(uint count, bool endless)
    {
        for (uint i = 0; i < count; i++) Reject(in _frame[i]);
        _rejectRest = endless;
        return count;
    }

    private bool IsValid(in NetBuffer first, uint count, uint total)
    {
        NetFlags flags = first.Flags;
        if ((flags & ~Known) != 0 || total < MinFrame || ((flags & NetFlags.Segment) != 0 && !Segmentation)) return false;
        for (uint i = 1; i < count; i++)
            if ((_frame[i].Flags & ~NetFlags.More) != 0) return false;
        uint limit = MaxFrame;
        if ((flags & NetFlags.Vlan) != 0)
        {
            if (!VlanOffload) return false;
            limit -= VlanTagBytes;
        }

        return (flags & (Checksums | NetFlags.Segment)) == 0
            ? total <= limit && (flags & NetFlags.Ipv6) == 0
            : IsValidOffload(first, total, limit);
    }

    private static bool IsValidOffload(in NetBuffer first, uint total, uint limit)
    {
        NetFlags flags = first.Flags;
        uint transport = (uint)first.LinkHeader + first.NetworkHeader;
        const NetFlags both = NetFlags.TcpChecksum | NetFlags.UdpChecksum;
        if (first.LinkHeader < MinFrame || first.NetworkHeader < 20 || (flags & both) == both) return false;
        if ((flags & NetFlags.Ipv6) != 0 && ((flags & NetFlags.Ipv4Checksum) != 0 || first.NetworkHeader < 40)) return false;
        if ((flags & NetFlags.Segment) == 0)
        {
            // The checksum field, two bytes at offset 16 for TCP and 6 for UDP, lies in the frame and is named by eight bits [SDM §3.3.6].
            uint end = transport + ((flags & NetFlags.TcpChecksum) != 0 ? 18u : (flags & NetFlags.UdpChecksum) != 0 ? 8u : 0);
            return end <= total && transport + 16 <= FieldLimit && total <= limit;
        }

        uint header = transport + first.TransportHeader;
        return (flags & both) == NetFlags.TcpChecksum && first.TransportHeader >= 20 && header <= FieldLimit
            && header < total && total <= MaxSegmentedFrame && first.SegmentSize != 0 && header + first.SegmentSize <= limit;
    }

    private bool Give(uint count, uint total, ref uint room)
    {
        ref readonly NetBuffer first = ref _frame[0];
        bool offload = (first.Flags & (Checksums | NetFlags.Segment)) != 0;
        TxContext context = offload ? TxContext.Of(first, total) : default;
        // The device keeps the last context, perhaps one a kind: comparing with the last one is right for both [SDM §3.3.5].
        bool renew = offload && context != _context;
        uint needed = count + (renew ? 1u : 0);
        if (needed > room) return false;
        room -= needed;
        if (renew)
        {
            ref TxDescriptor descriptor = ref _ring[_tail++];
            descriptor.Address = context.Offsets;
            descriptor.Control = context.Control;
            _context = context;
        }

        // VLE and the tag are read from the last descriptor, with TSE from the first; POPTS from the first by the manual, from the
        // last by QEMU 7.2's 82574: all of them carry all [SDM §3.3.7.1, §3.3.7.3].
        ulong control = ControlOf(first, offload);
        for (uint i = 0; i < count; i++)
        {
            ref TxDescriptor descriptor = ref _ring[_tail++];
            descriptor.Address = _addresses[i];
            descriptor.Control = control | _frame[i].Length | (i == count - 1 ? TxDescriptor.EndOfPacket : 0);
            _given[_givenTail++ & _mask] = new Given(_frame[i].Cookie, NetFlags.None);
        }

        _sinceReport += needed;
        if (_sinceReport >= _reportEvery) RequestReport();
        return true;
    }

    private static ulong ControlOf(in NetBuffer first, bool offload)
    {
        NetFlags flags = first.Flags;
        ulong control = TxDescriptor.InsertFcs;
        if ((flags & NetFlags.Vlan) != 0) control |= TxDescriptor.InsertVlan | ((ulong)first.VlanTag << TxDescriptor.VlanShift);
        if (!offload) return control;
        control |= TxDescriptor.DataType | TxDescriptor.Extension;
        bool segment = (flags & NetFlags.Segment) != 0;
        if (segment) control |= TxDescriptor.Segment;
        if ((flags & (NetFlags.TcpChecksum | NetFlags.UdpChecksum)) != 0) control |= TxDescriptor.InsertTransportChecksum;
        if ((flags & NetFlags.Ipv4Checksum) != 0 || (segment && (flags & NetFlags.Ipv6) == 0)) control |= TxDescriptor.InsertIpChecksum;
        return control;
    }

    /// <summary>A descriptor with RS: the counts of descriptors and of buffers that are done when it is.</summary>
    private readonly record struct Report(uint Tail, uint Given);

    /// <summary>A buffer that the client gets back: all that it needs of it.</summary>
    private readonly record struct Given(ulong Cookie, NetFlags Flags);
}
