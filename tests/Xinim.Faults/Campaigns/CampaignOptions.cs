namespace Xinim.Faults.Campaigns;

/// <summary>What a campaign does.</summary>
internal sealed record CampaignOptions
{
    public required long Count { get; init; }

    public required int Seed { get; init; }

    /// <summary>Ends it earlier.</summary>
    public TimeSpan? Duration { get; init; }

    /// <summary>Faults without effect after which a driver is replaced, so that what shows is of a recent fault; 1: of that very fault.</summary>
    public int FaultsPerDriver { get; init; } = 10;

    /// <summary>From a question to a driver's answer at the most.</summary>
    public TimeSpan AnswerLimit { get; init; } = TimeSpan.FromMilliseconds(300);

    /// <summary>Without any frame for so long, the driver is asked whether it lives.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>From a fault to the next driver's first frames at the most.</summary>
    public TimeSpan RecoveryLimit { get; init; } = TimeSpan.FromSeconds(20);
}
