using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Status;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>A disk goes the way of a NIC: the same life, another protocol.</summary>
public sealed class BlockSlotTests : IDisposable
{
    private readonly Bench _bench = new(deviceClass: "block");

    private static BlockDeviceInfo Disk => new()
    {
        Blocks = 16384,
        LogicalBlockBytes = 512,
        PhysicalBlockBytes = 4096,
        MaxSegments = 8,
        MaxSegmentBytes = 65536,
        MaxRequestBytes = 1 << 20,
        SegmentAlignment = 4,
        QueueDepth = 64,
        Queues = 1,
        Features = BlockFeatures.Flush | BlockFeatures.WriteCache | BlockFeatures.WriteCacheSwitch,
        Serial = FixedText.From("S1"),
        Model = FixedText.From("M1"),
    };

    [Fact]
    public void A_client_gets_one_pool_for_both_directions_and_fresh_rings_for_each_driver()
    {
        ScriptedDriver driver = Ready(Disk);
        Assert.Equal("disk0", _bench.Device.Name);
        ScriptedClient client = _bench.Connect();
        client.Send(ClientMessage.OpenBlock, Wish());
        using (ChannelMessage attach = driver.Obey(ControlMessage.Attach))
        {
            AttachMessage what = attach.Get<AttachMessage>();
            Assert.Equal((1u, 16u, 8u), (what.Count, what.Rings.TxCapacity, what.Rings.RxCapacity));
            Assert.Equal(RegionAccess.ReadWrite, what.Regions[0].DeviceAccess);
            Assert.Equal(RegionAccess.ReadWrite, _bench.Backend.Mapped[what.Regions[0].Iova].Access);
        }

        uint grant;
        using (ChannelMessage opened = client.Expect(ClientMessage.Opened))
        {
            OpenedBlockMessage what = opened.Get<OpenedBlockMessage>();
            grant = what.Grant;
            Assert.Equal((16384ul, 4), (what.Info.Blocks, opened.HandleCount));
            using SharedRegion pool = SharedRegion.Open(opened.TakeHandle(0), (long)what.PoolBytes, RegionAccess.ReadWrite);
            CheckRings(opened.TakeHandle(1), what);
        }

        driver.Kill();
        ScriptedDriver next = Ready(Disk);
        next.Obey(ControlMessage.Attach).Dispose();
        using ChannelMessage reopened = client.Expect(ClientMessage.Reopened);
        OpenedBlockMessage again = reopened.Get<OpenedBlockMessage>();
        Assert.Equal((grant, 2u, 1), (again.Grant, again.Rings.Generation, reopened.HandleCount));
        CheckRings(reopened.TakeHandle(0), again);
    }

