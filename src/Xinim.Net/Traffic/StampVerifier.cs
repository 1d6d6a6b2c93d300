namespace Xinim.Net.Traffic;

/// <summary>Holds received frames against their stamps, over several runs of senders, also of several at once. Receivers on threads of their own may share it.</summary>
public sealed class StampVerifier
{
    /// <summary>Runs that are looked at together: a sender with several pairs of queues has one for each. The oldest makes room.</summary>
    private const int MaxRuns = 16;

    private readonly Lock _lock = new();
    private readonly List<(uint Number, SequenceTracker Tracker)> _runs = [];
    private ulong _stamped;
    private ulong _damaged;
    private ulong _other;
    private ulong _lost;
    private ulong _duplicates;
    private ulong _reordered;

    public void Add(ReadOnlySpan<byte> frame)
    {
        // The sum over the frame costs the time.
        TestFrameKind kind = TestFrame.Read(frame, out uint run, out ulong sequence);
        lock (_lock)
        {
            switch (kind)
            {
                case TestFrameKind.Damaged: _damaged++; break;
                case TestFrameKind.Stamped:
                    _stamped++;
                    TrackerOf(run).Add(sequence);
                    break;
                default: _other++; break;
            }
        }
    }

    public VerificationReport Report()
    {
        lock (_lock)
        {
            (ulong lost, ulong duplicates, ulong reordered) = (_lost, _duplicates, _reordered);
            foreach ((_, SequenceTracker tracker) in _runs) Sum(tracker, ref lost, ref duplicates, ref reordered);
            return new VerificationReport(_stamped, _damaged, _other, lost, duplicates, reordered);
        }
    }

    private SequenceTracker TrackerOf(uint run)
    {
        for (int i = _runs.Count - 1; i >= 0; i--)
        {
            if (_runs[i].Number == run) return _runs[i].Tracker;
        }

        if (_runs.Count == MaxRuns)
        {
            Sum(_runs[0].Tracker, ref _lost, ref _duplicates, ref _reordered);
            _runs.RemoveAt(0);
        }

        _runs.Add((run, new SequenceTracker()));
        return _runs[^1].Tracker;
    }

    private static void Sum(SequenceTracker tracker, ref ulong lost, ref ulong duplicates, ref ulong reordered)
    {
        lost += tracker.Lost;
        duplicates += tracker.Duplicates;
        reordered += tracker.Reordered + tracker.TooOld;
    }
}
