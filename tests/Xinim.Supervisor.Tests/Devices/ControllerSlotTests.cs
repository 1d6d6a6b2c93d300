using System.Runtime.InteropServices;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Status;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>A controller with disks on its ports 0 and 4, and nothing on port 1: each is a disk of its own to its client.</summary>
public sealed class ControllerSlotTests : IDisposable
{
    private static readonly uint[] Ports = [0, 1, 4];

    private readonly Bench _bench = new(deviceClass: "block", policy: Bench.CalmPolicy + """, "prefix": "sata" """);

    private static BlockDeviceInfo Absent => new() { Features = BlockFeatures.Absent };

    [Fact]
    public void Each_disk_has_its_own_client_and_its_own_memory()
    {
        ScriptedDriver driver = Ready();
        (ScriptedClient first, ScriptedClient last) = (Open(driver, "sata0.0", 0), Open(driver, "sata0.4", 2));
        Assert.Equal(3, _bench.Backend.Mapped.Count);
        DeviceReport report = _bench.Supervisor.Report().Devices[0];
        Assert.Equal(["sata0.0", "sata0.1", "sata0.4"], report.Disks!.Select(disk => disk.Name));
        Assert.Equal(["S0", null, "S4"], report.Disks!.Select(disk => disk.Block?.Serial));
        Assert.Equal([true, false, true], report.Disks!.Select(disk => disk.Client is not null));
        Assert.Matches("^port 0: process .*; port 4: process", report.Client);
        Assert.Equal(Copy(report).Disks![2].Block!.Bytes, report.Disks![2].Block!.Bytes);
        first.Dispose();
        using (ChannelMessage detach = driver.Obey(ControlMessage.Detach)) Assert.Equal(0u, detach.Header.Unit);
        _bench.Until(() => _bench.Backend.Mapped.Count == 2, "the first client's memory is free");
        last.Dispose();
        using (ChannelMessage detach = driver.Obey(ControlMessage.Detach)) Assert.Equal(2u, detach.Header.Unit);
    }

