using System.Text;

namespace Xinim.TestKit.Block.Ahci;

/// <summary>An ATA disk: contents, IDENTIFY data, and what it does to a command. Written from ACS-3, not from the driver.</summary>
public sealed class AtaDiskModel
{
    private readonly Dictionary<ulong, byte[]> _blocks = [];

    /// <param name="sectors">Logical sectors.</param>
    /// <param name="sectorBytes">512 or 4,096.</param>
    public AtaDiskModel(ulong sectors = 16384, uint sectorBytes = 512, string serial = "XT-0001")
    {
        Sectors = sectors;
        SectorBytes = sectorBytes;
        Identify = MakeIdentify(sectors, sectorBytes, serial);
    }

    public ulong Sectors { get; }

    public uint SectorBytes { get; }

    /// <summary>IDENTIFY DEVICE data; a test may change words.</summary>
    public ushort[] Identify { get; }

    /// <summary>What PxSIG says.</summary>
    public uint Signature { get; set; } = 0x0000_0101;

    /// <summary>False: it stays busy after a reset.</summary>
    public bool Ready { get; set; } = true;

    /// <summary>SMART RETURN STATUS: expects to fail.</summary>
    public bool Failing { get; set; }

    /// <summary>The attributes of SMART READ DATA by number: six bytes raw.</summary>
    public Dictionary<byte, uint> Attributes { get; } = new() { [9] = 1234, [194] = 31, [5] = 2, [197] = 1 };

    /// <summary>What is to go wrong with a command; null for nothing.</summary>
    public Func<AtaCommandModel, AtaFault?>? Fault { get; set; }

    /// <summary>Commands as they were fetched.</summary>
    public List<AtaCommandModel> Seen { get; } = [];

    /// <summary>False: commands are not written down, and data is not kept.</summary>
    public bool Remember { get; set; } = true;

    /// <summary>The volatile cache, as SET FEATURES left it.</summary>
    public bool WriteCache { get; set; } = true;

    /// <summary>Log 10h: set by a queued command that failed, and until it is read nothing else is done.</summary>
    public byte[]? QueueError { get; set; }

    /// <summary>Blocks of the disc in a packet device; 0 for none.</summary>
    public uint DiscBlocks { get; set; }

    /// <summary>The next packet fails once, to tell of a change.</summary>
    public bool Attention { get; set; }

    /// <summary>A drive's tray, which keeps its disc.</summary>
    public bool TrayOpen { get; set; }

    /// <summary>PREVENT ALLOW MEDIUM REMOVAL: the tray stays closed.</summary>
    public bool TrayLocked { get; set; }

    /// <summary>READ LOG EXT is refused.</summary>
    public bool NoLogs { get; set; }

    /// <summary>A CD drive, which tells of its reset.</summary>
    public static AtaDiskModel MakeDrive(uint discBlocks)
    {
        AtaDiskModel drive = new(0, 2048, "XT-CD01") { Signature = 0xeb14_0101, DiscBlocks = discBlocks, Attention = true };
        drive.Identify[0] = 0x8580;
        return drive;
    }

    public void Read(ulong lba, Span<byte> to)
    {
        for (int at = 0; at < to.Length; at += (int)SectorBytes, lba++)
        {
            Span<byte> sector = to.Slice(at, (int)SectorBytes);
            if (_blocks.TryGetValue(lba, out byte[]? block)) block.CopyTo(sector);
            else sector.Clear();
        }
    }

    public void Write(ulong lba, ReadOnlySpan<byte> from)
    {
        for (int at = 0; at < from.Length; at += (int)SectorBytes, lba++) _blocks[lba] = from.Slice(at, (int)SectorBytes).ToArray();
    }

    /// <summary>True where something was written and not trimmed since.</summary>
    public bool Holds(ulong lba) => _blocks.ContainsKey(lba);

    public void Trim(ulong lba, uint count)
    {
        if (count > (uint)_blocks.Count) foreach (ulong block in _blocks.Keys.Where(block => block >= lba && block - lba < count).ToArray()) _blocks.Remove(block);
        else for (uint i = 0; i < count; i++) _blocks.Remove(lba + i);
    }

    /// <summary>SMART READ DATA's answer [ACS §7.48].</summary>
    public byte[] SmartData()
    {
        byte[] data = new byte[512];
        int at = 2;
        foreach ((byte number, uint raw) in Attributes)
        {
            data[at] = number;
            BitConverter.TryWriteBytes(data.AsSpan(at + 5), raw);
            at += 12;
        }

        return data;
    }

    private static ushort[] MakeIdentify(ulong sectors, uint sectorBytes, string serial)
    {
        ushort[] words = new ushort[256];
        words[0] = 0x0040;
        Put(words.AsSpan(10, 10), serial);
        Put(words.AsSpan(23, 4), "1.0");
        Put(words.AsSpan(27, 20), "XINIM TEST DISK");
        words[49] = 0x0300;
        ulong small = Math.Min(sectors, (1ul << 28) - 1);
        (words[60], words[61]) = ((ushort)small, (ushort)(small >> 16));
        words[69] = (1 << 14) | (1 << 5);
        words[75] = 31;
        words[76] = 1 << 8;
        words[82] = (1 << 5) | (1 << 3) | 1;
        words[83] = (1 << 14) | (1 << 13) | (1 << 12) | (1 << 10);
        words[84] = (1 << 14) | (1 << 6) | (1 << 5);
        words[85] = (1 << 5) | 1;
        for (int i = 0; i < 4; i++) words[100 + i] = (ushort)(sectors >> (16 * i));
        words[105] = 8;
        words[106] = (ushort)((1 << 14) | (sectorBytes == 512 ? (1 << 13) | 3 : 1 << 12));
        (words[117], words[118]) = ((ushort)(sectorBytes / 2), (ushort)(sectorBytes / 2 >> 16));
        words[128] = (1 << 3) | 1;
        words[169] = 1;
        words[217] = 7200;
        return words;
    }

    private static void Put(Span<ushort> words, string text)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(text.PadRight(2 * words.Length));
        for (int i = 0; i < words.Length; i++) words[i] = (ushort)((bytes[2 * i] << 8) | bytes[(2 * i) + 1]);
    }
}

/// <summary>A command as the disk gets it.</summary>
public sealed record AtaCommandModel(int Slot, byte Command, ulong Lba, uint Count, uint Features, byte Device, bool Queued);

/// <summary>What goes wrong.</summary>
public enum AtaFaultKind
{
    /// <summary>Ends with ERR, and the error given.</summary>
    TaskFile,

    /// <summary>Is never answered.</summary>
    Silence,

    /// <summary>Is never answered, with BSY set.</summary>
    StuckBusy,

    /// <summary>PxIS.IFS.</summary>
    InterfaceFatal,

    /// <summary>PxIS.HBFS.</summary>
    HostBusFatal,

    /// <summary>Fails as QEMU 7.2 lets a queued command fail: PxSERR, and no error interrupt.</summary>
    Mute,

    /// <summary>Is done, and neither interrupts nor sends a FIS to memory.</summary>
    LostInterrupt,
}

/// <param name="Error">The error register.</param>
/// <param name="Lba">Where.</param>
public sealed record AtaFault(AtaFaultKind Kind, byte Error = 0, ulong Lba = 0);
