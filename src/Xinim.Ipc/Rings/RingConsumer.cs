using System.Runtime.CompilerServices;
using Xinim.Ipc.Memory;

namespace Xinim.Ipc.Rings;

/// <summary>
/// The reading end of a ring: <see cref="Peek"/>, copy each element out once with <see cref="Read"/>, <see cref="Release"/>. One thread only.
/// Nothing that the peer writes can make it touch memory outside the ring.
/// </summary>
public sealed unsafe class RingConsumer<T>
    where T : unmanaged
{
    private readonly T* _elements;
    private readonly RingHeader* _header;
    private readonly uint _mask;
    private uint _head;
    private uint _cachedTail;
    private readonly SharedRegion _region;

    /// <summary>Attaches to the ring at <paramref name="offset"/>, continuing where its released index stands.</summary>
    /// <exception cref="RingException">The header is not that of a ring of T of this generation inside the region.</exception>
    public RingConsumer(SharedRegion region, long offset, uint generation)
    {
        RingHeader header = MessageRing.CheckHeader<T>(region, offset, generation);
        _region = region;
        _header = (RingHeader*)region.Locate(offset, RingHeader.Bytes);
        _elements = (T*)region.Locate(offset + RingHeader.Bytes, (long)header.Capacity * sizeof(T));
        _mask = header.Capacity - 1;
        _head = header.Head;
        _cachedTail = _head;
        _ = Refresh();
    }

    /// <summary>Elements that the ring holds when full.</summary>
    public uint Capacity => _mask + 1;

    /// <summary>How many elements are ready, at most <paramref name="wanted"/>. The peer's index is looked at only when the cached one does not do.</summary>
    /// <exception cref="RingException">The producer's index is one that it cannot have.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Peek(uint wanted)
    {
        uint ready = _cachedTail - _head;
        if (ready < wanted) ready = Refresh();
        return Math.Min(ready, wanted);
    }

    /// <summary>
    /// Copies the i-th ready element. The peer can still write to the slot: check the copy, and never read the same element twice.
    /// The index is masked: it cannot leave the ring.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Read(uint index) => _elements[(_head + index) & _mask];

    /// <summary>The ready elements for a loop; at most as many as <see cref="Peek"/> said may be read.</summary>
    public RingView<T> Ready => new(_elements, _head, _mask);

    /// <summary>Gives the first <paramref name="count"/> slots back to the producer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Release(uint count)
    {
        _head += count;
        MemoryOrder.PublishIndex(ref _header->Head, _head);
    }

    private uint Refresh()
    {
        uint tail = MemoryOrder.ObserveIndex(ref _header->Tail);
        uint ready = tail - _head;
        // Beyond the capacity, or back behind what was seen before.
        if (ready > Capacity || ready < _cachedTail - _head)
            throw new RingException($"the producer's index {tail} is impossible: {_head} released, capacity {Capacity} (region of {_region.Size} bytes)");
        _cachedTail = tail;
        return ready;
    }
}
