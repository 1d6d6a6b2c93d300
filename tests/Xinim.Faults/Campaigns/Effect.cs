namespace Xinim.Faults.Campaigns;

/// <summary>What came of a fault, as seen from outside the driver.</summary>
internal enum Effect
{
    /// <summary>Traffic went on, every frame right.</summary>
    None,

    /// <summary>The driver's process died by a signal.</summary>
    Signal,

    /// <summary>It ended by itself: it found something wrong and said so, or just ended.</summary>
    Exit,

    /// <summary>It fell silent; the daemon noticed that and replaced it.</summary>
    Hang,

    /// <summary>It said nonsense to the daemon, which ended it.</summary>
    Protocol,

    /// <summary>Its client found nonsense in the rings, or no progress, and reported it; the daemon replaced it.</summary>
    Reported,

    /// <summary>It answered the daemon and moved no frames, and not even its client noticed; the campaign replaced it.</summary>
    Stall,

    /// <summary>Frames were damaged, lost or repeated, and the checks of client or peer caught it; the campaign replaced the driver.</summary>
    WrongData,

    /// <summary>The client ended with an error.</summary>
    ClientError,

    /// <summary>The device model ended of what the driver told it. The daemon told the client and went on; the campaign starts another machine.</summary>
    DeviceLost,

    /// <summary>No driver served within the limit.</summary>
    Unrecovered,
}

/// <summary>One fault and what came of it.</summary>
/// <param name="Number">From 0.</param>
/// <param name="Injected">What was done; null where the driver had ended before.</param>
/// <param name="Recovery">From the fault to the first frames each way through the next driver; null where none was replaced.</param>
/// <param name="Detail">Of the driver's end, as the daemon tells it.</param>
internal sealed record FaultRecord(long Number, string Kind, string Device, string? Injected, Effect Effect, TimeSpan? Recovery, string? Detail);
