using Xinim.Drivers.Block.Ahci;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block.Ahci;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Ahci;

/// <summary>IDENTIFY DEVICE data, word by word.</summary>
public sealed class AtaIdentityTests
{
    private static readonly AtaModes All = new(true, true, true, 32);

    [Fact]
    public void A_usual_disk()
    {
        AtaIdentity disk = Parse([]);
        Assert.Equal(("XT-0001", "XINIM TEST DISK", "1.0", "frozen"), (disk.Serial, disk.Model, disk.Firmware, disk.Security));
        Assert.Equal((16384ul, 16384ul, 512u, 4096u, 32u, 8u), (disk.Sectors, disk.Sectors28, disk.SectorBytes, disk.PhysicalBytes, disk.QueueDepth, disk.TrimBlocks));
        Assert.True(disk is { Dma: true, Lba48: true, Flush: true, FlushExt: true, Fua: true, WriteCache: true, WriteCacheOn: true, Smart: true, PowerManagement: true, Logs: true, Rotational: true, TrimmedReadsZero: true, Removable: false });
    }

    [Theory]
    [InlineData(83, 0x7400, 0x3400)] // no valid bits: nothing of words 82 and 83 counts
    [InlineData(83, 0x7400, 0xb400)]
    public void Words_without_their_mark_mean_nothing(int word, int was, int now)
    {
        Assert.Equal(was, new AtaDiskModel().Identify[word]);
        AtaIdentity disk = Parse([(word, now)]);
        Assert.True(disk is { Lba48: false, Flush: false, WriteCache: false, Smart: false });
        Assert.Equal(16384ul, disk.Sectors);
    }

    [Fact]
    public void Sizes()
    {
        AtaIdentity large = Parse([(100, 0), (101, 0), (102, 2), (60, 0xffff), (61, 0x0fff)]);
        Assert.Equal((1ul << 33, (1ul << 28) - 1), (large.Sectors, large.Sectors28));
        Assert.Equal(1ul << 20, Parse([(69, 1 << 3), (231, 16)]).Sectors);
        AtaIdentity native = Parse([(106, 0x5000), (117, 2048)]);
        Assert.Equal((4096u, 4096u), (native.SectorBytes, native.PhysicalBytes));
        Assert.Equal(1u, Parse([(209, 0x4001)]).AlignmentOffset);
        Assert.Equal(0u, Parse([(209, 0x8001)]).AlignmentOffset);
    }

    [Theory]
    [InlineData(75, 0, 1)]
    [InlineData(75, 15, 16)]
    [InlineData(76, 0, 0)]
    [InlineData(76, 0xffff, 0)]
    public void Queues(int word, int value, int depth) => Assert.Equal((uint)depth, Parse([(word, value)]).QueueDepth);

    [Theory]
    [InlineData(0, 0x8000, "no ATA device")]
    [InlineData(49, 0x0100, "no logical block addresses")]
    [InlineData(255, 0x00a5, "checksum")]
    [InlineData(117, 100, "sectors have 200 bytes")]
    public void What_cannot_be_is_refused(int word, int value, string says)
    {
        ushort[] words = new AtaDiskModel().Identify;
        words[106] = 0x5000;
        words[117] = 256;
        words[word] = (ushort)value;
        _ = AtaIdentity.Parse(words, out string? wrong);
        Assert.Contains(says, wrong, StringComparison.Ordinal);
    }

    [Fact]
    public void An_empty_disk_is_refused()
    {
        _ = AtaIdentity.Parse(new AtaDiskModel(0).Identify, out string? wrong);
        Assert.Contains("0 sectors", wrong, StringComparison.Ordinal);
    }

    [Fact]
    public void A_right_checksum_is_accepted()
    {
        ushort[] words = new AtaDiskModel().Identify;
        words[255] = 0x00a5;
        byte sum = 0;
        foreach (ushort word in words) sum += (byte)(word + (word >> 8));
        words[255] |= (ushort)((byte)-sum << 8);
        _ = AtaIdentity.Parse(words, out string? wrong);
        Assert.Null(wrong);
    }

    [Fact]
    public void Limits_are_those_of_the_commands_in_use()
    {
        AtaIdentity disk = Parse([(100, 0), (101, 0), (102, 1), (60, 0xffff), (61, 0x0fff)]);
        BlockDeviceInfo queued = disk.Describe(All), old = disk.Describe(new AtaModes(false, true, false, 1));
        Assert.Equal((1ul << 32, 32u << 20, 248u, 4u << 20, 2u), (queued.Blocks, queued.MaxRequestBytes, queued.MaxSegments, queued.MaxSegmentBytes, queued.SegmentAlignment));
        Assert.Equal(((1ul << 28) - 1, 128u << 10, 256u), (old.Blocks, old.MaxRequestBytes, old.MaxZeroesBlocks));
        Assert.False(old.Has(BlockFeatures.Fua));
        Assert.Equal(BlockFeatures.None, Parse([(169, 0)]).Describe(All).Features & (BlockFeatures.Discard | BlockFeatures.ZeroesMayUnmap));
    }

    [Fact]
    public void Log_pages_that_are_damaged_or_of_other_commands_name_none()
    {
        byte[] page = new byte[512];
        (page[0], page[2], page[3], page[4], page[10]) = (7, 0x41, 0x40, 9, 1);
        page[511] = unchecked((byte)-(7 + 0x41 + 0x40 + 9 + 1));
        Assert.Equal(new QueuedErrorLog(7, (TaskFile)0x4041, 9 | (1ul << 40)), QueuedErrorLog.Parse(page));
        (page[0], page[511]) = (0x87, (byte)(page[511] - 0x80));
        Assert.Null(QueuedErrorLog.Parse(page));
        page[0] = 7;
        Assert.Null(QueuedErrorLog.Parse(page));
    }

    private static AtaIdentity Parse((int Word, int Value)[] changes)
    {
        ushort[] words = new AtaDiskModel().Identify;
        foreach ((int word, int value) in changes) words[word] = (ushort)value;
        AtaIdentity disk = AtaIdentity.Parse(words, out string? wrong);
        Assert.Null(wrong);
        return disk;
    }
}
