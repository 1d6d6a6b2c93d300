using Xinim.Drivers.Block;
using Xinim.Drivers.Block.Ahci;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block;
using Xinim.TestKit.Remote;
using Xunit;

namespace Xinim.Drivers.Tests.Remote;

/// <summary>The driver on QEMU's own ich9-ahci; what it did is looked up in the image. QEMU's names of the cases where it has them.</summary>
[Trait("needs", "qemu")]
public sealed class AhciQemuTests : IDisposable
{
    private const int Sector = 512, Sectors = 16384;
    private readonly string _image = Path.GetTempFileName();
    private readonly byte[] _expected = new byte[Sectors * Sector];

    public AhciQemuTests()
    {
        new Random(5).NextBytes(_expected);
        File.WriteAllBytes(_image, _expected);
    }

    public void Dispose() => File.Delete(_image);

    [Fact]
    public void Identify()
    {
        using QemuController controller = New();
        BlockDeviceInfo info = controller.Start().Info;
        Assert.Equal(6, controller.Units.Count);
        Assert.Equal((Sectors, (uint)Sector, 32u), ((int)info.Blocks, info.LogicalBlockBytes, info.QueueDepth));
        Assert.Equal("QEMU HARDDISK", info.Model.ToString());
        Assert.True(info.Has(BlockFeatures.Flush | BlockFeatures.WriteCache | BlockFeatures.WriteCacheSwitch | BlockFeatures.WriteZeroes), info.Features.ToString());
        for (int i = 1; i < 6; i++) Assert.Equal((BlockFeatures.Absent, (uint)i), (controller.Units[i].Info.Features, controller.Units[i].Number));
        Assert.Contains(controller.Log, line => line.Contains("QEMU HARDDISK", StringComparison.Ordinal) && line.Contains("queue of 32", StringComparison.Ordinal));
    }

