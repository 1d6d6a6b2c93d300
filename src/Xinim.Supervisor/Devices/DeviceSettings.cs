using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Policy;

namespace Xinim.Supervisor.Devices;

/// <summary>What a manifest and the configuration together say of one device.</summary>
/// <param name="Poll">The driver is to spin.</param>
/// <param name="Options">The driver's own settings.</param>
/// <param name="Standby">A second process is kept ready for the next restart.</param>
internal sealed record DeviceSettings(bool Poll, OptionText Options, bool Standby, RestartSettings Restart);

/// <summary>The steps of a driver's start; <paramref name="Quiet"/> is zero for a first one.</summary>
/// <param name="Quiet">From the notice of the predecessor's death until the device was quiet.</param>
/// <param name="Spawn">Until there was a process to use.</param>
/// <param name="BringUp">From then until Ready.</param>
internal readonly record struct StartTimes(TimeSpan Quiet, TimeSpan Spawn, TimeSpan BringUp)
{
    /// <summary>From the start to Ready.</summary>
    public TimeSpan Start => Spawn + BringUp;
}
