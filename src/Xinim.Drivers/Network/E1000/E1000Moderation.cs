namespace Xinim.Drivers.Network.E1000;

/// <summary>
/// Interrupt moderation that follows the load: few frames an interrupt mean that somebody waits for an answer, many that throughput
/// counts. Moves one class at a time and writes ITR only when the class changes [SDM §13.4.18] [82574 §10.2.4.2, §10.2.4.3].
/// </summary>
internal sealed class E1000Moderation(E1000Registers registers, E1000Variant variant, ushort? fixedInterval)
{
    // In units of 256 ns: 78,000, 20,000 and 4,000 interrupts a second at most. QEMU 7.2 raises whatever is below 500 to 500.
    private static ReadOnlySpan<ushort> Intervals => [50, 195, 976];

    private const uint FewFrames = 4;
    private const uint ManyFrames = 32;

    private int _class;
    private uint _frames;

    /// <summary>After a reset: the shortest interval.</summary>
    public void Restart(uint frames)
    {
        _class = 0;
        _frames = frames;
        Write(fixedInterval ?? Intervals[0]);
    }

    /// <summary>An interrupt or a timer tick.</summary>
    /// <param name="frames">Frames handled so far, free-running.</param>
    public void Update(uint frames)
    {
        uint since = frames - _frames;
        _frames = frames;
        if (fixedInterval is not null) return;
        int wanted = since <= FewFrames ? 0 : since <= ManyFrames ? 1 : 2;
        if (wanted == _class) return;
        _class += Math.Sign(wanted - _class);
        Write(Intervals[_class]);
    }

    private void Write(ushort interval)
    {
        if (!variant.HasThrottle) return;
        registers.Throttle.Write(interval);
        if (variant.Express) registers.VectorThrottle.Write(interval);
    }
}
