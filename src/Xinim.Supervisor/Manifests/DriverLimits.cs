using Xinim.Ipc.Sandboxing;

namespace Xinim.Supervisor.Manifests;

/// <summary>The key <c>limits</c> of a manifest. The defaults are roomy for a driver with a heap of 32 MiB.</summary>
public sealed record DriverLimits
{
    /// <summary>Address space beyond private and descriptor memory: code, the heap's reservation, rings, registers.</summary>
    private const long Reserved = 512L << 20;

    /// <summary>Processes of one device: the one that serves, the one that waits, and a new version that shows itself.</summary>
    private const int Processes = 3;

    /// <summary>Bytes of private writable memory: heap, stacks, data.</summary>
    public long MemoryBytes { get; set; } = 96 << 20;

    /// <summary>Open descriptors.</summary>
    public int Descriptors { get; set; } = 64;

    /// <summary>
    /// Threads of a process; holds where the driver has a user of its own. Linux counts them by user (getrlimit(2), RLIMIT_NPROC), and a device's
    /// processes share one: together they may have three times as many.
    /// </summary>
    public int Threads { get; set; } = 8;

    internal string? Problem()
    {
        if (MemoryBytes is < 48 << 20 or > 4L << 30) return $"'limits.memoryBytes' is {MemoryBytes}; allowed: {48 << 20} to {4L << 30}";
        if (Descriptors is < 32 or > 1024) return $"'limits.descriptors' is {Descriptors}; allowed: 32 to 1024";
        return Threads is < 4 or > 256 ? $"'limits.threads' is {Threads}; allowed: 4 to 256" : null;
    }

    internal ResourceLimits For(uint? user, long dmaBytes) => new(MemoryBytes, MemoryBytes + dmaBytes + Reserved, Descriptors, user is null ? null : Processes * Threads);
}
