using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>The data of DATA SET MANAGEMENT with TRIM: 512 bytes of ranges, 48 bits of LBA and 16 of length each, a length of 0 for none [ACS §7.5].</summary>
internal static class TrimRanges
{
    private const uint Entries = 64;
    private const uint MaxLength = 0xffff;

    /// <summary>Sectors of one command with one block of ranges.</summary>
    public const uint MaxSectors = Entries * MaxLength;

    /// <summary>Splits a range.</summary>
    /// <param name="to">64 words.</param>
    /// <param name="sectors">At most <see cref="MaxSectors"/>.</param>
    public static void Write(DmaBuffer<ulong> to, ulong lba, uint sectors)
    {
        for (uint i = 0; i < Entries; i++)
        {
            uint length = Math.Min(sectors, MaxLength);
            to[i] = length == 0 ? 0 : lba | ((ulong)length << 48);
            lba += length;
            sectors -= length;
        }
    }
}
