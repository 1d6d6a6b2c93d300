using System.Diagnostics;

namespace Xinim.Net.Ports;

/// <summary>Notices a driver that answers its supervisor and moves no frames: only its client can. Looked at when the client has nothing to do.</summary>
internal sealed class StallWatch(TimeSpan limit)
{
    private ulong _seen;
    private long _since = Stopwatch.GetTimestamp();

    /// <param name="excused">There is nothing to send, or a reason not to.</param>
    /// <param name="done">Frames that are done with, ever.</param>
    /// <returns>True once, when nothing has come of what there is to do for the whole limit.</returns>
    public bool IsStalled(bool excused, ulong done)
    {
        bool stalled = !excused && done == _seen && Stopwatch.GetElapsedTime(_since) > limit;
        if (stalled || excused || done != _seen) (_seen, _since) = (done, Stopwatch.GetTimestamp());
        return stalled;
    }
}
