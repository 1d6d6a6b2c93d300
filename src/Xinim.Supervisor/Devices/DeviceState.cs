namespace Xinim.Supervisor.Devices;

/// <summary>Where a device is in its life.</summary>
public enum DeviceState
{
    /// <summary>No driver runs; the device is quiet.</summary>
    Stopped,

    /// <summary>The driver process exists and brings the device up.</summary>
    Starting,

    /// <summary>The driver serves.</summary>
    Ready,

    /// <summary>The driver finishes what it has, and ends.</summary>
    Stopping,

    /// <summary>A new attempt follows after a pause.</summary>
    Waiting,

    /// <summary>Given up: the driver failed too often in a row.</summary>
    Failed,

    /// <summary>The device itself has disappeared.</summary>
    Gone,
}
