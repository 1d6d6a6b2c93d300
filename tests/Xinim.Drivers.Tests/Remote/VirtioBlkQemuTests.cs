using Xinim.Drivers.Block.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Remote;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Remote;

/// <summary>The driver on QEMU's own virtio-blk, split and packed, each queue feature on and off; what it did is looked up in the image. QEMU's names of the cases where it has them.</summary>
[Trait("needs", "qemu")]
public sealed class VirtioBlkQemuTests : IDisposable
{
    private const int Sector = 512, Sectors = 16384;
    private readonly string _image = Path.GetTempFileName();
    private readonly byte[] _expected = new byte[Sectors * Sector];

    public VirtioBlkQemuTests()
    {
        new Random(3).NextBytes(_expected);
        File.WriteAllBytes(_image, _expected);
    }

    /// <summary>Properties of the model.</summary>
    public static TheoryData<string> Devices =>
    [
        "packed=off", "packed=on", "packed=off,event_idx=off", "packed=on,event_idx=off", "packed=off,indirect_desc=off", "packed=on,indirect_desc=off", "queue-size=8,seg-max-adjust=on", "config-wce=off",
    ];

    public void Dispose() => File.Delete(_image);

    [Theory]
    [MemberData(nameof(Devices))]
    public void Basic(string device)
    {
        using QemuDisk disk = New(device);
        BlockDeviceInfo info = disk.Start();
        Assert.Equal((ulong)Sectors, info.Blocks);
        const int Rounds = 24;
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
            }

