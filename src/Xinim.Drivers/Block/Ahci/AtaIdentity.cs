using System.Numerics;
using System.Runtime.InteropServices;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>What a disk says of itself: the 256 words of IDENTIFY DEVICE data [ACS §7.12.7], read once and checked.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct AtaIdentity
{
    public const int Words = 256;

    private const ulong Limit28 = 1ul << 28; // [ACS §4.1.2]
    private const ulong Limit48 = 1ul << 48; // [ACS §4.1.2]
    private const uint MaxSectorBytes = 1 << 16;
    private const int MaxCharacters = 40; // of the model [ACS §7.12.7]

    public string Serial { get; private init; }

    public string Firmware { get; private init; }

    public string Model { get; private init; }

    /// <summary>Logical sectors.</summary>
    public ulong Sectors { get; private init; }

    /// <summary>Logical sectors that 28-bit commands reach.</summary>
    public ulong Sectors28 { get; private init; }

    public uint SectorBytes { get; private init; }

    public uint PhysicalBytes { get; private init; }

    /// <summary>Logical sectors from the start of a physical one to LBA 0.</summary>
    public uint AlignmentOffset { get; private init; }

    /// <summary>Commands that the disk queues; 0 where it does not queue.</summary>
    public uint QueueDepth { get; private init; }

    /// <summary>512-byte blocks of ranges of one DATA SET MANAGEMENT; 0 where it has no TRIM.</summary>
    public uint TrimBlocks { get; private init; }

    /// <summary>Trimmed sectors read as zeroes: DRAT and RZAT.</summary>
    public bool TrimmedReadsZero { get; private init; }

    public bool Dma { get; private init; }

    public bool Lba48 { get; private init; }

    public bool Flush { get; private init; }

    public bool FlushExt { get; private init; }

    public bool Fua { get; private init; }

    public bool WriteCache { get; private init; }

    public bool WriteCacheOn { get; private init; }

    public bool Smart { get; init; }

    public bool PowerManagement { get; private init; }

    /// <summary>The general purpose logs, of which one says what a queued command failed for.</summary>
    public bool Logs { get; private init; }

    public bool Rotational { get; private init; }

    public bool Removable { get; private init; }

    /// <summary>Security: locked disks refuse reads, frozen ones changes of the password.</summary>
    public string Security { get; private init; }

    /// <summary>The same disk, as far as it can be told.</summary>
    public bool IsSame(in AtaIdentity other) => Serial == other.Serial && Model == other.Model && Sectors == other.Sectors && SectorBytes == other.SectorBytes;

    /// <param name="words">A private copy.</param>
    /// <param name="wrong">What cannot be; null where the result is valid.</param>
    public static AtaIdentity Parse(ReadOnlySpan<ushort> words, out string? wrong)
    {
        wrong = Check(words);
        if (wrong is not null) return default;
        bool set1 = IsValid(words[83]), set2 = IsValid(words[84]); // words 82 and 83, word 84 [ACS §7.12.7]
        bool lba48 = set1 && Bit(words[83], 10);
        uint physicalExponent = HasSectorInfo(words) && Bit(words[106], 13) ? words[106] & 0xfu : 0;
        bool ncq = words[76] is not (0 or 0xffff) && Bit(words[76], 8);
        AtaIdentity identity = new()
        {
            Serial = Text(words.Slice(10, 10)),
            Firmware = Text(words.Slice(23, 4)),
            Model = Text(words.Slice(27, 20)),
            Sectors = lba48 ? CountSectors48(words) : Sectors28Of(words),
            Sectors28 = Sectors28Of(words),
            SectorBytes = LogicalBytes(words),
            PhysicalBytes = LogicalBytes(words) << (int)physicalExponent,
            AlignmentOffset = IsValid(words[209]) ? words[209] & 0x3fffu : 0,
            QueueDepth = ncq ? (words[75] & 0x1fu) + 1 : 0,
            TrimBlocks = Bit(words[169], 0) ? Math.Max((uint)words[105], 1) : 0,
            TrimmedReadsZero = Bit(words[69], 14) && Bit(words[69], 5),
            Dma = Bit(words[49], 8),
            Lba48 = lba48,
            Flush = set1 && Bit(words[83], 12),
            FlushExt = set1 && Bit(words[83], 13),
            Fua = lba48 && set2 && Bit(words[84], 6),
            WriteCache = set1 && Bit(words[82], 5),
            WriteCacheOn = set1 && Bit(words[85], 5),
            Smart = set1 && Bit(words[82], 0) && Bit(words[85], 0),
            PowerManagement = set1 && Bit(words[82], 3),
            Logs = set2 && Bit(words[84], 5),
            Rotational = words[217] is > 0x400 and < 0xffff,
            Removable = Bit(words[0], 7),
            Security = SecurityOf(words[128]),
        };
        wrong = identity.CheckSizes();
        return identity;
    }

    /// <summary>What clients may ask of it.</summary>
    /// <param name="modes">The commands that are used.</param>
    public BlockDeviceInfo Describe(in AtaModes modes)
    {
        uint most = (uint)Math.Min(AtaModes.MaxRequestBytes, (ulong)modes.MaxSectors * SectorBytes);
        BlockDeviceInfo info = new()
        {
            Blocks = modes.Lba48 ? Sectors : Math.Min(Sectors, Sectors28),
            LogicalBlockBytes = SectorBytes,
            PhysicalBlockBytes = PhysicalBytes,
            AlignmentOffset = AlignmentOffset,
            MaxSegments = CommandTable.MaxRegions,
            MaxSegmentBytes = DataRegion.MaxBytes,
            SegmentAlignment = DataRegion.Alignment,
            MaxRequestBytes = most,
            QueueDepth = modes.Depth,
            Queues = 1,
            VectorsUsed = 1,
            MaxDiscardBlocks = Math.Min(TrimBlocks, 1) * TrimRanges.MaxSectors,
            MaxZeroesBlocks = Math.Min(most, AhciMemory.MaxZeroBytes) / SectorBytes,
            Serial = FixedText.From(Serial),
            Model = FixedText.From(Model),
            Features = BlockFeatures.WriteZeroes,
        };
        if (Flush || FlushExt) info.Features |= BlockFeatures.Flush;
        if (WriteCache) info.Features |= BlockFeatures.WriteCacheSwitch | (WriteCacheOn ? BlockFeatures.WriteCache : 0);
        if (Fua && modes.Lba48 && modes.Dma) info.Features |= BlockFeatures.Fua;
        if (TrimBlocks != 0) info.Features |= BlockFeatures.Discard | (TrimmedReadsZero ? BlockFeatures.ZeroesMayUnmap : 0);
        if (Rotational) info.Features |= BlockFeatures.Rotational;
        if (Removable) info.Features |= BlockFeatures.Removable;
        return info;
    }

    /// <summary>A CD or DVD drive; of IDENTIFY PACKET DEVICE data [ACS §7.13] only what is the same there is read. What it holds, the medium says.</summary>
    /// <inheritdoc cref="Parse"/>
    public static AtaIdentity ParsePacket(ReadOnlySpan<ushort> words, out string? wrong)
    {
        const int disc = 5;
        wrong = words[0] >> 14 != 2 || (words[0] >> 8 & 0x1f) != disc ? $"word 0 of its IDENTIFY PACKET DEVICE data is 0x{words[0]:x4}, no CD or DVD drive [ACS §7.13]"
            : (words[0] & 3) != 0 ? "its packets have more than 12 bytes [ACS §7.13]" : null;
        return new AtaIdentity
        {
            Serial = Text(words.Slice(10, 10)), Firmware = Text(words.Slice(23, 4)), Model = Text(words.Slice(27, 20)), Dma = Bit(words[49], 8), Removable = true, Security = "none",
        };
    }

    /// <summary>What clients may ask of a medium.</summary>
    public BlockDeviceInfo Describe(in AtaModes modes, in PacketCapacity medium)
    {
        BlockDeviceInfo info = (this with { SectorBytes = medium.BlockBytes, PhysicalBytes = medium.BlockBytes, Sectors = medium.Blocks }).Describe(modes with { Lba48 = true });
        info.Features = BlockFeatures.ReadOnly | BlockFeatures.Removable;
        return info;
    }

    private static string? Check(ReadOnlySpan<ushort> words)
    {
        if ((words[255] & 0xff) == 0xa5 && Sum(words) != 0) return "the checksum of its IDENTIFY data is wrong [ACS §7.12.7]";
        if (Bit(words[0], 15) && words[0] != 0x848a) return $"word 0 of its IDENTIFY data is 0x{words[0]:x4}, no ATA device [ACS §7.12.7]";
        return Bit(words[49], 9) ? null : "it has no logical block addresses [ACS §7.12.7]";
    }

    private string? CheckSizes()
    {
        if (Sectors == 0 || Sectors > Limit48) return $"it has {Sectors} sectors [ACS §7.12.7]";
        if (SectorBytes is < 512 or > MaxSectorBytes || !BitOperations.IsPow2(SectorBytes)) return $"its sectors have {SectorBytes} bytes, no power of two from 512 to {MaxSectorBytes} [ACS §7.12.7]";
        return Serial.Length != 0 || Model.Length != 0 ? null : "it has neither serial number nor model [ACS §7.12.7]";
    }

    private static ulong CountSectors48(ReadOnlySpan<ushort> words) => Bit(words[69], 3) ? Number(words, 230) : Number(words, 100);

    private static ulong Sectors28Of(ReadOnlySpan<ushort> words) => Math.Min(words[60] | ((ulong)words[61] << 16), Limit28 - 1);

    private static ulong Number(ReadOnlySpan<ushort> words, int at) => words[at] | ((ulong)words[at + 1] << 16) | ((ulong)words[at + 2] << 32) | ((ulong)words[at + 3] << 48);

    private static bool HasSectorInfo(ReadOnlySpan<ushort> words) => IsValid(words[106]);

    /// <summary>Words 117 and 118 count 16-bit words.</summary>
    private static uint LogicalBytes(ReadOnlySpan<ushort> words)
    {
        if (!HasSectorInfo(words) || !Bit(words[106], 12)) return 512;
        ulong bytes = 2 * (words[117] | ((ulong)words[118] << 16));
        return (uint)Math.Min(bytes, uint.MaxValue);
    }

    /// <summary>Bits 15:14 of a word that means something are 01 [ACS §3.3.7].</summary>
    private static bool IsValid(ushort word) => (word & 0xc000) == 0x4000;

    private static bool Bit(ushort word, int bit) => (word & (1 << bit)) != 0;

    private static byte Sum(ReadOnlySpan<ushort> words)
    {
        byte sum = 0;
        foreach (ushort word in words) sum += (byte)(word + (word >> 8));
        return sum;
    }

    /// <summary>Two characters a word, the first in the upper byte [ACS §3.4.9].</summary>
    private static string Text(ReadOnlySpan<ushort> words)
    {
        Span<char> text = stackalloc char[MaxCharacters];
        for (int i = 0; i < words.Length; i++) (text[2 * i], text[(2 * i) + 1]) = ((char)(words[i] >> 8), (char)(words[i] & 0xff));
        foreach (ref char character in text)
            if (character is < ' ' or > '~') character = ' ';
        return text.Trim().ToString();
    }

    private static string SecurityOf(ushort word) => !Bit(word, 0) ? "none" : Bit(word, 2) ? "locked" : Bit(word, 3) ? "frozen" : "not frozen";
}
