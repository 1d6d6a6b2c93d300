using System.Runtime.CompilerServices;
using Xinim.Ipc.Memory;

namespace Xinim.Ipc.Rings;

/// <summary>
/// The writing end of a ring: <see cref="Reserve"/>, fill <c>this[0..n)</c>, <see cref="Publish"/>. One thread only.
/// Nothing that the peer writes can make it touch memory outside the ring.
/// </summary>
public sealed unsafe class RingProducer<T>
    where T : unmanaged
{
    private readonly T* _elements;
    private readonly RingHeader* _header;
    private readonly uint _mask;
    private uint _tail;
    private uint _cachedHead;
    private readonly SharedRegion _region;

    /// <summary>Attaches to the ring at <paramref name="offset"/>, continuing where its published index stands.</summary>
    /// <exception cref="RingException">The header is not that of a ring of T of this generation inside the region.</exception>
    public RingProducer(SharedRegion region, long offset, uint generation)
    {
        RingHeader header = MessageRing.CheckHeader<T>(region, offset, generation);
        _region = region;
        _header = (RingHeader*)region.Locate(offset, RingHeader.Bytes);
        _elements = (T*)region.Locate(offset + RingHeader.Bytes, (long)header.Capacity * sizeof(T));
        _mask = header.Capacity - 1;
        _tail = header.Tail;
        _cachedHead = header.Head;
        _ = Used(_cachedHead);
    }

    /// <summary>Elements that the ring holds when full.</summary>
    public uint Capacity => _mask + 1;

    /// <summary>Slots that are free for sure: what <see cref="Reserve"/> gives without a look at the peer's index, which can be nonsense.</summary>
    public uint KnownFree => Capacity - (_tail - _cachedHead);

    /// <summary>How many slots may be filled now, at most <paramref name="wanted"/>. The peer's index is looked at only when the cached one does not do.</summary>
    /// <exception cref="RingException">The consumer's index is one that it cannot have.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Reserve(uint wanted)
    {
        uint free = Capacity - (_tail - _cachedHead);
        if (free < wanted) free = Refresh();
        return Math.Min(free, wanted);
    }

    /// <summary>The i-th reserved slot. The index is masked: it cannot leave the ring.</summary>
    public ref T this[uint index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref _elements[(_tail + index) & _mask];
    }

    /// <summary>The reserved slots for a loop; at most as many as <see cref="Reserve"/> said may be filled.</summary>
    public RingView<T> Reserved => new(_elements, _tail, _mask);

    /// <summary>Hands the first <paramref name="count"/> reserved slots to the consumer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Publish(uint count)
    {
        _tail += count;
        MemoryOrder.PublishIndex(ref _header->Tail, _tail);
    }

    private uint Refresh()
    {
        uint head = MemoryOrder.ObserveIndex(ref _header->Head);
        uint used = Used(head);
        _cachedHead = head;
        return Capacity - used;
    }

    private uint Used(uint head)
    {
        uint used = _tail - head;
        // Beyond the capacity, or back behind what was seen before.
        return used <= Capacity && used <= _tail - _cachedHead
            ? used
            : throw new RingException($"the consumer's index {head} is impossible: {_tail} published, capacity {Capacity} (region of {_region.Size} bytes)");
    }
}
