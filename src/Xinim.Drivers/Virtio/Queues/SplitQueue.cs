using System.Runtime.CompilerServices;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Rings;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Virtio.Queues;

/// <summary>
/// A split virtqueue [V §2.7]. A mutable struct: keep it in one field and pass it by reference. A buffer's number is that of its first
/// descriptor. The available ring keeps what it holds where that is right already, and used.idx is read when everything that it stood for
/// was taken: in steady state each line of memory changes hands once a batch.
/// </summary>
public struct SplitQueue : IVirtQueue
{
    private const ushort NoInterrupt = 1; // VIRTQ_AVAIL_F_NO_INTERRUPT [V §2.7.6]
    private const ushort NoNotify = 1; // VIRTQ_USED_F_NO_NOTIFY [V §2.7.8]
    private const uint CacheLine = 64;

    private readonly DmaBuffer<VirtDescriptor> _descriptors;
    private readonly DmaBuffer<ushort> _availRing;
    private readonly DmaBuffer<ushort> _availIndex;
    private readonly DmaBuffer<UsedElement> _usedRing;
    private readonly DmaBuffer<ushort> _usedIndex;
    private readonly DmaBuffer<ushort> _availEvent;
    private readonly DmaBuffer<ushort> _usedFlags;
    private readonly DmaBuffer<ushort> _usedEvent;
    private readonly DmaBuffer<ushort> _availFlags;
    private readonly IndirectTables _tables;

    /// <summary>The descriptor behind each one in its chain. What the device sees of it is not read back.</summary>
    private readonly ushort[] _links;

    private readonly bool _inOrder;
    private readonly bool _eventIndex;
    private BufferLedger _ledger;

    /// <summary>used.idx when it was last read, free-running.</summary>
    private uint _seen;

    private bool _interrupts;

    /// <param name="features">What was negotiated; not RING_PACKED.</param>
    /// <param name="arena">For rings and indirect tables.</param>
    /// <param name="size">Entries, a power of two up to 32,768 [V §2.7].</param>
    /// <param name="name">For messages.</param>
    /// <param name="indirectParts">Parts of a buffer that there are indirect tables for, where the feature is negotiated.</param>
    public SplitQueue(VirtioFeatures features, DmaArena arena, uint size, string name = "virtqueue", uint indirectParts = 0)
    {
        if ((features & VirtioFeatures.RingPacked) != 0) throw new ArgumentException($"{name}: packed queues were negotiated", nameof(features));
        VirtQueueLayout layout = VirtQueueLayout.Split(size);
        _descriptors = arena.Allocate<VirtDescriptor>(size, CacheLine);
        DmaBlock available = arena.AllocateBlock(layout.Driver.Bytes, CacheLine);
        _availFlags = available.View<ushort>(VirtQueueLayout.FlagsOffset, 1);
        _availIndex = available.View<ushort>(VirtQueueLayout.IndexOffset, 1);
        _availRing = available.View<ushort>(VirtQueueLayout.RingOffset, size);
        _usedEvent = available.View<ushort>(VirtQueueLayout.UsedEventOffset(size), 1);
        DmaBlock used = arena.AllocateBlock(layout.Device.Bytes, CacheLine);
        _usedFlags = used.View<ushort>(VirtQueueLayout.FlagsOffset, 1);
        _usedIndex = used.View<ushort>(VirtQueueLayout.IndexOffset, 1);
        _usedRing = used.View<UsedElement>(VirtQueueLayout.RingOffset, size);
        _availEvent = used.View<ushort>(VirtQueueLayout.AvailEventOffset(size), 1);
        _tables = new IndirectTables(features, arena, size, indirectParts);
        _links = new ushort[size];
        _inOrder = (features & VirtioFeatures.InOrder) != 0;
        _eventIndex = (features & VirtioFeatures.EventIndex) != 0;
        _ledger = new BufferLedger(name, size);
        Memory = new VirtQueueMemory(size, _descriptors.Iova, available.Iova, used.Iova);
        Reset();
    }

    public readonly uint Size => Memory.Size;

    public readonly uint Free => _ledger.Free;

    public readonly uint Outstanding => _ledger.Added - _ledger.Taken;

