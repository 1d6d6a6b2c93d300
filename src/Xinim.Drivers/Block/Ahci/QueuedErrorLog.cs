using System.Runtime.InteropServices;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>The page of log 10h: the queued command that failed [ACS §9] [SATA §13.7].</summary>
/// <param name="Tag">The command.</param>
/// <param name="Code">Its status and error.</param>
/// <param name="Lba">Where, for errors that have a place.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct QueuedErrorLog(int Tag, TaskFile Code, ulong Lba)
{
    private const byte NotQueued = 1 << 7; // NQ [ACS §9]
    private const byte Unload = 1 << 6; // UNL [ACS §9]

    /// <param name="page">A private copy.</param>
    /// <returns>Null where it tells of no queued command, or is damaged.</returns>
    public static QueuedErrorLog? Parse(ReadOnlySpan<byte> page)
    {
        byte sum = 0;
        foreach (byte value in page) sum += value;
        if (sum != 0 || (page[0] & (NotQueued | Unload)) != 0) return null;
        ulong lba = page[4] | ((ulong)page[5] << 8) | ((ulong)page[6] << 16) | ((ulong)page[8] << 24) | ((ulong)page[9] << 32) | ((ulong)page[10] << 40);
        return new QueuedErrorLog(page[0] & 0x1f, (TaskFile)(page[2] | (page[3] << 8)), lba);
    }
}