    [Theory]
    [InlineData("sata0", "sata0 is a controller and no disk; there are sata0.0, sata0.4")]
    [InlineData("sata0.1", "port 1 of sata0 has no disk; there are sata0.0, sata0.4")]
    [InlineData("sata0.3", "sata0 has no port 3; its ports are 0, 1, 4")]
    [InlineData("sata0.x", "there is no device 'sata0.x'")]
    [InlineData("sata1.0", "there is no device 'sata1.0'")]
    [InlineData("0000:00:03.0.1", "port 1 of sata0 has no disk")]
    public void Whoever_names_no_disk_hears_which_there_are(string name, string answer)
    {
        Ready();
        ScriptedClient client = _bench.Connect();
        client.Send(ClientMessage.OpenBlock, Wish(name));
        Assert.Contains(answer, client.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
    }

    [Fact]
    public void Wishes_from_before_the_first_driver_wait_for_what_it_finds()
    {
        ScriptedDriver driver = _bench.NextDriver();
        driver.Statistics = null;
        (ScriptedClient wise, ScriptedClient unwise, ScriptedClient gone) = (_bench.Connect(), _bench.Connect(), _bench.Connect());
        wise.Send(ClientMessage.OpenBlock, Wish("sata0.4"));
        unwise.Send(ClientMessage.OpenBlock, Wish("sata0.1"));
        gone.Send(ClientMessage.OpenBlock, Wish("sata0.0"));
        _bench.Settle();
        gone.Dispose();
        SayReady(driver, Disk(0), Absent, Disk(4));
        using (ChannelMessage attach = driver.Obey(ControlMessage.Attach)) Assert.Equal(2u, attach.Header.Unit);
        wise.Expect(ClientMessage.Opened).Dispose();
        Assert.Contains("port 1 of sata0 has no disk", unwise.ExpectText(ClientMessage.Closed), StringComparison.Ordinal);
        Assert.False(driver.IsAsked);
    }

    [Fact]
    public void All_clients_go_on_with_the_next_driver()
    {
        ScriptedDriver driver = Ready();
        (ScriptedClient first, ScriptedClient last) = (Open(driver, "sata0.0", 0), Open(driver, "sata0.4", 2));
        driver.Kill();
        ScriptedDriver next = Ready();
        using (ChannelMessage attach = next.Obey(ControlMessage.Attach)) Assert.Equal(0u, attach.Header.Unit);
        using (ChannelMessage attach = next.Obey(ControlMessage.Attach)) Assert.Equal(2u, attach.Header.Unit);
        foreach (ScriptedClient client in new[] { first, last })
        {
            using ChannelMessage reopened = client.Expect(ClientMessage.Reopened);
            Assert.Equal(2u, reopened.Get<OpenedBlockMessage>().Rings.Generation);
        }
    }

    [Fact]
    public void A_disk_that_is_pulled_is_taken_from_its_client_and_can_be_had_again_when_it_is_back()
    {
        ScriptedDriver driver = Ready();
        (ScriptedClient first, ScriptedClient last) = (Open(driver, "sata0.0", 0), Open(driver, "sata0.4", 2));
        driver.Say(ControlMessage.BlockChanged, Absent, unit: 2);
        Assert.Contains("sata0.4 was removed", last.ExpectText(ClientMessage.Closed), StringComparison.Ordinal);
        Assert.Equal(3, _bench.Backend.Mapped.Count);
        using (ChannelMessage detach = driver.Obey(ControlMessage.Detach)) Assert.Equal(2u, detach.Header.Unit);
        _bench.Until(() => _bench.Backend.Mapped.Count == 2, "its memory is free");
        driver.Say(ControlMessage.BlockChanged, Disk(4), unit: 2);
        _bench.Until(() => Said("port 4: a disk has come"), "it is back");
        Assert.True(Said("port 4: the disk has gone"));
        last.Send(ClientMessage.OpenBlock, Wish("sata0.4"));
        driver.Obey(ControlMessage.Attach).Dispose();
        last.Expect(ClientMessage.Opened).Dispose();
        Assert.False(first.HasMessage);
    }

    [Fact]
    public void Another_disk_in_its_place_is_not_for_whoever_held_the_former_one()
    {
        ScriptedDriver driver = Ready();
        (ScriptedClient first, ScriptedClient last) = (Open(driver, "sata0.0", 0), Open(driver, "sata0.4", 2));
        driver.Say(ControlMessage.BlockChanged, Disk(0) with { Blocks = 99 });
        using (ChannelMessage news = first.Expect(ClientMessage.BlockChanged)) Assert.Equal(99ul, news.Get<BlockDeviceInfo>().Blocks);
        driver.Say(ControlMessage.BlockChanged, Disk(7), unit: 2);
        Assert.Contains("serial 'S7'; it was", last.ExpectText(ClientMessage.Replaced), StringComparison.Ordinal);
        driver.Obey(ControlMessage.Detach).Dispose();
        driver.Kill();
        ScriptedDriver next = Ready(Disk(0), Disk(1), Disk(7));
        // The size that it was told last is not the one that this driver found.
        Assert.Contains("sata0.0 is another disk now", first.ExpectText(ClientMessage.Replaced), StringComparison.Ordinal);
        Assert.Single(_bench.Backend.Mapped);
        Assert.False(next.IsAsked);
    }

    [Fact]
    public void Write_cache_power_and_health_are_a_disk_s_own()
    {
        ScriptedDriver driver = Ready();
        ScriptedClient last = Open(driver, "sata0.4", 2), other = _bench.Connect();
        last.Send(ClientMessage.SetWriteCache, 0u);
        using (ChannelMessage question = driver.Obey(ControlMessage.SetWriteCache)) Assert.Equal((2u, 0u), (question.Header.Unit, question.Get<uint>()));
        last.Expect(ClientMessage.Done).Dispose();
        other.SendControl("standby", device: "sata0.4");
        using (ChannelMessage question = driver.Obey(ControlMessage.RunVerb)) Assert.Equal((2u, (uint)BlockVerb.Standby), (question.Header.Unit, question.Get<uint>()));
        other.Expect(ClientMessage.Done).Dispose();
        other.SendControl("idle", device: "sata0.1");
        Assert.Contains("port 1 of sata0 has no disk", other.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
        // A drive that is empty is no disk, and has a tray.
        other.SendControl("load", device: "sata0.1");
        using (ChannelMessage question = driver.Obey(ControlMessage.RunVerb)) Assert.Equal((1u, (uint)BlockVerb.Load), (question.Header.Unit, question.Get<uint>()));
        other.Expect(ClientMessage.Done).Dispose();
        other.SendControl("eject", device: "sata0.9");
        Assert.Contains("no port 9", other.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
        other.SendControl("restart", device: "sata0.4");
        Assert.Contains("no driver of its own; name sata0", other.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
        driver.Say(ControlMessage.HealthRead, new BlockHealth { Verdict = BlockVerdict.Failing, Temperature = 41, PendingSectors = 3, ReadAt = 1 }, unit: 2);
        _bench.Until(() => Said("expects to fail"), "it is heard");
        DeviceReport report = Copy(_bench.Supervisor.Report().Devices[0]);
        Assert.Null(report.Disks![0].Health);
        Assert.Equal((BlockVerdict.Failing, 41, 3ul), (report.Disks![2].Health!.Verdict, report.Disks![2].Health!.Temperature, report.Disks![2].Health!.PendingSectors));
    }

    [Fact]
    public void Counters_are_a_disk_s_own_and_outlive_drivers()
    {
        ScriptedDriver driver = Ready();
        ScriptedClient last = Open(driver, "sata0.4", 2);
        Assert.Equal(30ul, Reads(driver, last, 10, 0, 30));
        driver.Kill();
        ScriptedDriver next = Ready();
        next.Obey(ControlMessage.Attach).Dispose();
        last.Expect(ClientMessage.Reopened).Dispose();
        Assert.Equal(34ul, Reads(next, last, 3, 0, 4));
        DeviceReport report = _bench.Supervisor.Report().Devices[0];
        Assert.Equal([13ul, 0, 34], report.Disks!.Select(disk => disk.Counters["reads"]));
        Assert.Equal(47ul, report.Counters["reads"]);
    }

    [Fact]
    public void A_client_that_breaks_its_rings_again_loses_its_disk_and_the_others_go_on()
    {
        ScriptedDriver driver = Ready();
        (ScriptedClient first, ScriptedClient last) = (Open(driver, "sata0.0", 0), Open(driver, "sata0.4", 2));
        driver.SayText(ControlMessage.ClientFault, "wild index", unit: 2);
        ScriptedDriver next = Ready();
        next.Obey(ControlMessage.Attach).Dispose();
        next.Obey(ControlMessage.Attach).Dispose();
        first.Expect(ClientMessage.Reopened).Dispose();
        last.Expect(ClientMessage.Reopened).Dispose();
        next.SayText(ControlMessage.ClientFault, "wild index", unit: 2);
        Assert.Contains("wild index", last.ExpectText(ClientMessage.Closed), StringComparison.Ordinal);
        Assert.False(first.HasMessage);
        Assert.Equal(DeviceState.Ready, _bench.Device.State);
    }

    public static TheoryData<uint[]> OtherPorts => new() { new uint[] { 0, 1 }, new uint[] { 0, 1, 5 }, new uint[] { 0, 1, BlockUnitInfo.Whole }, Array.Empty<uint>() };

    public static TheoryData<uint[]> ImpossiblePorts => new() { new uint[] { 4, 1, 0 }, new uint[] { 0, 1, 1 }, new uint[] { 0, BlockUnitInfo.Whole }, Array.Empty<uint>(), Enumerable.Range(0, 33).Select(port => (uint)port).ToArray() };

    [Theory]
    [MemberData(nameof(OtherPorts))]
    public void A_driver_whose_ports_are_others_than_its_predecessor_s_is_ended(uint[] ports)
    {
        Ready().Kill();
        _bench.Until(() => _bench.Device.LastFaultKind == FaultKind.Signal, "the first has ended");
        IsEnded(ports);
    }

    [Theory]
    [MemberData(nameof(ImpossiblePorts))]
    public void A_driver_whose_ports_cannot_be_is_ended(uint[] ports) => IsEnded(ports);

    [Theory]
    [InlineData(ControlMessage.BlockChanged)]
    [InlineData(ControlMessage.HealthRead)]
    [InlineData(ControlMessage.ClientFault)]
    public void News_of_a_port_that_is_none_end_the_driver(ControlMessage news)
    {
        Ready().Say(news, default(BlockUnitInfo), unit: 3);
        _bench.Until(() => _bench.Device.LastFault is not null, "it is ended");
        Assert.Contains("unit 3 of 3", _bench.Device.LastFault, StringComparison.Ordinal);
    }

    public void Dispose() => _bench.Dispose();

    private static BlockDeviceInfo Disk(uint number) => new()
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
        Serial = FixedText.From($"S{number}"),
        Model = FixedText.From("M"),
    };

    private static OpenBlockMessage Wish(string name) => new() { Device = FixedText.From(name), PoolBytes = 8192, Submissions = 16, Completions = 8 };

    private static DeviceReport Copy(DeviceReport report) => StatusReport.FromJson(new StatusReport(1, 1, [report]).ToJson()).Devices[0];

    private bool Said(string text) => _bench.Supervisor.EventsAfter(0).Events.Any(one => one.Kind == EventKind.Changed && one.Text.Contains(text, StringComparison.Ordinal));

    private void IsEnded(uint[] ports)
    {
        ScriptedDriver driver = _bench.NextDriver();
        BlockUnitInfo[] units = [.. ports.Select(port => new BlockUnitInfo(port, Disk(port)))];
        driver.SayBytes((uint)ControlMessage.Ready, MemoryMarshal.AsBytes<BlockUnitInfo>(units), driver.StartRequest);
        _bench.Until(() => _bench.Device.LastFaultKind == FaultKind.Protocol, "it is ended");
    }

    private ScriptedDriver Ready() => Ready(Disk(0), Absent, Disk(4));

    private ScriptedDriver Ready(params BlockDeviceInfo[] disks)
    {
        ScriptedDriver driver = _bench.NextDriver();
        driver.Statistics = null;
        SayReady(driver, disks);
        _bench.Until(() => _bench.Device.State == DeviceState.Ready, "the device is ready");
        return driver;
    }

    private static void SayReady(ScriptedDriver driver, params BlockDeviceInfo[] disks)
    {
        BlockUnitInfo[] units = [.. disks.Zip(Ports, (disk, port) => new BlockUnitInfo(port, disk))];
        driver.SayBytes((uint)ControlMessage.Ready, MemoryMarshal.AsBytes<BlockUnitInfo>(units), driver.StartRequest);
    }

    private ScriptedClient Open(ScriptedDriver driver, string name, uint unit)
    {
        ScriptedClient client = _bench.Connect();
        client.Send(ClientMessage.OpenBlock, Wish(name));
        using (ChannelMessage attach = driver.Obey(ControlMessage.Attach)) Assert.Equal(unit, attach.Header.Unit);
        client.Expect(ClientMessage.Opened).Dispose();
        return client;
    }

    private static ulong Reads(ScriptedDriver driver, ScriptedClient client, params ulong[] reads)
    {
        BlockStatistics[] all = [.. reads.Select(count => new BlockStatistics { Reads = count })];
        driver.Counters = MemoryMarshal.AsBytes<BlockStatistics>(all).ToArray();
        client.Send(ClientMessage.GetStatistics, 0u);
        using ChannelMessage answer = client.Expect(ClientMessage.Statistics);
        return answer.Get<BlockStatistics>().Reads;
    }
}
