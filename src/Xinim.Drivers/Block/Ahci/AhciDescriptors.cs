using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>An entry of the command list [AHCI §4.2.2].</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CommandHeader
{
    public const uint FisWords = 5; // CFL: words of a register FIS [AHCI §4.2.2] [SATA §10.5.5]
    public const uint Packet = 1u << 5; // A: the table has a packet [AHCI §4.2.2]
    public const uint Write = 1u << 6; // W: from memory to the device [AHCI §4.2.2]
    public const int RegionsShift = 16; // PRDTL [AHCI §4.2.2]

    public uint Flags;
    public uint BytesMoved; // PRDBC, written by the controller; of queued commands it says nothing [AHCI §4.2.2, §5.4.1]
    public uint TableLow; // CTBA, 128-byte aligned [AHCI §4.2.2]
    public uint TableHigh; // CTBAU [AHCI §4.2.2]
    private readonly ulong _reserved0;
    private readonly ulong _reserved1;

    public void SetTable(Iova table) => (TableLow, TableHigh) = (table.Low, table.High);
}

/// <summary>What a header points at: the command, for packet devices a packet, and the regions of memory [AHCI §4.2.3].</summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal struct CommandTable
{
    /// <summary>With <see cref="MaxRegions"/> just this; a page.</summary>
    public const int Bytes = 4096;

    /// <summary>As many as fill the page [AHCI §4.2.3.3]: more than the 168 that Linux has.</summary>
    public const int MaxRegions = 248;

    [FieldOffset(0x00)] public CommandFis Fis; // CFIS [AHCI §4.2.3.1]
    [FieldOffset(0x40)] public PacketBytes Packet; // ACMD [AHCI §4.2.3.2]
    [FieldOffset(0x80)] public RegionList Regions; // PRDT [AHCI §4.2.3.3]

    [InlineArray(MaxRegions)]
    public struct RegionList
    {
        private DataRegion _first;
    }

    [InlineArray(16)]
    public struct PacketBytes
    {
        private byte _first;
    }
}

/// <summary>A piece of memory of a command: 16 bytes [AHCI §4.2.3.3].</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct DataRegion(Iova at, uint bytes)
{
    /// <summary>4 MiB [AHCI §4.2.3.3].</summary>
    public const uint MaxBytes = 1 << 22;

    /// <summary>Addresses and lengths are even [AHCI §4.2.3.3].</summary>
    public const uint Alignment = 2;

    private readonly uint _low = at.Low; // DBA [AHCI §4.2.3.3]
    private readonly uint _high = at.High; // DBAU [AHCI §4.2.3.3]
    private readonly uint _reserved;
    private readonly uint _count = bytes - 1; // DBC is zero-based; bit 31 would ask for an interrupt [AHCI §4.2.3.3]
}

/// <summary>A Register Host to Device FIS: the command with its registers [SATA §10.5.5].</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct CommandFis
{
    private const uint Type = 0x27; // [SATA §10.5.5]
    private const uint IsCommand = 1u << 15; // C [SATA §10.5.5]
    private const uint LowLba = 0xff_ffff;

    private readonly uint _command; // features 7:0, command, flags, type [SATA §10.5.5]
    private readonly uint _lbaLow; // device, LBA 23:0 [SATA §10.5.5]
    private readonly uint _lbaHigh; // features 15:8, LBA 47:24 [SATA §10.5.5]
    private readonly uint _count; // control, ICC, count [SATA §10.5.5]
    private readonly uint _auxiliary; // [SATA §10.5.5]

    /// <param name="device">The device register; of a 28-bit command its low bits are LBA 27:24 [ACS §4.1.2].</param>
    public CommandFis(AtaOpcode command, ulong lba, uint count, uint features, uint device)
    {
        _command = Type | IsCommand | ((uint)command << 16) | ((features & 0xff) << 24);
        _lbaLow = ((uint)lba & LowLba) | (device << 24);
        _lbaHigh = ((uint)(lba >> 24) & LowLba) | (features >> 8 << 24);
        _count = count & 0xffff;
    }
}

/// <summary>
/// Where the controller leaves what the device sends: 256 bytes, seen as 32-bit words [AHCI §4.2.1]. A word that is zeroed beforehand says that
/// a FIS of its kind has come since: the first byte of a FIS is its type, never 0 [SATA §10.5.1].
/// </summary>
internal static class ReceivedFis
{
    public const uint Words = 64;
    public const uint PioSetup = 0x20 / 4; // PSFIS [AHCI §4.2.1]
    public const uint Register = 0x40 / 4; // RFIS [AHCI §4.2.1]
    public const uint DeviceBits = 0x58 / 4; // SDBFIS [AHCI §4.2.1]

    /// <summary>Status and error of a FIS, laid out as <see cref="TaskFile"/> [SATA §10.5.6, §10.5.7].</summary>
    public static TaskFile StatusOf(uint firstWord) => (TaskFile)(firstWord >> 16);
}
