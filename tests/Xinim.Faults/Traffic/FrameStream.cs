using Xinim.Ipc.Protocols;
using Xinim.Net.Traffic;

namespace Xinim.Faults.Traffic;

/// <summary>
/// One direction of traffic between two ends in this process, over a wire that keeps order. Frame n has a size and bytes that follow from n,
/// so its receiver knows every bit of it, beyond the checksum that an ordinary client has.
/// </summary>
/// <param name="sync">Guards it; pulsed whenever a frame arrives.</param>
/// <param name="source">Address of the sender.</param>
/// <param name="destination">Address of the receiver.</param>
/// <param name="run">Distinguishes it from other streams.</param>
internal sealed class FrameStream(object sync, MacAddress source, MacAddress destination, uint run)
{
    private const int Remembered = 1 << 14;

    /// <summary>Frames sent so shortly before a fault may still have been inside the driver when it struck.</summary>
    private static readonly long s_margin = System.Diagnostics.Stopwatch.Frequency / 5;

    private readonly byte[] _addresses = [.. (ReadOnlySpan<byte>)destination, .. (ReadOnlySpan<byte>)source];
    private readonly long[] _sentAt = new long[Remembered];
    private readonly byte[] _expected = new byte[TestFrame.MaxBytes];
    private readonly SequenceTracker _tracker = new();
    private ulong _sent;
    private ulong _next;
    private ulong _damaged;
    private ulong _forged;
    private ulong _lost;
    private ulong _silent;
    private long _outageStart = long.MaxValue;
    private long _outageEnd = long.MaxValue;

    /// <summary>The number after the highest that has arrived.</summary>
    public ulong Arrived => Locked(() => _next);

    public ulong Sent => Locked(() => _sent);

    public StreamCounts Counts
    {
        get
        {
            // Old frames that the tracker has forgotten, and those out of order, are duplicates here: the wire keeps order.
            lock (sync) return new StreamCounts(_sent, _tracker.Unique, _tracker.Duplicates + _tracker.TooOld, _damaged, _forged, _lost, _silent);
        }
    }

    public static int SizeOf(ulong number) => TestFrame.MinBytes + (int)(number * 7919 % (TestFrame.MaxBytes - TestFrame.MinBytes + 1));

    /// <summary>Writes the next frame.</summary>
    /// <returns>Its bytes.</returns>
    public int WriteNext(Span<byte> buffer, long now)
    {
        lock (sync)
        {
            int size = SizeOf(_sent);
            Fill(buffer[..size], _sent);
            _sentAt[_sent % Remembered] = now;
            _sent++;
            return size;
        }
    }

    /// <summary>Checks a frame that arrived.</summary>
    /// <returns>True where it is good and new.</returns>
    public bool Check(ReadOnlySpan<byte> frame)
    {
        lock (sync)
        {
            bool good = Examine(frame);
            Monitor.PulseAll(sync);
            return good;
        }
    }

    /// <summary>From now on frames may be lost: a fault is about to be injected.</summary>
    public void BeginOutage(long now)
    {
        lock (sync) (_outageStart, _outageEnd) = (now - s_margin, long.MaxValue);
    }

    /// <summary>The fault is dealt with: what is sent from now on arrives.</summary>
    public void EndOutage(long now)
    {
        lock (sync) _outageEnd = now;
    }

    private bool Examine(ReadOnlySpan<byte> frame)
    {
        TestFrameKind kind = TestFrame.Read(frame, out uint itsRun, out ulong number);
        if (kind != TestFrameKind.Stamped)
        {
            _damaged++;
            return false;
        }

        // Of an earlier client, still on its way when that one ended.
        if (itsRun < run && itsRun % 2 == run % 2) return false;
        // The checksum begins behind the addresses: those an ordinary receiver compares.
        if (itsRun != run || !frame.StartsWith(_addresses))
        {
            _damaged++;
            return false;
        }

        if (number < _sent && frame.Length == SizeOf(number))
        {
            Fill(_expected.AsSpan(0, frame.Length), number);
            if (frame.SequenceEqual(_expected.AsSpan(0, frame.Length))) return Count(number);
        }

        _forged++;
        return false;
    }

    private bool Count(ulong number)
    {
        ulong before = _tracker.Unique;
        _tracker.Add(number);
        if (number >= _next)
        {
            for (ulong missing = _next; missing < number; missing++) CountLost(missing);
            _next = number + 1;
        }

        return _tracker.Unique != before;
    }

    private void CountLost(ulong number)
    {
        long sentAt = _sentAt[number % Remembered];
        bool remembered = _sent - number <= Remembered;
        _lost++;
        if (!remembered || sentAt < _outageStart || sentAt > _outageEnd) _silent++;
    }

    private void Fill(Span<byte> frame, ulong number)
    {
        TestFrame.Prepare(frame, destination, source, run);
        TestFrame.Stamp(frame, number);
    }

    private T Locked<T>(Func<T> read)
    {
        lock (sync) return read();
    }
}
