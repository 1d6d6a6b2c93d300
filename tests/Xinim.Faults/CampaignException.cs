namespace Xinim.Faults;

/// <summary>The campaign cannot go on: not a finding, but a machine or an installation that lacks something. One line for the user.</summary>
internal sealed class CampaignException(string message) : Exception(message);

/// <summary>The daemon died or hangs: the finding that no campaign should ever make.</summary>
internal sealed class DaemonLostException(string message) : Exception(message);

/// <summary>The daemon has no driver for a device any more, and says why.</summary>
internal sealed class DeviceLostException(string message) : Exception(message);
