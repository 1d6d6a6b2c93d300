namespace Xinim.Faults;

/// <summary>The campaign cannot go on: not a finding, but a machine or an installation that lacks something. One line for the user.</summary>
internal sealed class CampaignException(string message) : Exception(message);
