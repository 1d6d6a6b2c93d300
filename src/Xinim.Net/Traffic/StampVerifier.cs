namespace Xinim.Net.Traffic;

/// <summary>Holds received frames against their stamps, over several runs of a sender.</summary>
public sealed class StampVerifier
{
    private SequenceTracker _tracker = new();
    private uint? _run;
    private ulong _stamped;
    private ulong _damaged;
    private ulong _other;
    private ulong _lost;
    private ulong _duplicates;
    private ulong _reordered;

    public void Add(ReadOnlySpan<byte> frame)
    {
        switch (TestFrame.Read(frame, out uint run, out ulong sequence))
        {
            case TestFrameKind.Damaged: _damaged++; break;
            case TestFrameKind.Stamped:
                if (_run != run) StartRun(run);
                _stamped++;
                _tracker.Add(sequence);
                break;
            default: _other++; break;
        }
    }

    public VerificationReport Report()
        => new(_stamped, _damaged, _other, _lost + _tracker.Lost, _duplicates + _tracker.Duplicates, _reordered + _tracker.Reordered + _tracker.TooOld);

    private void StartRun(uint run)
    {
        _lost += _tracker.Lost;
        _duplicates += _tracker.Duplicates;
        _reordered += _tracker.Reordered + _tracker.TooOld;
        _tracker = new SequenceTracker();
        _run = run;
    }
}