    [Fact]
    public void A_disk_is_not_opened_as_a_nic()
    {
        Ready(Disk);
        ScriptedClient client = _bench.Connect();
        client.SendOpen(ScriptedClient.Wish("disk0"));
        Assert.Contains("disk0 is a block device", client.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
        client.Send(ClientMessage.OpenBlock, Wish() with { PoolBytes = 0 });
        Assert.Contains("a pool of 0 bytes", client.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
        client.Send(ClientMessage.OpenBlock, Wish() with { Completions = 3 });
        Assert.Contains("powers of two", client.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
    }

    [Fact]
    public void The_write_cache_is_as_its_client_wants_it_until_that_has_gone()
    {
        ScriptedDriver driver = Ready(Disk);
        ScriptedClient client = Open(driver);
        client.Send(ClientMessage.SetWriteCache, 0u);
        using (ChannelMessage question = driver.Obey(ControlMessage.SetWriteCache)) Assert.Equal(0u, question.Get<uint>());
        client.Expect(ClientMessage.Done).Dispose();
        driver.Kill();
        ScriptedDriver next = Ready(Disk);
        using (ChannelMessage question = next.Obey(ControlMessage.SetWriteCache)) Assert.Equal(0u, question.Get<uint>());
        next.Obey(ControlMessage.Attach).Dispose();
        client.Dispose();
        using (ChannelMessage question = next.Obey(ControlMessage.SetWriteCache)) Assert.Equal(1u, question.Get<uint>());
        next.Obey(ControlMessage.Detach).Dispose();
    }

    [Fact]
    public void A_disk_that_changes_is_told_to_client_status_and_log()
    {
        ScriptedDriver driver = Ready(Disk);
        ScriptedClient client = Open(driver);
        driver.Say(ControlMessage.BlockChanged, Disk with { Blocks = 32768 });
        using ChannelMessage news = client.Expect(ClientMessage.BlockChanged);
        Assert.Equal(32768ul, news.Get<BlockDeviceInfo>().Blocks);
        DeviceReport report = _bench.Supervisor.Report().Devices[0];
        Assert.Equal(("block", 32768ul * 512, "S1", "M1"), (report.Class, report.Block!.Bytes, report.Block.Serial, report.Block.Model));
        Assert.Null(report.Mac);
        Assert.True(_bench.Log.Has("16.8 MB in blocks of 512"));
        StatusReport copy = StatusReport.FromJson(_bench.Supervisor.Report().ToJson());
        Assert.Equal(["flush", "write-cache-switch"], copy.Devices[0].Block!.Features);
    }

    public static TheoryData<uint, ulong, uint, uint> ImpossibleDisks => new()
    {
        { 0, 1000, 8, 4 }, { 513, 1000, 8, 4 }, { 512, ulong.MaxValue, 8, 4 }, { 512, 1000, 0, 4 }, { 512, 1000, 8, 3 }, { 512, 1000, 8, 1024 },
    };

    [Theory]
    [MemberData(nameof(ImpossibleDisks))]
    public void A_disk_that_cannot_be_ends_its_driver(uint blockBytes, ulong blocks, uint segments, uint alignment)
    {
        ScriptedDriver driver = _bench.NextDriver();
        driver.Say(ControlMessage.Ready, new BlockUnitInfo(BlockUnitInfo.Whole, Disk with { LogicalBlockBytes = blockBytes, Blocks = blocks, MaxSegments = segments, SegmentAlignment = alignment }), driver.StartRequest);
        _bench.Until(() => _bench.Device.LastFault is not null, "it is ended");
        Assert.Contains("a disk that cannot be", _bench.Device.LastFault, StringComparison.Ordinal);
    }

    [Fact]
    public void Whoever_held_a_disk_does_not_get_another_one_in_its_place()
    {
        ScriptedDriver driver = Ready(Disk);
        ScriptedClient client = Open(driver);
        driver.Kill();
        ScriptedDriver next = Ready(Disk with { Serial = FixedText.From("S2") });
        Assert.Contains("disk0 is another disk now", client.ExpectText(ClientMessage.Replaced), StringComparison.Ordinal);
        Assert.Single(_bench.Backend.Mapped);
        client.Send(ClientMessage.OpenBlock, Wish());
        next.Obey(ControlMessage.Attach).Dispose();
        client.Expect(ClientMessage.Opened).Dispose();
    }

    [Fact]
    public void A_disk_is_no_controller()
    {
        Ready(Disk);
        ScriptedClient client = _bench.Connect();
        client.Send(ClientMessage.OpenBlock, Wish() with { Device = FixedText.From("disk0.0") });
        Assert.Contains("disk0 is one disk and has no ports", client.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
    }

    [Fact]
    public void A_disk_says_nothing_of_links()
    {
        ScriptedDriver driver = Ready(Disk);
        driver.Say(ControlMessage.LinkChanged, new LinkState(1, 1000, 1));
        _bench.Until(() => _bench.Device.LastFault is not null, "it is ended");
        Assert.Contains("unasked message", _bench.Device.LastFault, StringComparison.Ordinal);
    }

    public void Dispose() => _bench.Dispose();

    private static OpenBlockMessage Wish() => new() { Device = FixedText.From("disk0"), PoolBytes = 8192, Submissions = 16, Completions = 8 };

    private static void CheckRings(SafeFileHandle handle, in OpenedBlockMessage what)
    {
        using SharedRegion rings = SharedRegion.Open(handle, what.RingsBytes, RegionAccess.ReadWrite);
        using SafeFileHandle bell = Ipc.Native.Descriptor.CreateEvent();
        Assert.False(new BlockRings.ClientEnd(rings, what.Rings, bell, bell).IsClosed);
    }

    private ScriptedDriver Ready(in BlockDeviceInfo info)
    {
        ScriptedDriver driver = _bench.NextDriver();
        driver.Statistics = null;
        driver.Say(ControlMessage.Ready, new BlockUnitInfo(BlockUnitInfo.Whole, info), driver.StartRequest);
        _bench.Until(() => _bench.Device.State == DeviceState.Ready, "the device is ready");
        return driver;
    }

    private ScriptedClient Open(ScriptedDriver driver)
    {
        ScriptedClient client = _bench.Connect();
        client.Send(ClientMessage.OpenBlock, Wish());
        driver.Obey(ControlMessage.Attach).Dispose();
        client.Expect(ClientMessage.Opened).Dispose();
        return client;
    }
}
