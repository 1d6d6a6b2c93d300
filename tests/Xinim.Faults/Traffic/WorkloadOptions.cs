namespace Xinim.Faults.Traffic;

/// <summary>How much traffic runs over a device.</summary>
internal sealed record WorkloadOptions
{
    public const uint UsualWindow = 16;

    /// <summary>Frames or requests a second each way; 0 for as many as go.</summary>
    public required double Rate { get; init; }

    /// <summary>Frames on their way at the most, each way: what the wire's sockets hold without loss.</summary>
    public uint Window { get; init; } = UsualWindow;

    /// <summary>Buffers each way.</summary>
    public uint Buffers { get; init; } = 256;

    /// <summary>What the clients call a stall: far more than a driver needs to come back, far less than a user would wait for.</summary>
    public static TimeSpan StallLimit { get; } = TimeSpan.FromMilliseconds(500);

    /// <summary>What a target can bear: everything is slower in the guest.</summary>
    public static WorkloadOptions For(FaultsOptions options)
    {
        // A request to a disk wakes its driver and its device for itself: it costs as much as several frames.
        // Of a console every byte is copied.
        double rate = options.Target == "vfio" ? 500 : options.IsDisk ? 1500 : options.IsConsole ? 1000 : 4000;
        WorkloadOptions usual = new() { Rate = rate };
        // As fast as it goes, with as many on their way as the sockets of the wire hold.
        return options.KillEvery.Count == 0 ? usual : usual with { Rate = 0, Window = 64, Buffers = 1024 };
    }
}
