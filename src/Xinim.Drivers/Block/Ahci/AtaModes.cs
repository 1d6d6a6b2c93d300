using System.Runtime.InteropServices;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>Which kinds of command a disk is driven with.</summary>
/// <param name="Queued">Native command queueing [SATA §13.6].</param>
/// <param name="Dma">Otherwise PIO.</param>
/// <param name="Lba48">Otherwise 28-bit addresses, with 8-bit counts [ACS §4.1.2].</param>
/// <param name="Depth">Commands that it has at a time.</param>
/// <param name="Packet">Reads are packets.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct AtaModes(bool Queued, bool Dma, bool Lba48, uint Depth, bool Packet = false)
{
    /// <summary>32 MiB: what 65,536 sectors of 512 bytes are.</summary>
    public const uint MaxRequestBytes = 32 << 20;

    private const uint LbaMode = 0x40; // of the device register [ACS §7]
    private const uint ForcedAccess = 0x80; // FUA of a queued command, in the device register [SATA §13.6.4.1]
    private const uint Trim = 1; // of DATA SET MANAGEMENT's features [ACS §7.5]

    /// <summary>The count 0 says the most [ACS §7.21].</summary>
    public uint MaxSectors => Lba48 || Packet ? 65536u : 256u;

    /// <summary>A queued read or write: the count is where the features are otherwise, the tag where the count is [SATA §13.6.4.1].</summary>
    public static CommandFis MakeQueued(bool write, ulong lba, uint sectors, int tag, bool fua)
        => new(write ? AtaOpcode.WriteQueued : AtaOpcode.ReadQueued, lba, (uint)tag << 3, sectors, LbaMode | (fua ? ForcedAccess : 0));

    /// <summary>Any other command for a request.</summary>
    /// <param name="flushExt">FLUSH CACHE EXT rather than FLUSH CACHE.</param>
    public CommandFis MakePlain(BlockOperation operation, ulong lba, uint sectors, bool fua, bool flushExt) => operation switch
    {
        _ when Packet => PacketCommand.Fis(Dma),
        BlockOperation.Flush => new CommandFis(flushExt ? AtaOpcode.FlushCacheExt : AtaOpcode.FlushCache, 0, 0, 0, LbaMode),
        BlockOperation.Discard => new CommandFis(AtaOpcode.DataSetManagement, 0, 1, Trim, LbaMode),
        _ => MakeTransfer(operation != BlockOperation.Read, lba, sectors, fua),
    };

    private CommandFis MakeTransfer(bool write, ulong lba, uint sectors, bool fua)
    {
        AtaOpcode command = (write, Dma, Lba48) switch
        {
            (false, true, true) => AtaOpcode.ReadDmaExt,
            (true, true, true) => fua ? AtaOpcode.WriteDmaFuaExt : AtaOpcode.WriteDmaExt,
            (false, true, false) => AtaOpcode.ReadDma,
            (true, true, false) => AtaOpcode.WriteDma,
            (false, false, true) => AtaOpcode.ReadSectorsExt,
            (true, false, true) => AtaOpcode.WriteSectorsExt,
            (false, false, false) => AtaOpcode.ReadSectors,
            (true, false, false) => AtaOpcode.WriteSectors,
        };
        return Lba48
            ? new CommandFis(command, lba, sectors, 0, LbaMode)
            : new CommandFis(command, lba & 0xff_ffff, sectors & 0xff, 0, LbaMode | ((uint)(lba >> 24) & 0xf));
    }
}
