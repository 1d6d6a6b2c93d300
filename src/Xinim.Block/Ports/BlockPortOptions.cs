namespace Xinim.Block.Ports;

/// <summary>How much a client holds of a disk, and how long it waits.</summary>
public sealed record BlockPortOptions
{
    /// <summary>Bytes of memory to read into and write from.</summary>
    public int PoolBytes { get; init; } = 8 << 20;

    /// <summary>Requests outstanding at a time, a power of two.</summary>
    public int Depth { get; init; } = 128;

    /// <summary>Pieces of memory of one request at the most; the device may take fewer.</summary>
    public int MaxSegments { get; init; } = 12;

    /// <summary>Drivers that may die over one request before it fails: it may be what kills them.</summary>
    public int RetryBudget { get; init; } = 16;

    /// <summary>A driver that finishes none of the requests that it holds for so long is reported and replaced.</summary>
    public TimeSpan StallLimit { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>For the next driver. After this what is outstanding fails.</summary>
    public TimeSpan RecoveryLimit { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>For the daemon's answers; covers a driver that is just starting.</summary>
    public TimeSpan AnswerLimit { get; init; } = TimeSpan.FromSeconds(15);
}
