using System.Diagnostics;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;

namespace Xinim.Net.Traffic;

/// <summary>What to send, and how fast.</summary>
public sealed record SendOptions
{
    /// <summary>Frames; 0 for no end.</summary>
    public ulong Count { get; init; }

    /// <summary>No end where null.</summary>
    public TimeSpan? Time { get; init; }

    /// <summary>Bytes a frame without FCS.</summary>
    public int Size { get; init; } = TestFrame.MinBytes;

    /// <summary>Frames a second; 0 for as many as go.</summary>
    public double Rate { get; init; }

    /// <summary>Frames that are handed over at a time.</summary>
    public uint Batch { get; init; } = 64;

    public MacAddress Destination { get; init; } = TestFrame.DefaultDestination;

    /// <summary>Number every frame and sum it up; otherwise they are written once and only descriptors move.</summary>
    public bool Stamp { get; init; }
}

/// <summary>What was sent.</summary>
/// <param name="Queued">Frames handed to the driver.</param>
/// <param name="Completed">Frames that came back as sent.</param>
/// <param name="Rejected">Frames that the driver refused.</param>
/// <param name="Elapsed">From the first frame to the last completion.</param>
/// <param name="Waits">Times that this process slept for want of buffers.</param>
/// <param name="Recoveries">Drivers that were replaced meanwhile.</param>
public sealed record SendReport(ulong Queued, ulong Completed, ulong Rejected, int Size, TimeSpan Elapsed, ulong Waits, uint Recoveries)
{
    /// <summary>Of all pairs of queues of a NIC, which began together.</summary>
    public static SendReport Sum(IReadOnlyCollection<SendReport> reports) => reports.Aggregate((sum, one) => new SendReport(
        sum.Queued + one.Queued,
        sum.Completed + one.Completed,
        sum.Rejected + one.Rejected,
        one.Size,
        sum.Elapsed > one.Elapsed ? sum.Elapsed : one.Elapsed,
        sum.Waits + one.Waits,
        Math.Max(sum.Recoveries, one.Recoveries)));
}

/// <summary>Sends test frames as fast as the NIC takes them, or at a rate. The loop allocates nothing and flushes once a batch.</summary>
public sealed class FrameSender(NetworkPort port, SendOptions options)
{
    private const int CollectSpins = 2000;
    private const int SpinsPerYield = 16;
    private static readonly TimeSpan MaxWait = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan HastyDrainLimit = TimeSpan.FromSeconds(1);

    private readonly ReceivedBuffer[] _unwanted = new ReceivedBuffer[64];
    private readonly ulong _sentBefore = port.SentFrames;
    private readonly ulong _rejectedBefore = port.RejectedFrames;
    private readonly uint _recoveriesBefore = port.Recoveries;
    private int _spins = CollectSpins;
    private ulong _queued;
    private ulong _waits;
    private long _start;

    /// <summary>Sends until count or time is reached, or the user wants to end; then waits for what is with the device.</summary>
    /// <param name="stop">The user's wish.</param>
    /// <param name="progress">Told each second.</param>
    public SendReport Run(CancellationToken stop, Action<SendReport>? progress = null)
    {
        Prepare();
        _start = Stopwatch.GetTimestamp();
        long second = _start;
        long end = options.Time is { } time ? _start + (long)(time.TotalSeconds * Stopwatch.Frequency) : long.MaxValue;
        ulong limit = options.Count == 0 ? ulong.MaxValue : options.Count;
        for (long now = _start; _queued < limit && now < end && !stop.IsCancellationRequested; now = Stopwatch.GetTimestamp())
        {
            uint wanted = (uint)Math.Min(limit - _queued, Due(now));
            if (wanted == 0) WaitForTime(now);
            else SendBatch(wanted);
            if (now - second < Stopwatch.Frequency) continue;
            second = now;
            Discard();
            progress?.Invoke(Report());
        }

        Drain(stop);
        return Report();
    }

    private void SendBatch(uint wanted)
    {
        uint queued = options.Stamp ? QueueStamped(wanted) : Queue(wanted);
        _queued += queued;
        port.Flush();
        if (queued == 0) WaitForBuffers();
    }

    private uint Queue(uint wanted)
    {
        uint size = (uint)options.Size;
        uint queued = 0;
        while (queued < wanted && port.TryRent(out uint slot))
        {
            port.Send(slot, size);
            queued++;
        }

        return queued;
    }

    private uint QueueStamped(uint wanted)
    {
        int size = options.Size;
        uint queued = 0;
        while (queued < wanted && port.TryRent(out uint slot))
        {
            TestFrame.Stamp(port.TxMemory(slot)[..size], _queued + queued);
            port.Send(slot, (uint)size);
            queued++;
        }

        return queued;
    }

    /// <summary>Frames that may go now.</summary>
    private uint Due(long now)
    {
        if (options.Rate <= 0) return options.Batch;
        double due = ((now - _start) * options.Rate / Stopwatch.Frequency) + 1 - _queued;
        return (uint)Math.Clamp(due, 0, options.Batch);
    }

    private void WaitForTime(long now)
    {
        long next = _start + (long)(_queued / options.Rate * Stopwatch.Frequency);
        TimeSpan left = TimeSpan.FromMilliseconds(Math.Floor(Stopwatch.GetElapsedTime(now, Math.Max(now, next)).TotalMilliseconds));
        if (left > TimeSpan.Zero) Sleep(left);
        else Thread.SpinWait(10);
    }

    /// <summary>Looks as long as that was worth it lately, then sleeps: what sends may need this processor.</summary>
    private void WaitForBuffers()
    {
        for (int i = 0; i < _spins; i++)
        {
            if (port.Collect() != 0)
            {
                _spins = Math.Min(_spins * 2, CollectSpins);
                return;
            }

            // The driver may wait for this very processor. No PAUSE: in a virtual machine it can end in the host, and cost more than the wait.
            if (i % SpinsPerYield == SpinsPerYield - 1) Thread.Yield();
        }

        _spins = Math.Max(_spins / 2, 1);
        _waits++;
        Sleep(MaxWait);
    }

    private void Sleep(TimeSpan limit)
    {
        Discard();
        port.Wait(limit < MaxWait ? limit : MaxWait);
    }

    /// <summary>Frames that come are not wanted here, and would keep <see cref="NetworkPort.Wait"/> from waiting.</summary>
    private void Discard()
    {
        uint count;
        while ((count = port.Receive(_unwanted)) != 0)
        {
            for (int i = 0; i < count; i++) port.Recycle(_unwanted[i].Slot);
        }
    }

    /// <summary>Writes every buffer's frame: a buffer keeps its contents over a send.</summary>
    private void Prepare()
    {
        uint run = (uint)Random.Shared.Next();
        List<uint> slots = [];
        while (port.TryRent(out uint slot))
        {
            TestFrame.Prepare(port.TxMemory(slot)[..options.Size], options.Destination, port.Info.Mac, run);
            slots.Add(slot);
        }

        foreach (uint slot in slots) port.Unrent(slot);
    }

    private void Drain(CancellationToken stop)
    {
        long start = Stopwatch.GetTimestamp();
        while (!port.TxIdle && Stopwatch.GetElapsedTime(start) < (stop.IsCancellationRequested ? HastyDrainLimit : DrainLimit))
        {
            if (port.Collect() == 0) Sleep(MaxWait);
        }
    }

    private SendReport Report() => new(
        _queued, port.SentFrames - _sentBefore, port.RejectedFrames - _rejectedBefore, options.Size, Stopwatch.GetElapsedTime(_start), _waits,
        port.Recoveries - _recoveriesBefore);
}
