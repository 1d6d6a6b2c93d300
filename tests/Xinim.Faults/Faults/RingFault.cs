using Xinim.Faults.Processes;
using Xinim.Faults.Targets;

namespace Xinim.Faults.Faults;

/// <summary>What of the rings between driver and client is overwritten.</summary>
internal enum RingPart
{
    /// <summary>Wake words, and the word by which the supervisor closes a generation.</summary>
    Control,

    /// <summary>A header or an index.</summary>
    Index,

    /// <summary>An element that was published last.</summary>
    Slot,
}

/// <summary>
/// Nonsense in the rings, as a driver gone wild can write it: all of that memory is the driver's to write. The offsets are those of
/// NetworkRings and RingHeader; a test holds them together.
/// </summary>
internal sealed class RingFault(RingPart part) : IFault
{
    internal const int FirstRing = 384;
    internal const int HeaderBytes = 384;
    internal const int CapacityAt = 12;
    internal const int TailAt = 128;
    internal const int HeadAt = 256;
    internal const int SlotBytes = 32;
    private const int RingsCount = 4;
    private static readonly int[] s_control = [0, 128, 256];
    private static readonly int[] s_header = [0, 4, 8, CapacityAt, 16, TailAt, HeadAt];

    public string Kind => $"ring-{part.ToString().ToLowerInvariant()}";

    public bool Lies => true;

    public bool Fits(DeviceTarget target) => true;

    public string Inject(DeviceTarget target, Random random) => SharedMemory.With(target, SharedMemory.Rings, (memory, region) =>
    {
        if (part == RingPart.Control) return Overwrite(memory, region.Start + (ulong)s_control[random.Next(s_control.Length)], region.Start, random);
        int ring = random.Next(RingsCount);
        ulong header = region.Start + FirstRing;
        for (int i = 0; i < ring; i++) header += HeaderBytes + (ulong)SlotBytes * Capacity(memory, header);
        if (part == RingPart.Index)
        {
            // Indices are what a driver writes all the time, so they are hit more often than the rest of the header.
            int at = random.Next(2) == 0 ? s_header[random.Next(s_header.Length)] : random.Next(2) == 0 ? TailAt : HeadAt;
            return $"ring {ring}: {Overwrite(memory, header + (ulong)at, header, random)}";
        }

        uint capacity = Capacity(memory, header);
        uint slot = (memory.Read32(header + TailAt) - 1 - (uint)random.Next(4)) % capacity;
        ulong word = header + HeaderBytes + (slot * SlotBytes) + (ulong)(random.Next(SlotBytes / 4) * 4);
        return $"ring {ring} slot {slot}: {Overwrite(memory, word, header, random)}";
    });

    private static uint Capacity(ProcessMemory memory, ulong header)
    {
        uint capacity = memory.Read32(header + CapacityAt);
        // An earlier fault may have hit it.
        return capacity is >= 2 and <= 16384 && uint.IsPow2(capacity) ? capacity : 256;
    }

    private static string Overwrite(ProcessMemory memory, ulong address, ulong origin, Random random)
    {
        uint before = memory.Read32(address);
        uint after = random.Next(3) switch
        {
            0 => (uint)random.NextInt64(1L << 32),
            1 => before ^ (1u << random.Next(32)),
            _ => before + (uint)random.Next(-3, 4),
        };
        memory.Write32(address, after);
        return $"0x{before:x} at +{address - origin} becomes 0x{after:x}";
    }
}
