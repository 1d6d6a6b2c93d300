using System.Diagnostics;
using Xinim.Ipc.Measurement;

namespace Xinim.Net.Ping;

/// <summary>Which requests are out, which were answered, and how fast. A sequence number comes round after 65,536 requests.</summary>
public sealed class PingTally
{
    // Time of sending by sequence number: 0 never sent, negated when answered.
    private readonly long[] _sent = new long[ushort.MaxValue + 1];
    private readonly LatencyHistogram _times = new();

    public ulong Transmitted { get; private set; }

    public ulong Received => _times.Count;

    public ulong Duplicates { get; private set; }

    public ulong Damaged { get; private set; }

    /// <summary>Notes a request.</summary>
    /// <returns>Its sequence number.</returns>
    public ushort Send(long now)
    {
        ushort sequence = (ushort)Transmitted++;
        _sent[sequence] = Math.Max(now, 1);
        return sequence;
    }

    /// <summary>Notes an answer.</summary>
    /// <param name="intact">Its data is the request's.</param>
    /// <param name="roundTrip">Ticks of <see cref="Stopwatch"/>.</param>
    /// <returns>What it was.</returns>
    public ReplyKind Receive(ushort sequence, long now, bool intact, out long roundTrip)
    {
        long sent = _sent[sequence];
        roundTrip = now - Math.Abs(sent);
        if (sent == 0) return ReplyKind.Unasked;
        if (!intact)
        {
            Damaged++;
            return ReplyKind.Damaged;
        }

        if (sent < 0)
        {
            Duplicates++;
            return ReplyKind.Duplicate;
        }

        _sent[sequence] = -sent;
        _times.Add(roundTrip);
        return ReplyKind.Answer;
    }

    public PingResult Result(TimeSpan elapsed, uint recoveries)
        => new(Transmitted, Received, Duplicates, Damaged, _times.Min, _times.Percentile(0.5), _times.Mean, _times.Max, _times.Percentile(0.99), elapsed, recoveries);
}

/// <summary>What an echo reply is to its request.</summary>
public enum ReplyKind
{
    /// <summary>To nothing that was sent.</summary>
    Unasked,
    Answer,
    Duplicate,
    Damaged,
}
