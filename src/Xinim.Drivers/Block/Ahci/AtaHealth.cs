using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>
/// SMART [ACS §7.48]. Whether the disk expects to fail is the standard's; the attributes are a table of 30 entries of 12 bytes that the standard leaves to
/// makers, and that all of them fill alike: number, flags, value, worst, six bytes raw.
/// </summary>
internal static class AtaHealth
{
    public const int DataBytes = 512;
    private const int FirstEntry = 2, EntryBytes = 12, Entries = 30, Raw = 5;
    private const byte Reallocated = 5, Hours = 9, AirTemperature = 190, Temperature = 194, Pending = 197;
    private const int Coldest = -40, Hottest = 125;

    /// <summary>The LBA that SMART RETURN STATUS answers with: C24F00h, or 2CF400h for a threshold that was exceeded [ACS §7.48.8].</summary>
    public static BlockVerdict Judge(ulong lba) => (lba >> 8 & 0xffff) switch
    {
        0xc24f => BlockVerdict.Good,
        0x2cf4 => BlockVerdict.Failing,
        _ => BlockVerdict.Unknown,
    };

    /// <param name="data">A private copy of SMART READ DATA's answer.</param>
    /// <param name="health">The rest of it stays.</param>
    public static void Read(ReadOnlySpan<byte> data, ref BlockHealth health)
    {
        health.Temperature = int.MinValue;
        for (int i = 0; i < Entries; i++)
        {
            ReadOnlySpan<byte> entry = data.Slice(FirstEntry + (i * EntryBytes), EntryBytes);
            ulong raw = entry[Raw] | ((ulong)entry[Raw + 1] << 8) | ((ulong)entry[Raw + 2] << 16) | ((ulong)entry[Raw + 3] << 24);
            switch (entry[0])
            {
                case Reallocated: health.ReallocatedSectors = raw; break;
                case Hours: health.PowerOnHours = raw; break;
                case Pending: health.PendingSectors = raw; break;
                case Temperature: health.Temperature = Degrees(entry[Raw]); break;
                case AirTemperature when health.Temperature == int.MinValue: health.Temperature = Degrees(entry[Raw]); break;
            }
        }
    }

    private static int Degrees(byte raw) => (sbyte)raw is >= Coldest and <= Hottest ? (sbyte)raw : int.MinValue;
}
