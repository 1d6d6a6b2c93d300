using System.Numerics;
using Xinim.Ipc.Memory;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// What a driver shows of itself without being asked: one page that it writes and its supervisor reads, made anew for every process, so that
/// no life can beat for another. The supervisor compares the count of beats with the last one it saw; what the latencies say goes into
/// reports and nowhere else.
/// </summary>
public sealed class VitalSigns(SharedRegion region)
{
    /// <summary>Bytes of the region.</summary>
    public const int Bytes = 4096;

    /// <summary>Powers of two of nanoseconds: the last bucket begins at 2³⁹ ns, nine minutes.</summary>
    private const int Buckets = 40;
    private const int BeatsAt = 0, MaxAt = 64, BucketsAt = 128;
    private readonly uint[] _samples = new uint[Buckets];
    private uint _beats;
    private long _max;

    /// <summary>Supervisor: makes the page.</summary>
    /// <exception cref="LinuxException">No memory.</exception>
    public static SharedRegion Create() => SharedRegion.Create("xinim-vital", Bytes, PageChoice.Ordinary);

    /// <summary>Supervisor: the driver's heartbeats so far, modulo 2³².</summary>
    public uint Beats => Volatile.Read(ref region.At<uint>(BeatsAt));

    /// <summary>Supervisor: the latencies so far. Whatever the driver wrote gives a summary; a driver that lies lies about itself.</summary>
    public LatencySummary Latency
    {
        get
        {
            Span<uint> samples = stackalloc uint[Buckets];
            for (int i = 0; i < Buckets; i++) samples[i] = Volatile.Read(ref region.At<uint>(BucketsAt + (i * sizeof(uint))));
            return LatencySummary.Of(samples, Volatile.Read(ref region.At<long>(MaxAt)));
        }
    }

    /// <summary>Driver: its loop has come round. One store, no read of shared memory.</summary>
    public void Beat() => Volatile.Write(ref region.At<uint>(BeatsAt), ++_beats);

    /// <summary>Driver: one buffer's way through the device took this long. One or two stores, no read of shared memory.</summary>
    public void AddLatency(long nanoseconds)
    {
        int bucket = Math.Min(BitOperations.Log2((ulong)Math.Max(nanoseconds, 1)), Buckets - 1);
        Volatile.Write(ref region.At<uint>(BucketsAt + (bucket * sizeof(uint))), ++_samples[bucket]);
        if (nanoseconds > _max) Volatile.Write(ref region.At<long>(MaxAt), _max = nanoseconds);
    }
}

/// <summary>Percentiles of latencies, ns. Within a bucket, from a power of two to the next, samples count as evenly spread.</summary>
public readonly record struct LatencySummary(ulong Samples, double P50, double P99, double Max)
{
    internal static LatencySummary Of(ReadOnlySpan<uint> buckets, long max)
    {
        ulong samples = 0;
        foreach (uint bucket in buckets) samples += bucket;
        double most = Math.Max(max, 0);
        return samples == 0 ? default : new LatencySummary(samples, Percentile(buckets, samples * 0.5, most), Percentile(buckets, samples * 0.99, most), most);
    }

    private static double Percentile(ReadOnlySpan<uint> buckets, double rank, double most)
    {
        ulong below = 0;
        for (int i = 0; i < buckets.Length; i++)
        {
            if (below + buckets[i] >= rank && buckets[i] != 0) return Math.Min((1L << i) * (1 + ((rank - below) / buckets[i])), most);
            below += buckets[i];
        }

        return most;
    }
}