    /// <summary>QEMU's io/{pio,dma}/{lba28,lba48}/{simple, double, long, short}/{zero, low, high}, and io/ncq.</summary>
    [Theory]
    [InlineData("ncq")]
    [InlineData("dma/lba48")]
    [InlineData("dma/lba28")]
    [InlineData("pio/lba48")]
    [InlineData("pio/lba28")]
    public void Io(string kind)
    {
        using QemuController controller = New(Options(kind));
        BlockDeviceInfo info = controller.Start().Info;
        UnitClient disk = controller.Clients[0];
        foreach (int bytes in (int[])[4096, 8192, 131072, 512])
        {
            foreach (ulong lba in (ulong[])[0, 0x1fff, info.Blocks - ((ulong)bytes / Sector)])
            {
                Span<byte> data = disk.Memory[..bytes];
                new Random(bytes + (int)lba).NextBytes(data);
                data.CopyTo(_expected.AsSpan((int)lba * Sector));
                Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Write, lba, (uint)(bytes / Sector), 0, bytes));
                data.Clear();
                Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Read, lba, (uint)(bytes / Sector), 0, bytes));
                Assert.True(data.SequenceEqual(_expected.AsSpan((int)lba * Sector, bytes)), $"{bytes} bytes at {lba}");
            }
        }

        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Flush, 0, 0, 0));
        Assert.Equal((12ul, 12ul, 1ul, 0ul), (disk.Unit.Statistics.Reads, disk.Unit.Statistics.Writes, disk.Unit.Statistics.Flushes, disk.Unit.Statistics.Errors));
        AssertImage();
    }

    [Theory]
    [InlineData("ncq")]
    [InlineData("dma/lba48")]
    [InlineData("pio/lba28")]
    public void Many_at_a_time(string kind)
    {
        using QemuController controller = New(Options(kind));
        BlockDeviceInfo info = controller.Start().Info;
        UnitClient disk = controller.Clients[0];
        const int Rounds = 12;
        Random random = new(4);
        for (int round = 0; round < Rounds; round++)
        {
            List<(ulong Cookie, int At, int Lba, int Count, bool Write)> asked = [];
            int at = 0;
            for (int i = 0; i < 48; i++)
            {
                // In one round no block is written and touched again: the order is the device's.
                int count = random.Next(1, 65), lba = (i * Sectors / 48) + random.Next((Sectors / 48) - 64);
                bool write = random.Next(2) == 0;
                Span<byte> memory = disk.Memory.Slice(at, count * Sector);
                if (write) random.NextBytes(memory);
                else memory.Clear();
                if (write) memory.CopyTo(_expected.AsSpan(lba * Sector));
                asked.Add((disk.Submit(write ? BlockOperation.Write : BlockOperation.Read, (ulong)lba, (uint)count, at, Cut(random, count * Sector, (int)info.MaxSegments)), at, lba, count, write));
                at += count * Sector;
                if (random.Next(16) == 0) asked.Add((disk.Submit(BlockOperation.Flush, 0, 0, 0), 0, 0, 0, true));
            }

            foreach ((ulong cookie, int place, int lba, int count, bool write) in asked)
            {
                Assert.Equal(BlockStatus.Ok, disk.Await(cookie).Status);
                if (!write) Assert.True(disk.Memory.Slice(place, count * Sector).SequenceEqual(_expected.AsSpan(lba * Sector, count * Sector)), $"round {round}, {count} blocks from {lba}");
            }
        }

        AssertImage();
        Assert.False(disk.Unit.Busy);
    }

    [Fact]
    public void A_new_driver_takes_over_whatever_the_last_one_left()
    {
        using QemuController controller = New();
        controller.Start();
        for (int life = 0; life < 8; life++)
        {
            UnitClient disk = controller.Clients[0];
            // Reads, and writes of what a later life writes again.
            disk.Memory.Fill((byte)life);
            for (int i = 0; i < 64; i++) _ = disk.Submit(i % 2 == 0 ? BlockOperation.Read : BlockOperation.Write, (ulong)(8 * i), 8, (1 << 20) + (i * 4096), 4096);
            // Nothing is in flight: with commands that are, QEMU's multi-process machine does not survive a reset.
            long start = Environment.TickCount64;
            while (disk.Unread < 64)
            {
                disk.Poll();
                Assert.InRange(Environment.TickCount64 - start, 0, 20_000);
            }

            controller.Driver.ArmInterrupts();
            controller.Reincarnate(reset: life % 2 == 0);
            disk = controller.Clients[0];
            Assert.Equal((ulong)Sectors, controller.Units[0].Info.Blocks);
            disk.Memory[..4096].Fill((byte)(100 + life));
            for (int i = 0; i < 64; i++) Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Write, (ulong)(8 * i), 8, 0, 4096));
            _expected.AsSpan(0, 64 * 4096).Fill((byte)(100 + life));
            AssertImage();
        }
    }

    /// <summary>Every port and every slot, all at once.</summary>
    [Fact]
    public void Max()
    {
        using QemuController controller = new("ich9-ahci", [.. Enumerable.Repeat("null-co,size=1073741824,latency-ns=1000000", 6)], context => new AhciDriver(context));
        controller.Start();
        List<(UnitClient Client, ulong Cookie)> asked = [];
        foreach (UnitClient client in controller.Clients)
        {
            client.Memory.Fill(0x5a);
            for (int i = 0; i < 40; i++) asked.Add((client, client.Submit(BlockOperation.Read, (ulong)(8 * i), 8, i * 4096, 4096)));
            client.Poll();
        }

        foreach ((UnitClient client, ulong cookie) in asked) Assert.Equal(BlockStatus.Ok, client.Await(cookie).Status);
        Assert.All(controller.Clients, client => Assert.Equal(-1, client.Memory[..(40 * 4096)].IndexOfAnyExcept((byte)0)));
        Assert.All(controller.Units, unit => Assert.Equal((40ul, false), (unit.Statistics.Reads, unit.Busy)));
    }

    /// <summary>QEMU's retry cases, errors reported. One command at a time: its multi-process machine can hang in a link reset with others in flight, as the lab tests it.</summary>
    [Theory]
    [InlineData("ncq")]
    [InlineData("dma/lba48")]
    [InlineData("pio/lba28")]
    public void A_bad_sector_fails_its_request_and_no_other(string kind)
    {
        using QemuController controller = new("ich9-ahci", [$"{_image},bad-sector=1003"], context => new AhciDriver(context with { Options = Options(kind).Append(("depth", "1")).ToDictionary(option => option.Item1, option => option.Item2) }));
        controller.Start();
        UnitClient disk = controller.Clients[0];
        for (int round = 0; round < 3; round++)
        {
            ulong[] cookies = [.. Enumerable.Range(0, 16).Select(i => disk.Submit(BlockOperation.Read, (ulong)(920 + (8 * i)), 8, i * 4096, 4096))];
            for (int i = 0; i < 16; i++)
            {
                BlockCompletion answer = AwaitWithTimer(controller, disk, cookies[i]);
                Assert.Equal((i == 10 ? BlockStatus.IoError : BlockStatus.Ok, i), (answer.Status, i));
                if (i == 10) Assert.Equal(1000ul, answer.FailedLba);
                else Assert.True(disk.Memory.Slice(i * 4096, 4096).SequenceEqual(_expected.AsSpan((920 + (8 * i)) * Sector, 4096)), $"round {round}, request {i}");
            }

            Assert.Equal(BlockStatus.IoError, AwaitWithTimer(controller, disk, disk.Submit(BlockOperation.Write, 1000, 8, 0, 4096)).Status);
        }

        Assert.Equal(6ul, disk.Unit.Statistics.Errors);
        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Flush, 0, 0, 0));
    }

    [Fact]
    public void Discards_free_the_image_and_zeroes_are_written()
    {
        using QemuController controller = new("ich9-ahci", [$"{_image},discard=unmap"], context => new AhciDriver(context));
        BlockDeviceInfo info = controller.Start().Info;
        Assert.True(info.Has(BlockFeatures.Discard));
        UnitClient disk = controller.Clients[0];
        long before = AllocatedBytes();
        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Discard, 2048, 8192, 0));
        _expected.AsSpan(2048 * Sector, 8192 * Sector).Clear();
        AssertImage();
        Assert.InRange(AllocatedBytes(), 0, before - (8191 * Sector));
        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.WriteZeroes, 100, 37, 0));
        _expected.AsSpan(100 * Sector, 37 * Sector).Clear();
        AssertImage();
    }

    [Fact]
    public void Two_disks_are_served_side_by_side()
    {
        string second = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(second, _expected);
            using QemuController controller = new("ich9-ahci", [_image, second], context => new AhciDriver(context));
            controller.Start();
            Assert.NotEqual(controller.Units[0].Info.Serial.ToString(), controller.Units[1].Info.Serial.ToString());
            List<(UnitClient Client, ulong Cookie)> asked = [];
            for (int i = 0; i < 40; i++)
            {
                UnitClient client = controller.Clients[i % 2];
                client.Memory.Slice(i * 4096, 4096).Fill((byte)(i + 1));
                if (i % 2 == 0) _expected.AsSpan(i * 4096, 4096).Fill((byte)(i + 1));
                asked.Add((client, client.Submit(BlockOperation.Write, (ulong)(8 * i), 8, i * 4096, 4096)));
            }

            foreach ((UnitClient client, ulong cookie) in asked) Assert.Equal(BlockStatus.Ok, client.Await(cookie).Status);
            AssertImage();
            Assert.Equal((20ul, 20ul), (controller.Units[0].Statistics.Writes, controller.Units[1].Statistics.Writes));
            Assert.Equal((byte)40, File.ReadAllBytes(second)[39 * 4096]);
        }
        finally
        {
            File.Delete(second);
        }
    }

    [Fact]
    public void High_positions()
    {
        const long bytes = 4L << 40;
        using (FileStream file = new(_image, FileMode.Create)) file.SetLength(bytes);
        using QemuController controller = New();
        ulong blocks = controller.Start().Info.Blocks;
        Assert.Equal((ulong)(bytes / Sector), blocks);
        UnitClient disk = controller.Clients[0];
        ulong[] places = [0, (1ul << 28) - 1, 1ul << 28, (4ul << 30) / Sector, (128ul << 30) / Sector, 1ul << 32, blocks - 1];
        for (int i = 0; i < places.Length; i++)
        {
            disk.Memory[..Sector].Fill((byte)(i + 1));
            Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Write, places[i], 1, 0, Sector));
        }

        for (int i = 0; i < places.Length; i++)
        {
            Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Read, places[i], 1, 0, Sector));
            // 4 GiB and 128 GiB are sectors 2^23 and 2^28, of which the latter was written once more.
            Assert.Equal((byte)(Array.LastIndexOf(places, places[i]) + 1), disk.Memory[Sector - 1]);
        }

        Assert.Equal(BlockStatus.OutOfRange, disk.Run(BlockOperation.Write, blocks, 1, 0, Sector));
    }

    /// <summary>QEMU's cdrom/{dma,pio}/{single,multi}.</summary>
    [Theory]
    [InlineData("true")]
    [InlineData("false")]
    public void Cdrom(string dma)
    {
        using QemuController controller = new("ich9-ahci", [$"{_image},media=cdrom"], context => new AhciDriver(context with { Options = new Dictionary<string, string> { ["dma"] = dma } }));
        BlockDeviceInfo info = controller.Start().Info;
        Assert.Equal((4096ul, 2048u, BlockFeatures.ReadOnly | BlockFeatures.Removable), (info.Blocks, info.LogicalBlockBytes, info.Features));
        UnitClient disc = controller.Clients[0];
        foreach ((ulong lba, int blocks) in ((ulong, int)[])[(0, 1), (100, 16), (4095, 1), (0, 512)])
        {
            disc.Memory.Clear();
            Assert.Equal(BlockStatus.Ok, disc.Run(BlockOperation.Read, lba, (uint)blocks, 0, blocks * 2048));
            Assert.True(disc.Memory[..(blocks * 2048)].SequenceEqual(_expected.AsSpan((int)lba * 2048, blocks * 2048)), $"{blocks} blocks from {lba}");
        }

        Assert.Equal(BlockStatus.ReadOnly, disc.Run(BlockOperation.Write, 0, 1, 0, 2048));
        Assert.Equal(BlockStatus.OutOfRange, disc.Run(BlockOperation.Read, 4096, 1, 0, 2048));
        AssertImage();
    }

    /// <summary>QEMU's cdrom/eject.</summary>
    [Fact]
    public void Cdrom_eject()
    {
        using QemuController controller = new("ich9-ahci", [$"{_image},media=cdrom"], context => new AhciDriver(context));
        IControllerUnit drive = controller.Start();
        UnitClient disc = controller.Clients[0];
        drive.Run(BlockVerb.Eject);
        Poll(controller, () => drive.Info.Has(BlockFeatures.Absent));
        Assert.Equal(BlockStatus.NoMedium, disc.Run(BlockOperation.Read, 0, 1, 0, 2048));
        drive.Run(BlockVerb.Load);
        Poll(controller, () => drive.Info.Blocks == 4096);
        Assert.Equal(BlockStatus.Ok, disc.Run(BlockOperation.Read, 7, 1, 0, 2048));
    }

    /// <summary>As the host's loop does it: polls, arms, polls once more and sleeps.</summary>
    [Theory]
    [InlineData("ncq")]
    [InlineData("dma/lba48")]
    public void Interrupts_wake(string kind)
    {
        using QemuController controller = New(Options(kind));
        controller.Start();
        UnitClient disk = controller.Clients[0];
        for (int i = 0; i < 20; i++)
        {
            ulong cookie = disk.Submit(BlockOperation.Read, (ulong)i, 4096, 0, 2 << 20);
            BlockCompletion answer;
            for (int sleeps = 0; ; sleeps++)
            {
                disk.Poll();
                controller.Driver.ArmInterrupts();
                disk.Poll();
                if (disk.TryTake(cookie, out answer)) break;
                Assert.True(controller.Serve(10_000), $"an answer came, round {i}");
                Assert.InRange(sleeps, 0, 100);
            }

            Assert.Equal(BlockStatus.Ok, answer.Status);
            Assert.True(disk.Memory[..(2 << 20)].SequenceEqual(_expected.AsSpan(i * Sector, 2 << 20)));
            controller.Driver.MaskInterrupts();
        }
    }

    [Fact]
    public void Health_is_read()
    {
        using QemuController controller = New();
        controller.Start();
        controller.Driver.OnTimer();
        Poll(controller, () => controller.Units[0].Health.Temperature != 0);
        BlockHealth health = controller.Units[0].Health;
        Assert.Equal((BlockVerdict.Good, 31), (health.Verdict, health.Temperature));
        controller.Units[0].SetWriteCache(false);
        Assert.False(controller.Units[0].Info.Has(BlockFeatures.WriteCache));
        // Its disks do not say that they have power modes.
        Assert.Throws<ArgumentException>(() => controller.Units[0].Run(BlockVerb.Standby));
        Assert.Equal(BlockStatus.Ok, controller.Clients[0].Run(BlockOperation.Read, 0, 1, 0, Sector));
    }

    private static BlockCompletion AwaitWithTimer(QemuController controller, UnitClient disk, ulong cookie)
    {
        BlockCompletion answer = default;
        Poll(controller, () => disk.TryTake(cookie, out answer));
        return answer;
    }

    /// <summary>The host's loop with its timer.</summary>
    private static void Poll(QemuController controller, Func<bool> until)
    {
        long start = Environment.TickCount64, tick = start;
        while (!until())
        {
            foreach (UnitClient client in controller.Clients) client.Poll();
            if (Environment.TickCount64 - tick < 1000) continue;
            tick = Environment.TickCount64;
            controller.Driver.OnTimer();
            if (tick - start > 60_000) throw new TimeoutException("nothing more came within a minute");
        }
    }

    /// <summary>What stat says; a hole takes none.</summary>
    private long AllocatedBytes()
    {
        using System.Diagnostics.Process stat = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("stat", ["-c", "%b", _image]) { RedirectStandardOutput = true })!;
        return long.Parse(stat.StandardOutput.ReadToEnd(), System.Globalization.CultureInfo.InvariantCulture) * 512;
    }

    /// <summary>Pieces of any even length that make up so many bytes.</summary>
    private static int[] Cut(Random random, int bytes, int most)
    {
        List<int> pieces = [];
        while (bytes > 0)
        {
            int piece = pieces.Count == most - 1 ? bytes : Math.Min(bytes, random.Next(1, 2048) * 2);
            pieces.Add(piece);
            bytes -= piece;
        }

        return [.. pieces];
    }

    private static (string Key, string Value)[] Options(string kind) => kind switch
    {
        "ncq" => [],
        "dma/lba48" => [("ncq", "false")],
        "dma/lba28" => [("lba48", "false")],
        "pio/lba48" => [("dma", "false")],
        _ => [("dma", "false"), ("lba48", "false")],
    };

    private void AssertImage() => Assert.True(File.ReadAllBytes(_image).AsSpan().SequenceEqual(_expected), "the image is not what was written");

    private QemuController New(params (string Key, string Value)[] options)
    {
        Dictionary<string, string> texts = options.ToDictionary(option => option.Key, option => option.Value);
        return new QemuController("ich9-ahci", [_image], context => new AhciDriver(context with { Options = texts }));
    }
}
