using System.Diagnostics;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;

namespace Xinim.Net.Traffic;

/// <summary>What to receive.</summary>
public sealed record ReceiveOptions
{
    /// <summary>Frames of all receivers with the same tally; 0 for no end.</summary>
    public ulong Count { get; init; }

    /// <summary>No end where null.</summary>
    public TimeSpan? Time { get; init; }

    /// <summary>Count frames by what their hash is of; the port takes hashes (<see cref="NetworkPortOptions.ReceiveHash"/>).</summary>
    public bool Hashes { get; init; }
}

/// <summary>What was received.</summary>
/// <param name="First">When the first frame came, in ticks of <see cref="Stopwatch"/>; 0 where none did.</param>
/// <param name="Last">When the last one came.</param>
/// <param name="Recoveries">Drivers that were replaced meanwhile.</param>
public sealed record ReceiveReport(ulong Frames, ulong Bytes, long First, long Last, uint Recoveries)
{
    /// <summary>Frames by <see cref="HashKind"/>; null where nobody asked.</summary>
    public IReadOnlyList<ulong>? Hashes { get; init; }

    /// <summary>From the first frame to the last; rates are over this.</summary>
    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(First, Last);

    /// <summary>Of all pairs of queues of a NIC.</summary>
    public static ReceiveReport Sum(IReadOnlyCollection<ReceiveReport> reports)
    {
        ReceiveReport sum = new(0, 0, 0, 0, 0);
        foreach (ReceiveReport one in reports)
        {
            long first = sum.Frames == 0 || (one.Frames != 0 && one.First < sum.First) ? one.First : sum.First;
            IReadOnlyList<ulong>? hashes = sum.Hashes is { } before && one.Hashes is { } more ? [.. before.Zip(more, (left, right) => left + right)] : sum.Hashes ?? one.Hashes;
            sum = new ReceiveReport(sum.Frames + one.Frames, sum.Bytes + one.Bytes, first, Math.Max(sum.Last, one.Last), Math.Max(sum.Recoveries, one.Recoveries)) { Hashes = hashes };
        }

        return sum;
    }
}

/// <summary>What several receivers, each on a thread of its own, have taken together.</summary>
/// <param name="verify">Check stamps, loss and repetition.</param>
public sealed class ReceiveTally(bool verify = false)
{
    private ulong _frames;

    public ulong Frames => Volatile.Read(ref _frames);

    /// <summary>What stamps say; null where nobody checks. Order is that in which threads have looked.</summary>
    public VerificationReport? Verification => Verifier?.Report();

    internal StampVerifier? Verifier { get; } = verify ? new StampVerifier() : null;

    internal void Add(ulong frames) => Interlocked.Add(ref _frames, frames);
}

/// <summary>What stamps say.</summary>
/// <param name="Stamped">Frames with a right stamp, repetitions included.</param>
/// <param name="Damaged">Frames with a wrong checksum.</param>
/// <param name="Other">Frames without a stamp.</param>
/// <param name="Lost">Numbers that are missing between the first and the last.</param>
public sealed record VerificationReport(ulong Stamped, ulong Damaged, ulong Other, ulong Lost, ulong Duplicates, ulong Reordered);

/// <summary>Counts frames, and holds stamped ones against their numbers. The loop allocates nothing. Of a NIC with several pairs of queues each has a receiver, and all the same tally.</summary>
public sealed class FrameReceiver(NetworkPort port, ReceiveOptions options, ReceiveTally tally)
{
    private const int IdleSpins = 200;
    private static readonly TimeSpan MaxWait = TimeSpan.FromMilliseconds(100);

    private readonly ReceivedBuffer[] _pieces = new ReceivedBuffer[64];
    private readonly uint _recoveriesBefore = port.Recoveries;
    private readonly ulong[]? _hashes = options.Hashes ? new ulong[(int)HashKind.UdpIpv6Ex + 1] : null;
    private ulong _frames;
    private ulong _bytes;
    private long _first;
    private long _last;

    /// <summary>Receives until count or time is reached, or the user wants to end.</summary>
    /// <param name="stop">The user's wish.</param>
    /// <param name="progress">Told each second.</param>
    public ReceiveReport Run(CancellationToken stop, Action<ReceiveReport>? progress = null)
    {
        long start = Stopwatch.GetTimestamp();
        long second = start;
        long end = options.Time is { } time ? start + (long)(time.TotalSeconds * Stopwatch.Frequency) : long.MaxValue;
        ulong limit = options.Count == 0 ? ulong.MaxValue : options.Count;
        int idle = 0;
        for (long now = start; tally.Frames < limit && now < end && !stop.IsCancellationRequested; now = Stopwatch.GetTimestamp())
        {
            // Not Thread.SpinWait: the driver may wait for this very processor, and in a virtual machine PAUSE can end in the host.
            if (Receive(now)) idle = 0;
            else if (++idle < IdleSpins) Thread.Yield();
            else port.Wait(TimeSpan.FromSeconds(Math.Min(MaxWait.TotalSeconds, (end - now) / (double)Stopwatch.Frequency)));
            if (now - second < Stopwatch.Frequency) continue;
            second = now;
            progress?.Invoke(Report());
        }

        return Report();
    }

    private bool Receive(long now)
    {
        uint count = port.Receive(_pieces);
        if (count == 0) return false;
        if (_frames == 0) _first = now;
        _last = now;
        ulong before = _frames;
        bool insideFrame = false;
        for (int i = 0; i < count; i++)
        {
            ref readonly ReceivedBuffer piece = ref _pieces[i];
            bool more = (piece.Flags & NetFlags.More) != 0;
            _bytes += piece.Length;
            if (!more)
            {
                _frames++;
                if (_hashes is { } hashes) hashes[(int)port.HashOf(piece).Kind]++;
            }

            if (!insideFrame) tally.Verifier?.Add(more ? default : port.Data(piece));
            insideFrame = more;
            port.Recycle(piece.Slot);
        }

        tally.Add(_frames - before);
        port.Flush();
        return true;
    }

    private ReceiveReport Report() => new(_frames, _bytes, _first, _last, port.Recoveries - _recoveriesBefore) { Hashes = _hashes };
}
