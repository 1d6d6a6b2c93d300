using System.Runtime.CompilerServices;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Network.E1000;

/// <summary>
/// The receive ring [SDM §3.2.6]. Indices are free-running counts; only descriptors that the device was told of are looked at, each result
/// is loaded once, and which buffer it belongs to is kept in private memory.
/// </summary>
internal sealed class E1000RxQueue
{
    /// <summary>Buffers that one frame can fill: 16,384 bytes are the most that the device accepts [SDM §13.4.22, LPE].</summary>
    public const uint MaxChain = 16384 / E1000Hardware.RxBufferBytes;

    private const uint DoorbellBatch = 64;
    private const uint MinFrame = 14;

    private readonly DmaBuffer<RxDescriptor> _ring;
    private readonly WriteOnlyRegister<uint> _doorbell;
    private readonly RxLayout _layout;
    private readonly NetBuffer[] _given;
    private readonly NetBuffer[] _refused;
    private readonly uint _mask;
    private uint _tail;
    private uint _rung;
    private uint _head;
    private uint _refusedTail;
    private uint _refusedHead;
    private bool _urgent;
    private BufferTable? _buffers;

    public E1000RxQueue(DmaBuffer<RxDescriptor> ring, WriteOnlyRegister<uint> doorbell, RxLayout layout)
    {
        _ring = ring;
        _doorbell = doorbell;
        _layout = layout;
        _mask = ring.Count - 1;
        _given = new NetBuffer[ring.Count];
        _refused = new NetBuffer[ring.Count];
    }

    public DmaBuffer<RxDescriptor> Ring => _ring;

    /// <summary>Bytes of the largest frame to deliver; the device itself knows only 1,518 and 16,384.</summary>
    public uint MaxFrame { get; private set; } = 1518;

    /// <summary>True where the device strips tags.</summary>
    public bool VlanOffload { get; private set; }

    /// <summary>True where checksum results are reported.</summary>
    public bool ReportChecksums { get; private set; }

    /// <summary>Frames given back as unused because they were damaged or too long.</summary>
    public ulong Dropped { get; private set; }

    public ulong Doorbells { get; private set; }

    /// <summary>Frames that left the device's ring, free-running.</summary>
    public uint Frames { get; private set; }

    /// <summary>Calls of <see cref="Return"/> that found frames, free-running.</summary>
    public uint Harvests { get; private set; }

    /// <summary>Forgets every buffer. The device is reset and its RDH and RDT are 0.</summary>
    public void Reset()
    {
        _tail = _rung = _head = _refusedTail = _refusedHead = 0;
        _urgent = false;
        _buffers = null;
        _ring.Fill(0xff); // an address that no region has: a descriptor that was not written makes the IOMMU speak
    }

    public void Attach(BufferTable buffers) => _buffers = buffers;

    /// <summary>Takes what of the filters concerns the data path.</summary>
    public void Apply(E1000Filters filters)
    {
        MaxFrame = filters.MaxFrame;
        VlanOffload = filters.VlanOffload;
        ReportChecksums = filters.ReportChecksums;
    }

    /// <inheritdoc cref="INetworkPair.RxProvide"/>
    public uint Provide(RingConsumer<NetBuffer> free)
    {
        if (_buffers is not { } buffers) return 0;
        uint room = Math.Min(_mask - (_tail - _head), _mask + 1 - (_refusedTail - _refusedHead)); // RDT = RDH means none [SDM §3.2.6]
        uint ready = free.Peek(room);
        for (uint i = 0; i < ready; i++)
        {
            NetBuffer buffer = free.Read(i);
            if (buffer.Length < E1000Hardware.RxBufferBytes || !buffers.TryLocate(in buffer, RegionAccess.Write, out Iova address))
            {
                buffer.Flags = NetFlags.Rejected;
                _refused[_refusedTail++ & _mask] = buffer;
                continue;
            }

            ref RxDescriptor descriptor = ref _ring[_tail];
            descriptor.Address = address.Value;
            descriptor.Result = 0;
            _given[_tail++ & _mask] = buffer;
        }

        if (ready != 0) free.Release(ready);
        // A doorbell stalls QEMU's receive thread and costs a bus write on hardware: not before a batch is together or the device
        // has used up half of what it knows of.
        uint pending = _tail - _rung;
        if (pending != 0 && (pending >= DoorbellBatch || pending * 2 >= _rung - _head || _urgent)) RingDoorbell();
        return ready;
    }

    /// <summary>Tells the device of every buffer, before the loop sleeps.</summary>
    public void Flush()
    {
        if (_tail != _rung) RingDoorbell();
    }

    /// <summary>The device ran out of buffers, or nearly: the next ones are announced at once.</summary>
    public void Hurry() => _urgent = true;

