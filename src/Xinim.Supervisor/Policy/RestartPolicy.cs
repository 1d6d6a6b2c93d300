namespace Xinim.Supervisor.Policy;

/// <summary>
/// When a failed driver is followed by the next: at once after the first failure, then after pauses that double up to a limit, and no more
/// after too many in a row. A life that served for a quiet period makes earlier failures forgotten. Knows nothing of processes or clocks.
/// </summary>
internal sealed class RestartPolicy(RestartSettings settings)
{
    /// <summary>Failures in a row.</summary>
    public int Failures { get; private set; }

    /// <summary>A driver has failed.</summary>
    /// <param name="served">Since it was Ready; null where it never was.</param>
    /// <returns>How long to wait before the next; null: give up.</returns>
    public TimeSpan? OnFailure(TimeSpan? served)
    {
        if (served >= TimeSpan.FromMilliseconds(settings.QuietPeriod)) Failures = 0;
        Failures++;
        if (settings.GiveUpAfter != 0 && Failures > settings.GiveUpAfter) return null;
        if (Failures == 1) return TimeSpan.Zero;
        // Beyond 2^20 every first pause that is not 0 has reached the limit.
        double pause = settings.FirstPause * Math.Pow(2, Math.Min(Failures - 2, 20));
        return TimeSpan.FromMilliseconds(Math.Min(pause, settings.MaxPause));
    }

    /// <summary>An operator starts the device: what was is forgotten.</summary>
    public void Forget() => Failures = 0;
}
