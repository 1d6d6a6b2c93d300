namespace Xinim.Supervisor.Manifests;

/// <summary>When a silent heart counts as a hang: the <c>heartbeat</c> object of a manifest.</summary>
public sealed record HeartbeatSettings
{
    /// <summary>Milliseconds between two beats, and between two looks at them.</summary>
    public int Period { get; set; } = 100;

    /// <summary>Milliseconds without a beat after which the driver is ended.</summary>
    public int Limit { get; set; } = 2_000;

    /// <summary>What is wrong with it; null if nothing is.</summary>
    internal string? Problem()
    {
        if (Period is < 1 or > 60_000) return $"'heartbeat.period' is {Period}; allowed: 1 to 60000 milliseconds";
        return Limit < 2 * Period || Limit > 600_000 ? $"'heartbeat.limit' is {Limit}; allowed: twice the period ({2 * Period}) to 600000 milliseconds" : null;
    }
}
