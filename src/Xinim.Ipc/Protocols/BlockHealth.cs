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

/// <summary>How much of a disk rests.</summary>
public enum BlockPower : uint
{
    Idle = 1,
    Standby = 2,
}