    /// <inheritdoc cref="INetworkPair.RxReturn"/>
    /// <exception cref="DeviceFaultException">A descriptor says what no working device says.</exception>
    public uint Return(RingProducer<NetBuffer> received)
    {
        uint outstanding = _rung - _head;
        uint room = received.Reserve(outstanding + (_refusedTail - _refusedHead));
        uint put = ReturnRefused(received, room);
        uint head = _head;
        uint end = _rung;
        uint frames = 0;
        RxLayout layout = _layout;
        while (put < room && head != end)
        {
            ulong result = Volatile.Read(ref _ring[head].Result);
            uint status = (uint)(result >> layout.StatusShift);
            if ((status & RxLayout.Done) == 0) break;
            uint count = 1;
            uint length = (ushort)(result >> layout.LengthShift);
            if ((status & RxLayout.EndOfPacket) == 0)
            {
                count = MeasureChain(head, end, ref result, ref length);
                if (count == 0 || count > room - put) break;
            }
            else if (length > E1000Hardware.RxBufferBytes)
            {
                Fault(head, result, $"a length of {length} bytes in a buffer of {E1000Hardware.RxBufferBytes}");
            }

            Deliver(received, put, head, count, length, result);
            put += count;
            head += count;
            frames++;
        }

        _head = head;
        Frames += frames;
        if (frames != 0) Harvests++;
        if (put != 0) received.Publish(put);
        return put;
    }

    private uint ReturnRefused(RingProducer<NetBuffer> received, uint room)
    {
        uint count = Math.Min(_refusedTail - _refusedHead, room);
        for (uint i = 0; i < count; i++) received[i] = _refused[_refusedHead++ & _mask];
        return count;
    }

    /// <summary>Follows a frame over its descriptors. Every one but the last is full [SDM §3.2.2].</summary>
    /// <param name="head">The first descriptor.</param>
    /// <param name="end">The first that the device does not know of.</param>
    /// <param name="result">Of the last one, where the result is not 0.</param>
    /// <param name="total">Bytes of the frame, where the result is not 0.</param>
    /// <returns>Descriptors; 0 while the device has not finished the frame.</returns>
    private uint MeasureChain(uint head, uint end, ref ulong result, ref uint total)
    {
        uint bytes = 0;
        for (uint count = 0; head + count != end; count++)
        {
            ulong part = Volatile.Read(ref _ring[head + count].Result);
            uint status = (uint)(part >> _layout.StatusShift);
            if ((status & RxLayout.Done) == 0) return 0;
            uint length = (ushort)(part >> _layout.LengthShift);
            bool last = (status & RxLayout.EndOfPacket) != 0;
            if (last ? length > E1000Hardware.RxBufferBytes : length != E1000Hardware.RxBufferBytes)
                Fault(head + count, part, $"a length of {length} bytes {(last ? "at the end" : "inside")} of a frame over buffers of {E1000Hardware.RxBufferBytes}");
            bytes += length;
            if (last)
            {
                result = part;
                total = bytes;
                return count + 1;
            }

            if (count + 1 == MaxChain) Fault(head + count, part, $"a frame that does not end after {MaxChain} buffers");
        }

        return 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Deliver(RingProducer<NetBuffer> received, uint put, uint head, uint count, uint length, ulong result)
    {
        bool damaged = ((uint)(result >> _layout.ErrorShift) & RxLayout.FrameErrors) != 0;
        if (damaged || length - MinFrame > MaxFrame - MinFrame)
        {
            Drop(received, put, head, count);
            return;
        }

        for (; count > 1; count--, length -= E1000Hardware.RxBufferBytes)
        {
            NetBuffer part = _given[head++ & _mask];
            part.Length = E1000Hardware.RxBufferBytes;
            part.Flags = NetFlags.More;
            received[put++] = part;
        }

        NetBuffer buffer = _given[head & _mask];
        buffer.Length = length;
        buffer.Flags = NetFlags.None;
        buffer.VlanTag = 0;
        uint status = (uint)(result >> _layout.StatusShift);
        if ((status & (RxLayout.Vlan | RxLayout.TransportChecked | RxLayout.IpChecked)) != 0) Describe(ref buffer, status, result);
        received[put] = buffer;
    }

    private void Describe(ref NetBuffer buffer, uint status, ulong result)
    {
        if ((status & RxLayout.Vlan) != 0 && VlanOffload)
        {
            buffer.Flags |= NetFlags.Vlan;
            buffer.VlanTag = (ushort)(result >> RxLayout.VlanShift);
        }

        if (!ReportChecksums || (status & RxLayout.IgnoreChecksum) != 0) return;
        uint errors = (uint)(result >> _layout.ErrorShift);
        if ((status & RxLayout.IpChecked) != 0)
            buffer.Flags |= (errors & RxLayout.IpWrong) != 0 ? NetFlags.ChecksumBad : NetFlags.Ipv4Checksum;
        if ((status & RxLayout.TransportChecked) != 0)
            buffer.Flags |= (errors & RxLayout.TransportWrong) != 0 ? NetFlags.ChecksumBad : NetFlags.TransportChecksum;
    }

    private void Drop(RingProducer<NetBuffer> received, uint put, uint head, uint count)
    {
        for (uint i = 0; i < count; i++)
        {
            NetBuffer buffer = _given[(head + i) & _mask];
            buffer.Length = 0;
            buffer.Flags = NetFlags.Unused;
            received[put + i] = buffer;
        }

        Dropped++;
    }

    private void RingDoorbell()
    {
        MemoryOrder.DescriptorsBeforeDoorbell();
        _rung = _tail;
        _doorbell.Write(_rung & _mask);
        _urgent = false;
        Doorbells++;
    }

    private void Fault(uint index, ulong result, string what)
        => throw new DeviceFaultException($"receive descriptor {index & _mask} (0x{result:x16}) reports {what} [SDM §3.2.3]");
}
