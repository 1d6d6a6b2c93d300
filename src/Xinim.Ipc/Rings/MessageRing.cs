using System.Numerics;
using System.Runtime.CompilerServices;
using Xinim.Ipc.Memory;

namespace Xinim.Ipc.Rings;

/// <summary>
/// Layout and creation of a single-producer, single-consumer ring of fixed-size messages in a shared region.
/// <see cref="RingProducer{T}"/> and <see cref="RingConsumer{T}"/> are its two ends, usually in two processes that distrust each other.
/// </summary>
public static class MessageRing
{
    private const int Alignment = 128;

    /// <summary>Bytes that a ring takes in its region, a multiple of 128.</summary>
    /// <param name="capacity">Elements, a power of two from 2 to 1,048,576.</param>
    public static long SizeOf<T>(uint capacity)
        where T : unmanaged
        => RingHeader.Bytes + (((long)CheckShape<T>(capacity) * Unsafe.SizeOf<T>() + 127) & ~127L);

    /// <summary>Writes the header of an empty ring. Done once, by the maker of the region, before it is passed on.</summary>
    /// <param name="region">A writable region.</param>
    /// <param name="offset">Where the ring starts, a multiple of 128 bytes.</param>
    /// <param name="capacity">Elements, a power of two.</param>
    /// <param name="generation">Life of the driver that the ring is for; both ends refuse another one.</param>
    public static void Format<T>(SharedRegion region, long offset, uint capacity, uint generation)
        where T : unmanaged
    {
        _ = region.Slice(offset, checked((int)SizeOf<T>(capacity)));
        CheckPlace(region, offset);
        region.At<RingHeader>(offset) = new RingHeader
        {
            Magic = RingHeader.ExpectedMagic,
            Version = RingHeader.ExpectedVersion,
            ElementSize = (uint)Unsafe.SizeOf<T>(),
            Capacity = capacity,
            Generation = generation,
        };
    }

    /// <summary>Copies the header to a local and refuses what does not describe a ring of T inside the region.</summary>
    internal static RingHeader CheckHeader<T>(SharedRegion region, long offset, uint generation)
        where T : unmanaged
    {
        CheckPlace(region, offset);
        RingHeader header = region.At<RingHeader>(offset);
        if (header.Magic != RingHeader.ExpectedMagic || header.Version != RingHeader.ExpectedVersion)
            throw new RingException($"no ring at offset {offset}: magic 0x{header.Magic:x}, version {header.Version}");
        if (header.ElementSize != Unsafe.SizeOf<T>())
            throw new RingException($"the ring at offset {offset} has {header.ElementSize}-byte elements, {typeof(T).Name} has {Unsafe.SizeOf<T>()}");
        if (header.Generation != generation)
            throw new RingException($"the ring at offset {offset} is of generation {header.Generation}, {generation} is wanted");
        if (!IsCapacity(header.Capacity) || offset > region.Size - SizeOf<T>(header.Capacity))
            throw new RingException($"the ring at offset {offset} claims {header.Capacity} elements, which its region of {region.Size} bytes cannot hold");
        return header;
    }

    /// <summary>Both ends write an index, and false sharing would come back with an offset between two lines.</summary>
    private static void CheckPlace(SharedRegion region, long offset)
    {
        if (offset % Alignment != 0) throw new ArgumentOutOfRangeException(nameof(offset), offset, $"a ring starts at a multiple of {Alignment} bytes");
        if ((region.Access & RegionAccess.Write) == 0) throw new ArgumentException("a ring needs a writable mapping: each end publishes an index", nameof(region));
    }

    private static bool IsCapacity(uint capacity) => capacity is >= 2 and <= RingHeader.MaxCapacity && BitOperations.IsPow2(capacity);

    private static uint CheckShape<T>(uint capacity)
        where T : unmanaged
    {
        if (Unsafe.SizeOf<T>() is not (16 or 32 or 64)) throw new ArgumentException($"{typeof(T).Name} has {Unsafe.SizeOf<T>()} bytes; a ring takes 16, 32 or 64");
        if (!IsCapacity(capacity)) throw new ArgumentOutOfRangeException(nameof(capacity), capacity, "not a power of two from 2 to 1,048,576");
        return capacity;
    }
}
