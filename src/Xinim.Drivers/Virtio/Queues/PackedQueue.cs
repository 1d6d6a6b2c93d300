using System.Numerics;
using System.Runtime.CompilerServices;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Rings;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Virtio.Queues;

/// <summary>
/// A packed virtqueue [V §2.8]. A mutable struct: keep it in one field and pass it by reference. Positions are free-running counts; the slot
/// is the count masked, the wrap counter the bit above it, inverted [V §2.8.1]. The device polls one slot only, so that a whole batch stays
/// hidden until the word of its first descriptor is written.
/// </summary>
public struct PackedQueue : IVirtQueue
{
    private const uint EventEnable = 0; // RING_EVENT_FLAGS_ENABLE [V §2.8.10]
    private const uint EventDisable = 1; // RING_EVENT_FLAGS_DISABLE [V §2.8.10]
    private const uint EventDescriptor = 2; // RING_EVENT_FLAGS_DESC [V §2.8.10]
    private const uint EventOffset = 0x7fff; // desc_event_off [V §2.8.14]
    private const int EventWrapShift = 15; // desc_event_wrap [V §2.8.14]
    private const int EventFlagsShift = 16; // desc_event_flags [V §2.8.14]
    private const uint EventFlags = 3; // desc_event_flags [V §2.8.14]
    private const uint BothMarks = VirtDescriptor.Available | VirtDescriptor.Used;
    private const uint CacheLine = 64;

    private readonly DmaBuffer<VirtDescriptor> _ring;
    private readonly DmaBuffer<uint> _deviceEvent;
    private readonly DmaBuffer<uint> _driverEvent;
    private readonly IndirectTables _tables;
    private readonly int _lapShift;
    private readonly bool _inOrder;
    private readonly bool _eventIndex;
    private BufferLedger _ledger;

    /// <summary>Descriptors added, published and given back by the device, free-running.</summary>
    private uint _next;
    private uint _shown;
    private uint _used;

    /// <summary>The word of the batch's first descriptor.</summary>
    private ulong _first;

    private bool _interrupts;

    /// <param name="features">What was negotiated, with RING_PACKED.</param>
    /// <inheritdoc cref="SplitQueue(VirtioFeatures, DmaArena, uint, string, uint)"/>
    public PackedQueue(VirtioFeatures features, DmaArena arena, uint size, string name = "virtqueue", uint indirectParts = 0)
    {
        if ((features & VirtioFeatures.RingPacked) == 0) throw new ArgumentException($"{name}: packed queues were not negotiated", nameof(features));
        VirtQueueLayout layout = VirtQueueLayout.Packed(size);
        _ring = arena.Allocate<VirtDescriptor>(size, CacheLine);
        _driverEvent = arena.Allocate<uint>(layout.Driver.Bytes / sizeof(uint), CacheLine);
        _deviceEvent = arena.Allocate<uint>(layout.Device.Bytes / sizeof(uint), CacheLine);
        _tables = new IndirectTables(features, arena, size, indirectParts);
        _lapShift = BitOperations.Log2(size);
        _inOrder = (features & VirtioFeatures.InOrder) != 0;
        _eventIndex = (features & VirtioFeatures.EventIndex) != 0;
        _ledger = new BufferLedger(name, size);
        Memory = new VirtQueueMemory(size, _ring.Iova, _driverEvent.Iova, _deviceEvent.Iova);
        Reset();
    }

    public readonly uint Size => Memory.Size;

    public readonly uint Free => Size - (_next - _used);

    public readonly uint Outstanding => _ledger.Added - _ledger.Taken;

