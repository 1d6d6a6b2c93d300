using System.Numerics;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>Commands that the driver itself gives, the most urgent first.</summary>
[Flags]
internal enum PortJobs : uint
{
    None = 0,
    Identify = 1 << 0,
    ReadLog = 1 << 1,
    CacheOff = 1 << 2,
    CacheOn = 1 << 3,
    Idle = 1 << 4,
    Standby = 1 << 5,
    SmartStatus = 1 << 6,
    SmartData = 1 << 7,
    IdentifyPacket = 1 << 8,
    Capacity = 1 << 9,
    AllowRemoval = 1 << 10,
    Eject = 1 << 11,
    Load = 1 << 12,
}

/// <summary>How they are given. What the tables of features and logs say: [ACS §7, §9].</summary>
internal static class PortJob
{
    /// <summary>The log that says which queued command failed, and for what [ACS §9] [SATA §13.7].</summary>
    private const uint QueuedErrorLog = 0x10;

    private const uint CacheOn = 0x02, CacheOff = 0x82; // subcommands of SET FEATURES [ACS §7.45]
    private const uint ReadData = 0xd0, ReturnStatus = 0xda; // subcommands of SMART [ACS §7.48]
    private const ulong SmartKey = 0xc2_4f00; // LBA of every SMART command [ACS §7.48]

    /// <summary>The first of several.</summary>
    public static PortJobs First(PortJobs jobs) => (PortJobs)(1u << BitOperations.TrailingZeroCount((uint)jobs));

    /// <param name="bytes">What the device answers; 0 for nothing.</param>
    /// <param name="dma">For packets.</param>
    public static CommandFis Command(PortJobs job, bool dma, out uint bytes)
    {
        bytes = job switch
        {
            PortJobs.Identify or PortJobs.IdentifyPacket or PortJobs.ReadLog or PortJobs.SmartData => AhciMemory.PageBytes,
            PortJobs.Capacity => PacketCommand.CapacityBytes,
            _ => 0,
        };
        return job switch
        {
            PortJobs.Identify => new CommandFis(AtaOpcode.IdentifyDevice, 0, 0, 0, 0),
            PortJobs.IdentifyPacket => new CommandFis(AtaOpcode.IdentifyPacketDevice, 0, 0, 0, 0),
            PortJobs.Capacity => PacketCommand.Fis(dma),
            PortJobs.AllowRemoval or PortJobs.Eject or PortJobs.Load => PacketCommand.Fis(dma: false),
            PortJobs.ReadLog => new CommandFis(AtaOpcode.ReadLogExt, QueuedErrorLog, 1, 0, 0),
            PortJobs.CacheOff => new CommandFis(AtaOpcode.SetFeatures, 0, 0, CacheOff, 0),
            PortJobs.CacheOn => new CommandFis(AtaOpcode.SetFeatures, 0, 0, CacheOn, 0),
            PortJobs.Idle => new CommandFis(AtaOpcode.IdleImmediate, 0, 0, 0, 0),
            PortJobs.Standby => new CommandFis(AtaOpcode.StandbyImmediate, 0, 0, 0, 0),
            PortJobs.SmartStatus => new CommandFis(AtaOpcode.Smart, SmartKey, 0, ReturnStatus, 0),
            PortJobs.SmartData => new CommandFis(AtaOpcode.Smart, SmartKey, 1, ReadData, 0),
            _ => throw new ArgumentOutOfRangeException(nameof(job), job, "no such command"),
        };
    }
}
