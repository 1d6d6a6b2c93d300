using System.Diagnostics;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;

namespace Xinim.Net.Traffic;

/// <summary>What to receive.</summary>
public sealed record ReceiveOptions
{
    /// <summary>Frames; 0 for no end.</summary>
    public ulong Count { get; init; }

    /// <summary>No end where null.</summary>
    public TimeSpan? Time { get; init; }

    /// <summary>Check stamps, loss and repetition.</summary>
    public bool Verify { get; init; }
}

/// <summary>What was received.</summary>
/// <param name="Elapsed">From the first frame to the last; rates are over this.</param>
/// <param name="Verification">Null without <see cref="ReceiveOptions.Verify"/>.</param>
/// <param name="Recoveries">Drivers that were replaced meanwhile.</param>
public sealed record ReceiveReport(ulong Frames, ulong Bytes, TimeSpan Elapsed, VerificationReport? Verification, uint Recoveries);

/// <summary>What stamps say.</summary>
/// <param name="Stamped">Frames with a right stamp, repetitions included.</param>
/// <param name="Damaged">Frames with a wrong checksum.</param>
/// <param name="Other">Frames without a stamp.</param>
/// <param name="Lost">Numbers that are missing between the first and the last.</param>
public sealed record VerificationReport(ulong Stamped, ulong Damaged, ulong Other, ulong Lost, ulong Duplicates, ulong Reordered);

/// <summary>Counts frames, and holds stamped ones against their numbers. The loop allocates nothing.</summary>
public sealed class FrameReceiver(NetworkPort port, ReceiveOptions options)
{
    private const int IdleSpins = 200;
    private static readonly TimeSpan MaxWait = TimeSpan.FromMilliseconds(100);

    private readonly ReceivedBuffer[] _pieces = new ReceivedBuffer[64];
    private readonly uint _recoveriesBefore = port.Recoveries;
    private readonly StampVerifier _verifier = new();
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
        for (long now = start; _frames < limit && now < end && !stop.IsCancellationRequested; now = Stopwatch.GetTimestamp())
        {
            if (Receive(now)) idle = 0;
            else if (++idle < IdleSpins) Thread.SpinWait(10);
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
        bool insideFrame = false;
        for (int i = 0; i < count; i++)
        {
            ref readonly ReceivedBuffer piece = ref _pieces[i];
            bool more = (piece.Flags & NetFlags.More) != 0;
            _bytes += piece.Length;
            if (!more) _frames++;
            if (options.Verify && !insideFrame) _verifier.Add(more ? default : port.Data(piece));
            insideFrame = more;
            port.Recycle(piece.Slot);
        }

        port.Flush();
        return true;
    }

    private ReceiveReport Report() => new(
        _frames, _bytes, Stopwatch.GetElapsedTime(_first, _last), options.Verify ? _verifier.Report() : null, port.Recoveries - _recoveriesBefore);
}
