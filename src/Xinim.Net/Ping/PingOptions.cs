using Xinim.Net.Ip;

namespace Xinim.Net.Ping;

/// <summary>What to ping, and how.</summary>
public sealed record PingOptions
{
    /// <summary>Bytes of data that fit a frame of 1,514 bytes.</summary>
    public const int MaxSize = 1500 - Ipv4Packet.HeaderBytes - IcmpEcho.HeaderBytes;

    public required Ipv4Address Target { get; init; }

    /// <summary>Requests; 0 for no end.</summary>
    public ulong Count { get; init; }

    /// <summary>From request to request; zero: the next one follows the answer.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Bytes of data, 0 to <see cref="MaxSize"/>.</summary>
    public int Size { get; init; } = 56;

    /// <summary>For an answer.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Never sleep: lowest latency for a processor of its own.</summary>
    public bool Spin { get; init; }
}

/// <summary>One answer.</summary>
/// <param name="Sequence">Of the request, from 0.</param>
/// <param name="RoundTrip">From handing the request over to seeing the answer.</param>
/// <param name="Duplicate">The request had been answered.</param>
public readonly record struct PingReply(ushort Sequence, TimeSpan RoundTrip, int Bytes, byte Hops, bool Duplicate);

/// <summary>The sum of it.</summary>
/// <param name="Duplicates">Answers to requests that had been answered.</param>
/// <param name="Damaged">Answers with other data than was sent; not counted as received.</param>
/// <param name="Recoveries">Drivers that were replaced meanwhile.</param>
public sealed record PingResult(
    ulong Transmitted, ulong Received, ulong Duplicates, ulong Damaged, TimeSpan Min, TimeSpan Median, TimeSpan Mean, TimeSpan Max, TimeSpan P99, TimeSpan Elapsed, uint Recoveries)
{
    public ulong Lost => Transmitted - Received;
}
