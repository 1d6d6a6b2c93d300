using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>
/// Commands for packet devices, CD and DVD drives: 12 bytes in the command table, with PACKET as the ATA command [ACS §7.18].
/// [MMC] = SCSI Multi-Media Commands - 6, T10/1836-D; the answers to a failure are those of [SPC] = SCSI Primary Commands - 4, T10/1731-D.
/// </summary>
internal static class PacketCommand
{
    /// <summary>Bytes of the answer to READ CAPACITY [MMC §6.24].</summary>
    public const uint CapacityBytes = 8;

    /// <summary>No medium, and a medium that has been changed: the sense key, which is the upper half of the error register [SPC §4.5.6].</summary>
    public const uint NotReady = 2, UnitAttention = 6;

    private const byte StartStopUnit = 0x1b; // [MMC §6]
    private const byte PreventAllowRemoval = 0x1e; // [MMC §6]
    private const byte ReadCapacity10 = 0x25; // [MMC §6.24]
    private const byte Read12 = 0xa8; // [MMC §6.20]
    private const byte Immediately = 1, StartUnit = 1, LoadEject = 2; // bytes 1 and 4 of START STOP UNIT [MMC §6]
    private const uint UseDma = 1; // of the features [ACS §7.18]
    private const uint PioLimit = 0x8000; // bytes that a device moves at a time with PIO, in LBA 23:8 [ACS §7.18]

    /// <summary>The ATA command.</summary>
    public static CommandFis Fis(bool dma) => new(AtaOpcode.Packet, (ulong)PioLimit << 8, 0, dma ? UseDma : 0, 0);

    /// <summary>
    /// The packet of one of the driver's own commands; empty for those of other devices. Trays move in their own time: START STOP UNIT with IMMED
    /// is answered at once, and READ CAPACITY tells later what has become of it.
    /// </summary>
    public static ReadOnlySpan<byte> For(PortJobs job) => job switch
    {
        PortJobs.Capacity => [ReadCapacity10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        PortJobs.AllowRemoval => [PreventAllowRemoval, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        PortJobs.Eject => [StartStopUnit, Immediately, 0, 0, LoadEject, 0, 0, 0, 0, 0, 0, 0],
        PortJobs.Load => [StartStopUnit, Immediately, 0, 0, LoadEject | StartUnit, 0, 0, 0, 0, 0, 0, 0],
        _ => [],
    };

    public static void WriteRead(Span<byte> packet, ulong lba, uint blocks)
    {
        packet.Clear();
        packet[0] = Read12;
        BinaryPrimitives.WriteUInt32BigEndian(packet[2..], (uint)lba);
        BinaryPrimitives.WriteUInt32BigEndian(packet[6..], blocks);
    }

    /// <summary>READ CAPACITY's answer: the last block, and the bytes of one.</summary>
    /// <returns>Null for blocks that this driver does not serve.</returns>
    public static PacketCapacity? ParseCapacity(ReadOnlySpan<byte> answer)
    {
        uint last = BinaryPrimitives.ReadUInt32BigEndian(answer), bytes = BinaryPrimitives.ReadUInt32BigEndian(answer[4..]);
        return bytes is 512 or 2048 or 4096 && last != uint.MaxValue ? new PacketCapacity(last + 1ul, bytes) : null;
    }

    public static uint SenseKey(TaskFile status) => (uint)status >> 12;
}

/// <summary>A medium.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct PacketCapacity(ulong Blocks, uint BlockBytes);
