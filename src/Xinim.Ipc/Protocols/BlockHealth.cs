using System.Runtime.InteropServices;

namespace Xinim.Ipc.Protocols;

/// <summary>What a disk says of its own state. Control path.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct BlockHealth
{
    public BlockVerdict Verdict;

    /// <summary>Degrees Celsius; <see cref="int.MinValue"/> where unknown.</summary>
    public int Temperature;
    public ulong PowerOnHours;
    public ulong ReallocatedSectors;
    public ulong PendingSectors;

    /// <summary>When it was read: seconds since the driver's start, from 1 on; 0 for never.</summary>
    public ulong ReadAt;
}

/// <summary>Whether a disk expects to fail.</summary>
public enum BlockVerdict : uint
{
    Unknown = 0,
    Good = 1,
    Failing = 2,
}

/// <summary>What an operator has a disk do.</summary>
public enum BlockVerb : uint
{
    /// <summary>Rest, ready to go on at once.</summary>
    Idle = 1,

    /// <summary>Stop the motor.</summary>
    Standby = 2,

    /// <summary>Give the medium up; of a drive that is empty, open the tray.</summary>
    Eject = 3,

    /// <summary>Take the medium in that lies in the tray.</summary>
    Load = 4,
}
