namespace Xinim.Supervisor.Policy;

/// <summary>How a driver that failed is followed by the next: the <c>restart</c> object of a manifest, or of a device in the configuration.</summary>
public sealed record RestartSettings
{
    /// <summary>Milliseconds before the second restart in a row; the first follows at once, each later one after twice the pause.</summary>
    public int FirstPause { get; set; } = 100;

    /// <summary>Milliseconds that no pause exceeds.</summary>
    public int MaxPause { get; set; } = 30_000;

    /// <summary>Milliseconds of service after which earlier failures are forgotten.</summary>
    public int QuietPeriod { get; set; } = 5_000;

    /// <summary>Failures in a row after which the device is given up; 0 for never.</summary>
    public int GiveUpAfter { get; set; } = 10;

    /// <summary>
    /// Absolute path of a program that is asked before each restart, with the device's name, the kind of failure, the generation that failed
    /// and the reason as arguments. Exit status 0 and a program that fails or takes longer than 5 s: go on; 1: leave the device stopped.
    /// </summary>
    public string? Script { get; set; }

    /// <summary>What is wrong with it; null if nothing is.</summary>
    internal string? Problem()
    {
        if (FirstPause is < 0 or > 600_000) return $"'firstPause' is {FirstPause}; allowed: 0 to 600000 milliseconds";
        if (MaxPause < FirstPause || MaxPause > 600_000) return $"'maxPause' is {MaxPause}; allowed: 'firstPause' to 600000 milliseconds";
        if (QuietPeriod is < 0 or > 86_400_000) return $"'quietPeriod' is {QuietPeriod}; allowed: 0 to 86400000 milliseconds";
        if (GiveUpAfter is < 0 or > 1_000_000) return $"'giveUpAfter' is {GiveUpAfter}; allowed: 0 (never) to 1000000 failures";
        return Script is not null && !Path.IsPathFullyQualified(Script) ? $"'script' is '{Script}'; it is an absolute path" : null;
    }
}
