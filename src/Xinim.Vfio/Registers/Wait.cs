using System.Diagnostics;

namespace Xinim.Vfio.Registers;

/// <summary>Bounded waits for a device. Control path only: every wait has a limit and names what it waits for.</summary>
public static class Wait
{
    /// <summary>Looks that follow each other at once. A device is not blamed after fewer.</summary>
    private const int FirstLooks = 10;

    /// <summary>Looks at a condition until it holds: at first without a pause, then every <paramref name="pause"/>.</summary>
    /// <param name="condition">What the device is to do; each look is usually one register read.</param>
    /// <param name="limit">After this, the device counts as broken.</param>
    /// <param name="what">Register, bit and section, for the message.</param>
    /// <param name="pause">Between looks; 50 µs where not given.</param>
    /// <exception cref="DeviceFaultException">The limit passed.</exception>
    public static void Until(Func<bool> condition, TimeSpan limit, string what, TimeSpan? pause = null)
    {
        long start = Stopwatch.GetTimestamp();
        for (int looks = 0; ; looks++)
        {
            // Asked before the look, and not before some: a process that lost its processor in between has hardly looked, and the time that passed was its own.
            bool late = looks >= FirstLooks && Stopwatch.GetElapsedTime(start) > limit;
            if (condition()) return;
            if (late) throw new DeviceFaultException($"{what} did not happen within {limit.TotalMilliseconds:0.###} ms");
            if (looks >= FirstLooks) Pause(pause ?? TimeSpan.FromMicroseconds(50));
        }
    }

    /// <summary>Waits at least this long, as manuals ask after a reset.</summary>
    public static void Pause(TimeSpan time)
    {
        long start = Stopwatch.GetTimestamp();
        if (time >= TimeSpan.FromMilliseconds(2)) Thread.Sleep(time);
        while (Stopwatch.GetElapsedTime(start) < time) Thread.SpinWait(20);
    }
}