    public VirtQueueMemory Memory { get; }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Add(Iova at, uint length, bool deviceWrites)
    {
        if (_ledger.Free == 0) return -1;
        uint id = _ledger.Next();
        Write(id, at, VirtDescriptor.Split(length, deviceWrites ? VirtDescriptor.Write : 0));
        return Offer(id, deviceWrites ? length : 0, 1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Add(VirtSegment first, VirtSegment second, int readable)
    {
        if (_ledger.Free < 2) return -1;
        uint id = _ledger.Next();
        uint link = _ledger.Next(1);
        uint firstWrite = readable > 0 ? 0 : VirtDescriptor.Write;
        uint secondWrite = readable > 1 ? 0 : VirtDescriptor.Write;
        Write(id, first.At, VirtDescriptor.Split(first.Length, firstWrite | VirtDescriptor.Next, link));
        Write(link, second.At, VirtDescriptor.Split(second.Length, secondWrite));
        _links[id] = (ushort)link;
        return Offer(id, (firstWrite != 0 ? first.Length : 0) + (secondWrite != 0 ? second.Length : 0), 2);
    }

    public int Add(ReadOnlySpan<VirtSegment> parts, int readable)
    {
        uint room = VirtParts.Check(parts, readable, Size);
        if (_tables.Takes(parts.Length)) return AddIndirect(parts, readable, room);
        if (_ledger.Free < (uint)parts.Length) return -1;
        uint last = (uint)parts.Length - 1;
        uint head = _ledger.Next();
        uint id = head;
        for (uint i = 0; i <= last; i++)
        {
            VirtSegment part = parts[(int)i];
            uint flags = i < readable ? 0 : VirtDescriptor.Write;
            uint link = i == last ? 0 : _ledger.Next(i + 1);
            Write(id, part.At, VirtDescriptor.Split(part.Length, i == last ? flags : flags | VirtDescriptor.Next, link));
            _links[id] = (ushort)link;
            id = link;
        }

        return Offer(head, room, (uint)parts.Length);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Publish()
    {
        uint old = _ledger.Published;
        uint added = _ledger.Added;
        if (added == old) return false;
        _ledger.Publish();
        MemoryOrder.PublishIndex(ref _availIndex[0], (ushort)added);
        MemoryOrder.PublishBeforeWakeCheck();
        // The event lies among the entries that are new [V §2.7.10.1].
        return _eventIndex
            ? (ushort)(added - 1 - Volatile.Read(ref _availEvent[0])) < (ushort)(added - old)
            : (Volatile.Read(ref _usedFlags[0]) & NoNotify) == 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Take(out uint written)
    {
        if (_seen == _ledger.Taken && !Look())
        {
            written = 0;
            return -1;
        }

        uint id;
        uint parts;
        if (_inOrder)
        {
            if (_ledger.BatchOver) BeginBatch();
            id = _ledger.CloseNext(out written, out parts);
        }
        else
        {
            ref UsedElement used = ref _usedRing[_ledger.Taken];
            id = Volatile.Read(ref used.Id);
            written = Volatile.Read(ref used.Length);
            parts = _ledger.Close(id, ref written);
        }

        if (parts > 1) GiveBackChain(id, parts);
        return (int)id;
    }

    public bool EnableInterrupts(bool late = false)
    {
        _interrupts = true;
        if (_eventIndex) Volatile.Write(ref _usedEvent[0], (ushort)(_ledger.Taken + (late ? (_ledger.Published - _ledger.Taken) / 2 : 0)));
        else Volatile.Write(ref _availFlags[0], 0);
        MemoryOrder.PublishBeforeWakeCheck();
        return _seen == _ledger.Taken && !Look();
    }

    public void DisableInterrupts()
    {
        if (!_interrupts) return;
        _interrupts = false;
        // With EVENT_IDX flags stay 0 [V §2.7.7.1]: the event goes to the entry that is farthest away.
        if (_eventIndex) Volatile.Write(ref _usedEvent[0], (ushort)(_ledger.Taken - 1));
        else Volatile.Write(ref _availFlags[0], NoInterrupt);
    }

    public void Reset()
    {
        _ledger.Reset();
        _seen = 0;
        _descriptors.Fill(0);
        for (uint i = 0; i < Size; i++) _availRing[i] = (ushort)i;
        _usedRing.Fill(0);
        _availIndex[0] = _usedIndex[0] = _usedFlags[0] = _availEvent[0] = _availFlags[0] = _usedEvent[0] = 0;
        _interrupts = true;
        DisableInterrupts();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Write(uint id, Iova at, ulong control)
    {
        ref VirtDescriptor descriptor = ref _descriptors[id];
        descriptor.Address = at.Value;
        descriptor.Control = control;
    }

    /// <summary>Puts a chain into the available ring, where the device does not see it before <see cref="Publish"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Offer(uint id, uint room, uint parts)
    {
        // A line that is not written stays in the device's cache too.
        ref ushort entry = ref _availRing[_ledger.Added];
        if (entry != id) entry = (ushort)id;
        _ledger.Open(id, room, parts, parts);
        return (int)id;
    }

    private int AddIndirect(ReadOnlySpan<VirtSegment> parts, int readable, uint room)
    {
        if (_ledger.Free == 0) return -1;
        uint id = _ledger.Next();
        uint last = (uint)parts.Length - 1;
        for (uint i = 0; i <= last; i++)
        {
            uint flags = (i < readable ? 0 : VirtDescriptor.Write) | (i < last ? VirtDescriptor.Next : 0);
            ref VirtDescriptor entry = ref _tables[id, i];
            entry.Address = parts[(int)i].At.Value;
            entry.Control = VirtDescriptor.Split(parts[(int)i].Length, flags, i < last ? i + 1 : 0);
        }

        Write(id, new Iova(_tables.Address(id)), VirtDescriptor.Split((uint)parts.Length * VirtQueueLayout.DescriptorBytes, VirtDescriptor.Indirect));
        return Offer(id, room, 1);
    }

    /// <summary>Reads used.idx. [V §2.7.8]</summary>
    /// <returns>False where nothing is new.</returns>
    private bool Look()
    {
        ushort index = MemoryOrder.ObserveIndex(ref _usedIndex[0]);
        uint fresh = (ushort)(index - _ledger.Taken);
        if (fresh > _ledger.Published - _ledger.Taken) _ledger.ThrowIndex(index);
        _seen = _ledger.Taken + fresh;
        return fresh != 0;
    }

    /// <summary>The entry of a batch stands where its first buffer's would, and names its last [V §2.7.9].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void BeginBatch()
    {
        ref UsedElement used = ref _usedRing[_ledger.Taken];
        uint written = Volatile.Read(ref used.Length);
        _ledger.BeginBatch(Volatile.Read(ref used.Id), ref written, _seen - _ledger.Taken);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void GiveBackChain(uint id, uint parts)
    {
        for (; parts > 1; parts--)
        {
            id = _links[id];
            _ledger.GiveBack(id);
        }
    }
}