    public VirtQueueMemory Memory { get; }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Add(Iova at, uint length, bool deviceWrites)
    {
        if (Free == 0) return -1;
        uint id = _ledger.Next();
        Write(at, length, id, deviceWrites ? VirtDescriptor.Write : 0);
        _ledger.Open(id, deviceWrites ? length : 0, parts: 1, numbers: 1);
        return (int)id;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Add(VirtSegment first, VirtSegment second, int readable)
    {
        if (Free < 2) return -1;
        uint id = _ledger.Next();
        uint firstWrite = readable > 0 ? 0 : VirtDescriptor.Write;
        uint secondWrite = readable > 1 ? 0 : VirtDescriptor.Write;
        Write(first.At, first.Length, id, firstWrite | VirtDescriptor.Next);
        Write(second.At, second.Length, id, secondWrite);
        _ledger.Open(id, (firstWrite != 0 ? first.Length : 0) + (secondWrite != 0 ? second.Length : 0), parts: 2, numbers: 1);
        return (int)id;
    }

    public int Add(ReadOnlySpan<VirtSegment> parts, int readable)
    {
        uint room = VirtParts.Check(parts, readable, Size);
        if (_tables.Takes(parts.Length)) return AddIndirect(parts, readable, room);
        if (Free < (uint)parts.Length) return -1;
        uint id = _ledger.Next();
        for (int i = 0; i < parts.Length; i++)
        {
            uint flags = (i < readable ? 0 : VirtDescriptor.Write) | (i < parts.Length - 1 ? VirtDescriptor.Next : 0);
            Write(parts[i].At, parts[i].Length, id, flags);
        }

        _ledger.Open(id, room, (uint)parts.Length, numbers: 1);
        return (int)id;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Publish()
    {
        uint old = _shown;
        if (_next == old) return false;
        _shown = _next;
        _ledger.Publish();
        MemoryOrder.PublishDescriptor(ref _ring[old].Control, _first);
        MemoryOrder.PublishBeforeWakeCheck();
        uint suppression = Volatile.Read(ref _deviceEvent[0]);
        uint flags = (suppression >> EventFlagsShift) & EventFlags;
        return _eventIndex && flags == EventDescriptor ? Passed(suppression, old) : flags != EventDisable;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Take(out uint written)
    {
        uint id;
        uint parts;
        if (_inOrder && !_ledger.BatchOver)
        {
            id = _ledger.CloseNext(out written, out parts);
        }
        else if (!IsUsed(out ulong word))
        {
            written = 0;
            return -1;
        }
        else
        {
            id = (ushort)(word >> 32);
            // Valid with VIRTQ_DESC_F_WRITE by [V §2.8.4]; QEMU 7.2 never sets that flag, and a buffer that cannot be written to has no length.
            written = (uint)word;
            if (_inOrder)
            {
                _ledger.BeginBatch(id, ref written, _ledger.Published - _ledger.Taken);
                id = _ledger.CloseNext(out written, out parts);
            }
            else
            {
                parts = _ledger.Close(id, ref written);
            }
        }

        // The next used descriptor stands behind all those of this buffer [V §2.8.6].
        _used += parts;
        return (int)id;
    }

    public bool EnableInterrupts(bool late = false)
    {
        _interrupts = true;
        uint position = late ? _used + ((_shown - _used) / 2) : _used;
        uint place = (position & (Size - 1)) | (Wrap(position) << EventWrapShift);
        Volatile.Write(ref _driverEvent[0], _eventIndex ? place | (EventDescriptor << EventFlagsShift) : EventEnable << EventFlagsShift);
        MemoryOrder.PublishBeforeWakeCheck();
        return !(_inOrder && !_ledger.BatchOver) && !IsUsed(out _);
    }

    public void DisableInterrupts()
    {
        if (!_interrupts) return;
        _interrupts = false;
        Volatile.Write(ref _driverEvent[0], EventDisable << EventFlagsShift);
    }

    public void Reset()
    {
        _ledger.Reset();
        _next = _shown = _used = 0;
        _first = 0;
        _ring.Fill(0); // [V §2.8.13]
        _deviceEvent[0] = 0;
        _interrupts = true;
        DisableInterrupts();
    }

    /// <summary>The wrap counter at a position: 1 in the first lap [V §2.8.1].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly uint Wrap(uint position) => ~(position >> _lapShift) & 1;

    /// <summary>Writes the next descriptor, as available; the first of a batch only to a field.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Write(Iova at, uint length, uint id, uint flags)
    {
        uint position = _next++;
        // AVAIL as the wrap counter says, USED the inverse [V §2.8.1].
        uint mark = VirtDescriptor.Used >> (int)(Wrap(position) << 3);
        ulong word = VirtDescriptor.Packed(length, id, flags | mark);
        ref VirtDescriptor descriptor = ref _ring[position];
        descriptor.Address = at.Value;
        if (position == _shown) _first = word;
        else descriptor.Control = word;
    }

    private int AddIndirect(ReadOnlySpan<VirtSegment> parts, int readable, uint room)
    {
        if (Free == 0) return -1;
        uint id = _ledger.Next();
        for (int i = 0; i < parts.Length; i++)
        {
            ref VirtDescriptor entry = ref _tables[id, (uint)i];
            entry.Address = parts[i].At.Value;
            entry.Control = VirtDescriptor.Packed(parts[i].Length, 0, i < readable ? 0 : VirtDescriptor.Write);
        }

        Write(new Iova(_tables.Address(id)), (uint)parts.Length * VirtQueueLayout.DescriptorBytes, id, VirtDescriptor.Indirect);
        _ledger.Open(id, room, parts: 1, numbers: 1);
        return (int)id;
    }

    /// <summary>Looks at the one place where the next used descriptor appears: both marks as the wrap counter says [V §2.8.1, §2.8.2].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly bool IsUsed(out ulong word)
    {
        word = MemoryOrder.ObserveDescriptor(ref _ring[_used].Control);
        uint marks = (uint)(word >> 48) & BothMarks;
        return marks == (Wrap(_used) != 0 ? BothMarks : 0);
    }

    /// <summary>True where the descriptor that the device named is among the new ones [V §2.8.10].</summary>
    private readonly bool Passed(uint suppression, uint old)
    {
        uint wrap = (suppression >> EventWrapShift) & 1;
        // Of another lap than the next descriptor: of the one before.
        uint place = (suppression & EventOffset) - (wrap == Wrap(_next) ? 0 : Size);
        return (_next & (Size - 1)) - place - 1 < _next - old;
    }
}
