namespace Xinim.Faults.Traffic;

/// <summary>How much traffic runs over a NIC.</summary>
internal sealed record WorkloadOptions
{
    /// <summary>Frames a second each way; 0 for as many as go.</summary>
    public double Rate { get; init; } = 4000;

    /// <summary>Frames on their way at the most, each way: what the wire's sockets hold without loss.</summary>
    public uint Window { get; init; } = 16;

    /// <summary>Buffers each way.</summary>
    public uint Buffers { get; init; } = 256;

    /// <summary>What the clients call a stall: far more than a driver needs to come back, far less than a user would wait for.</summary>
    public static TimeSpan StallLimit { get; } = TimeSpan.FromMilliseconds(500);

    /// <summary>What a target can bear: everything is slower in the guest.</summary>
    public static WorkloadOptions For(FaultsOptions options)
    {
        WorkloadOptions usual = options.Target == "vfio" ? new WorkloadOptions { Rate = 500 } : new WorkloadOptions();
        // As fast as it goes, with as many on their way as the sockets of the wire hold.
        return options.KillEvery is null ? usual : usual with { Rate = 0, Window = 64, Buffers = 1024 };
    }
}
