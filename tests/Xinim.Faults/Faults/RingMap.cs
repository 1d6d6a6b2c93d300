namespace Xinim.Faults.Faults;

/// <summary>Where the rings of a class of devices lie in their region; a test holds it together with NetworkRings, BlockRings, ConsoleRings and RingHeader.</summary>
/// <param name="Region">Name of the memory.</param>
/// <param name="SlotBytes">Of each ring, in their order.</param>
internal sealed record RingMap(string Region, params int[] SlotBytes)
{
    public const int FirstRing = 384, HeaderBytes = 384, CapacityAt = 12, TailAt = 128, HeadAt = 256;

    /// <summary>submit, completed, free, received.</summary>
    public static RingMap Network { get; } = new("xinim-net-rings", 32, 32, 32, 32);

    /// <summary>submitted, completed.</summary>
    public static RingMap Block { get; } = new("xinim-block-rings", 64, 32);

    /// <summary>submit, received.</summary>
    public static RingMap Console { get; } = new("xinim-console", 64, 64);

    /// <summary>Where a ring's header is, from the start of the region.</summary>
    /// <param name="capacityAt">Slots of the ring whose header is there.</param>
    public ulong HeaderOf(int ring, Func<ulong, uint> capacityAt)
    {
        ulong header = FirstRing;
        for (int i = 0; i < ring; i++) header += HeaderBytes + ((ulong)SlotBytes[i] * capacityAt(header));
        return header;
    }
}
