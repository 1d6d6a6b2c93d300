namespace Xinim.TestKit.Fakes;

/// <summary>A clock that a test moves; each look takes a microsecond, so that a wait for it ends.</summary>
public sealed class ManualClock : TimeProvider
{
    private long _ticks = TimeSpan.TicksPerSecond;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _ticks += TimeSpan.TicksPerMicrosecond;

    public void Pass(TimeSpan time) => _ticks += time.Ticks;
}
