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
/// Nonsense in the rings, as a driver gone wild can write it: all of that memory is the driver's to write.
/// </summary>
internal sealed class RingFault(RingPart part) : IFault
{
    private static readonly int[] s_control = [0, 128, 256];
    private static readonly int[] s_header = [0, 4, 8, RingMap.CapacityAt, 16, RingMap.TailAt, RingMap.HeadAt];

    public string Kind => $"ring-{part.ToString().ToLowerInvariant()}";

    public bool Lies => true;

    public bool Fits(DeviceTarget target) => true;

    public string Inject(DeviceTarget target, Random random) => SharedMemory.With(target, target.Kind.Rings.Region, (memory, region) =>
    {
        if (part == RingPart.Control) return Overwrite(memory, region.Start + (ulong)s_control[random.Next(s_control.Length)], region.Start, random);
        RingMap map = target.Kind.Rings;
        int ring = random.Next(map.SlotBytes.Length), slotBytes = map.SlotBytes[ring];
        ulong header = region.Start + map.HeaderOf(ring, at => Capacity(memory, region.Start + at));
        if (part == RingPart.Index)
        {
            // Indices are what a driver writes all the time, so they are hit more often than the rest of the header.
            int at = random.Next(2) == 0 ? s_header[random.Next(s_header.Length)] : random.Next(2) == 0 ? RingMap.TailAt : RingMap.HeadAt;
            return $"ring {ring}: {Overwrite(memory, header + (ulong)at, header, random)}";
        }

        uint capacity = Capacity(memory, header);
        uint slot = (memory.Read32(header + RingMap.TailAt) - 1 - (uint)random.Next(4)) % capacity;
        ulong word = header + RingMap.HeaderBytes + (slot * (uint)slotBytes) + (ulong)(random.Next(slotBytes / 4) * 4);
        return $"ring {ring} slot {slot}: {Overwrite(memory, word, header, random)}";
    });

    private static uint Capacity(ProcessMemory memory, ulong header)
    {
        uint capacity = memory.Read32(header + RingMap.CapacityAt);
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