            foreach ((ulong cookie, int place, int lba, int count, bool write) in asked)
            {
                Assert.Equal(BlockStatus.Ok, disk.Await(cookie));
                if (!write) Assert.True(disk.Memory.Slice(place, count * Sector).SequenceEqual(_expected.AsSpan(lba * Sector, count * Sector)), $"round {round}, {count} blocks from {lba}");
            }
        }

        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Flush, 0, 0, 0));
        AssertImage();
        Assert.Equal((Rounds * 48ul, 1ul, 0ul, 0ul), (disk.Driver.Statistics.Reads + disk.Driver.Statistics.Writes, disk.Driver.Statistics.Flushes, disk.Driver.Statistics.Errors, disk.Driver.Statistics.Rejected));
        Assert.False(disk.Driver.Busy);
    }

    [Theory]
    [InlineData("packed=off")]
    [InlineData("packed=on")]
    public void Discard_and_write_zeroes(string device)
    {
        using QemuDisk disk = New(device);
        BlockDeviceInfo info = disk.Start();
        Assert.True(info.Has(BlockFeatures.Discard | BlockFeatures.WriteZeroes));
        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.WriteZeroes, 100, 37, 0));
        _expected.AsSpan(100 * Sector, 37 * Sector).Clear();
        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.WriteZeroes, Sectors - 1, 1, 0));
        _expected.AsSpan((Sectors - 1) * Sector).Clear();
        // The image was not opened for discards: they are heard and change nothing.
        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Discard, 200, 8, 0));
        AssertImage();
        Assert.Equal(BlockStatus.OutOfRange, disk.Run(BlockOperation.WriteZeroes, Sectors - 1, 2, 0));
        Assert.Equal(BlockStatus.BadRequest, disk.Run(BlockOperation.Discard, 0, 0, 0));
        AssertImage();
    }

    [Fact]
    public void What_a_device_lacks_is_refused_before_it()
    {
        using QemuDisk disk = New("discard=off,write-zeroes=off");
        BlockDeviceInfo info = disk.Start();
        Assert.Equal(BlockFeatures.None, info.Features & (BlockFeatures.Discard | BlockFeatures.WriteZeroes));
        Assert.Equal(BlockStatus.Unsupported, disk.Run(BlockOperation.WriteZeroes, 100, 37, 0));
        Assert.Equal(BlockStatus.Unsupported, disk.Run(BlockOperation.Discard, 100, 37, 0));
        AssertImage();
    }

    [Theory]
    [InlineData("logical_block_size=512", 512, 512, 0)]
    [InlineData("logical_block_size=512,physical_block_size=4096,min_io_size=4096,opt_io_size=65536", 512, 4096, 128)]
    [InlineData("logical_block_size=4096,physical_block_size=4096,opt_io_size=65536", 4096, 4096, 16)]
    public void Config(string device, int block, int physical, int optimal)
    {
        using QemuDisk disk = New($"{device},serial=SN-0815,queue-size=128,seg-max-adjust=on");
        BlockDeviceInfo info = disk.Start();
        Assert.Equal(((ulong)(Sectors * Sector / block), (uint)block, (uint)physical, (uint)optimal), (info.Blocks, info.LogicalBlockBytes, info.PhysicalBlockBytes, info.OptimalBlocks));
        Assert.Equal(("SN-0815", 126u), (info.Serial.ToString(), info.MaxSegments));
        ulong last = info.Blocks - 1;
        disk.Memory[..block].Fill(0x5a);
        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Write, last, 1, 0, block));
        Assert.Equal(BlockStatus.OutOfRange, disk.Run(BlockOperation.Write, last, 2, 0, 2 * block));
        Assert.Equal(BlockStatus.OutOfRange, disk.Run(BlockOperation.Read, last + 1, 1, 0, block));
        Assert.Equal(BlockStatus.BadRequest, disk.Run(BlockOperation.Read, 0, 2, 0, block));
        _expected.AsSpan(_expected.Length - block).Fill(0x5a);
        AssertImage();
        disk.Memory[..64].Clear();
        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.GetId, 0, 0, 0, 64));
        Assert.True(disk.Memory.StartsWith("SN-0815\0"u8));
    }

    [Theory]
    [InlineData("packed=off", 1)]
    [InlineData("packed=on", 3)]
    [InlineData("packed=off", 4)]
    [InlineData("packed=on", 16)]
    public void Several_queues(string device, int wanted)
    {
        using QemuDisk disk = New($"{device},num-queues=4", ("queues", $"{wanted}"));
        Assert.Equal((uint)Math.Min(wanted, 4), disk.Start().Queues);
        ulong[] cookies = [.. Enumerable.Range(0, 128).Select(i => disk.Submit(BlockOperation.Read, (ulong)(i * 16), 16, i * 8192, 8192))];
        foreach (ulong cookie in cookies) Assert.Equal(BlockStatus.Ok, disk.Await(cookie));
        Assert.True(disk.Memory[..(128 * 8192)].SequenceEqual(_expected.AsSpan(0, 128 * 8192)));
    }

    [Fact]
    public void Nxvirtq()
    {
        using QemuDisk disk = New("num-queues=2");
        VirtioPciTransport transport = new(disk.Device, disk.Interrupts);
        Assert.Equal(2, transport.QueueCount);
        Assert.NotEqual(0u, transport.MaxQueueSize(1));
        Assert.Equal(0u, transport.MaxQueueSize(2));
        DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() => transport.SetUpQueue(2, new VirtQueueMemory { Size = 16 }, null));
        Assert.Contains("queue 2 has no 16 entries", fault.Message, StringComparison.Ordinal);
        // The device is none the worse for it.
        disk.Start();
        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Read, 0, 1, 0, Sector));
    }

    [Theory]
    [InlineData("packed=off")]
    [InlineData("packed=on")]
    [InlineData("packed=off,event_idx=off")]
    [InlineData("packed=on,event_idx=off")]
    public void Idx(string device)
    {
        // Each answer takes 20 ms, so that a request is under way when interrupts are armed.
        using QemuDisk disk = New(device, drive: "null-co,size=16777216,latency-ns=20000000");
        disk.Start();
        const int Large = 4 << 20;
        int interrupts = 0;
        for (int i = 0; i < 20; i++)
        {
            disk.Memory[..Large].Fill(0xFF);
            // As the host's loop does: what is finished before interrupts are armed raises none, and is seen by the poll that follows.
            ulong cookie = disk.Submit(BlockOperation.Read, (ulong)i, Large / Sector, 0, Large);
            disk.Poll();
            disk.Driver.ArmInterrupts();
            disk.Poll();
            while (disk.Driver.Busy)
            {
                // One of the former round may come late, as a call for nothing.
                Assert.True(disk.AwaitInterrupt(10_000), $"an answer came, round {i}");
                interrupts++;
                Handle(disk);
                disk.Poll();
                disk.Driver.ArmInterrupts();
                disk.Poll();
            }

            Assert.Equal(BlockStatus.Ok, disk.Await(cookie, 0));
            Assert.False(disk.Memory[..Large].ContainsAnyExcept((byte)0));
            disk.Driver.MaskInterrupts();
        }

        Assert.NotEqual(0, interrupts);
        // Nobody asks to be woken: at the most the last round's comes late.
        bool silent = false;
        for (int tries = 0; tries < 3 && !silent; tries++)
        {
            Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Read, 0, 1, 0, Sector));
            silent = !disk.AwaitInterrupt(20);
            if (!silent) Handle(disk);
        }

        Assert.True(silent, "each answer came with an interrupt");
    }

    private static void Handle(QemuDisk disk)
    {
        disk.Driver.OnInterrupt(0);
        disk.Interrupts.Acknowledge(0);
    }

    [Fact]
    public void A_disk_that_is_read_only_stays_as_it_is()
    {
        using QemuDisk disk = New("packed=on", drive: $"{_image},read-only=on");
        Assert.True(disk.Start().Has(BlockFeatures.ReadOnly));
        Assert.Equal(BlockStatus.ReadOnly, disk.Run(BlockOperation.Write, 5, 1, 0, Sector));
        Assert.Equal(BlockStatus.ReadOnly, disk.Run(BlockOperation.WriteZeroes, 5, 1, 0));
        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Read, 5, 1, 0, Sector));
        Assert.True(disk.Memory[..Sector].SequenceEqual(_expected.AsSpan(5 * Sector, Sector)));
        AssertImage();
    }

    [Fact]
    public void The_write_cache_is_switched()
    {
        using QemuDisk disk = New("config-wce=on,write-cache=on");
        Assert.True(disk.Start().Has(BlockFeatures.WriteCacheSwitch | BlockFeatures.WriteCache));
        Assert.False(disk.Driver.TryTakeChange(out _));
        disk.Driver.SetWriteCache(false);
        Assert.True(disk.Driver.TryTakeChange(out BlockDeviceInfo now));
        Assert.False(now.Has(BlockFeatures.WriteCache));
        disk.Memory[..Sector].Fill(1);
        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Write, 0, 1, 0, Sector));
        _expected.AsSpan(0, Sector).Fill(1);
        AssertImage();
    }

    [Theory]
    [InlineData("packed=off", true)]
    [InlineData("packed=off", false)]
    [InlineData("packed=on", true)]
    [InlineData("packed=on", false)]
    public void A_new_driver_takes_over_whatever_the_last_one_left(string device, bool reset)
    {
        using QemuDisk disk = New(device);
        disk.Start();
        for (int life = 0; life < 8; life++)
        {
            // Requests that nobody takes the answers of: reads, and writes of what a later life writes again.
            disk.Memory.Fill((byte)life);
            for (int i = 0; i < 64; i++) _ = disk.Submit(i % 2 == 0 ? BlockOperation.Read : BlockOperation.Write, (ulong)(8 * i), 8, (1 << 20) + (i * 4096), 4096);
            disk.Poll();
            BlockDeviceInfo info = disk.Reincarnate(reset);
            Assert.Equal((ulong)Sectors, info.Blocks);
            disk.Memory[..4096].Fill((byte)(100 + life));
            for (int i = 0; i < 64; i++) Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Write, (ulong)(8 * i), 8, 0, 4096));
            _expected.AsSpan(0, 64 * 4096).Fill((byte)(100 + life));
            AssertImage();
            Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Read, 600, 8, 0, 4096));
            Assert.True(disk.Memory[..4096].SequenceEqual(_expected.AsSpan(600 * Sector, 4096)));
        }
    }

    [Fact]
    public void Detach_gives_the_memory_up_and_the_device_goes_on()
    {
        using QemuDisk disk = New("packed=on");
        disk.Start();
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Read, 7, 1, 0, Sector));
            disk.Driver.Detach();
            Assert.False(disk.Driver.Busy);
            disk.Attach();
        }

        Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Read, 8, 1, 0, Sector));
        Assert.True(disk.Memory[..Sector].SequenceEqual(_expected.AsSpan(8 * Sector, Sector)));
    }

    /// <summary>Pieces of any length that make up so many bytes.</summary>
    private static int[] Cut(Random random, int bytes, int most)
    {
        List<int> pieces = [];
        while (bytes > 0)
        {
            int piece = pieces.Count == most - 1 ? bytes : Math.Min(bytes, random.Next(1, 9) * Sector);
            pieces.Add(piece);
            bytes -= piece;
        }

        return [.. pieces];
    }

    private void AssertImage() => Assert.True(File.ReadAllBytes(_image).AsSpan().SequenceEqual(_expected), "the image is not what was written");

    private QemuDisk New(string device, params (string Key, string Value)[] options) => New(device, _image, options);

    private static QemuDisk New(string device, string drive, params (string Key, string Value)[] options)
    {
        Dictionary<string, string> texts = options.ToDictionary(option => option.Key, option => option.Value);
        KeyValuePair<string, string>[] properties = [.. device.Split(',').Select(word => word.Split('=')).Select(word => KeyValuePair.Create(word[0], word[1]))];
        return new QemuDisk("virtio-blk-pci", drive, context => new VirtioBlkDriver(context with { Options = texts }), properties);
    }
}
