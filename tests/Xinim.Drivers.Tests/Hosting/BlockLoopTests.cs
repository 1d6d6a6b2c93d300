using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Hosting;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block;
using Xunit;

namespace Xinim.Drivers.Tests.Hosting;

/// <summary>A disk driver's process from the inside, without the process: what it does and answers, and in which order.</summary>
public sealed class BlockLoopTests : IDisposable
{
    private readonly DiskBench _bench = new();
    private readonly SharedRegion _vital = VitalSigns.Create();
    private readonly SafeFileHandle _driverBell = Descriptor.CreateEvent();
    private readonly SafeFileHandle _clientBell = Descriptor.CreateEvent();
    private readonly GrantTable _grants = new();
    private readonly Grant _grant;

    public BlockLoopTests() => _grant = _grants.Create(_bench.Pool.Id, (ulong)_bench.Pool.Size, 0, (ulong)_bench.Pool.Size, RegionAccess.ReadWrite);

    [Fact]
    public void What_a_driver_took_is_finished_before_it_ends_and_nothing_more_is_taken()
    {
        (RingShape shape, SharedRegion rings) = MakeRings();
        using SharedRegion memory = rings;
        BlockRings.ClientEnd client = new(rings, shape, _clientBell, _driverBell);
        BlockRings.DriverEnd end = new(rings, shape, _driverBell, _clientBell);
        using TestDiskDriver driver = new(_bench.Context());
        BlockUnit unit = Serve(driver);
        _bench.Model.HoldBack = true;
        Submit(client, 1);
        Assert.Equal(Work.Client, unit.Pass(end));
        Submit(client, 2);
        Assert.True(unit.Drain(end));
        Assert.Equal(0u, client.Completed.Peek(1));
        _bench.Model.Release();
        Assert.True(unit.Drain(end));
        Assert.False(unit.Drain(end));
        Assert.Equal(1u, client.Completed.Peek(8));
        Assert.Equal(new BlockCompletion(1, BlockStatus.Ok), client.Completed.Read(0));
        Assert.Equal(1u, end.Submitted.Peek(8));
    }

    [Fact]
    public void The_latency_counts_requests_and_not_their_elements()
    {
        (RingShape shape, SharedRegion rings) = MakeRings();
        using SharedRegion memory = rings;
        BlockRings.ClientEnd client = new(rings, shape, _clientBell, _driverBell);
        BlockRings.DriverEnd end = new(rings, shape, _driverBell, _clientBell);
        using TestDiskDriver driver = new(_bench.Context());
        BlockUnit unit = Serve(driver);
        for (ulong cookie = 1; cookie <= 3; cookie++)
        {
            Submit(client, cookie, more: true);
            unit.Pass(end);
            unit.Pass(end);
        }

        Assert.Equal(3ul, new VitalSigns(_vital).Latency.Samples);
    }

    [Fact]
    public void What_has_changed_is_told_once()
    {
        using TestDiskDriver driver = new(_bench.Context());
        BlockUnit unit = Serve(driver);
        Assert.False(unit.TryTakeChange(out _));
        _bench.Model.Present = false;
        driver.OnTimer();
        Assert.True(unit.TryTakeChange(out BlockDeviceInfo info));
        Assert.True(info.Has(BlockFeatures.Absent) && unit.Info.Disk.Has(BlockFeatures.Absent));
        Assert.False(unit.TryTakeChange(out _));
        Assert.Contains("no disk", unit.Problem, StringComparison.Ordinal);
        Assert.Contains("no disk", Assert.Throws<ArgumentException>(() => unit.SetWriteCache(true)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Health_is_told_once_a_reading_and_power_is_the_disk_s()
    {
        DriverContext context = _bench.Context();
        TestDisk disk = new(context.Pci.MapBar(0), 0, context.Arena.Allocate<DiskEntry>(DiskModel.Depth, 4096), 3);
        BlockUnit unit = new(1, 3, disk, disk.Start(), new VitalSigns(_vital));
        Assert.Equal((1u, 3u), (unit.Number, unit.Info.Port));
        Assert.False(unit.TryTakeHealth(out _));
        _bench.Model.Degrees = 41;
        disk.Look();
        Assert.True(unit.TryTakeHealth(out BlockHealth health));
        Assert.Equal(41, health.Temperature);
        Assert.False(unit.TryTakeHealth(out _));
        unit.Run(BlockVerb.Standby);
        Assert.Equal((uint)BlockVerb.Standby, _bench.Model.PowerMode);
        unit.Run(BlockVerb.Eject);
        Assert.Equal((uint)BlockVerb.Eject, _bench.Model.PowerMode);
        Assert.Throws<ArgumentException>(() => unit.Run((BlockVerb)77));
        using TestDiskDriver whole = new(_bench.Context());
        Assert.Throws<ArgumentException>(() => Serve(whole).Run(BlockVerb.Idle));
    }

    public void Dispose()
    {
        _driverBell.Dispose();
        _clientBell.Dispose();
        _vital.Dispose();
        _bench.Dispose();
    }

    private static (RingShape Shape, SharedRegion Rings) MakeRings()
    {
        RingShape shape = new(16, 8, 1);
        return (shape, BlockRings.Create(shape));
    }

    private void Submit(BlockRings.ClientEnd client, ulong cookie, bool more = false)
    {
        uint elements = more ? 2u : 1;
        Assert.Equal(elements, client.Submitted.Reserve(elements));
        BlockRequest request = new() { Cookie = cookie, Lba = cookie, Count = 1, Operation = BlockOperation.Read, SegmentCount = 1, Flags = more ? BlockFlags.More : 0 };
        request.Segments[0] = new BlockSegment(_grant.Handle, 0, 512);
        client.Submitted[0] = request;
        if (more) client.Submitted[1] = new BlockRequest { Cookie = cookie };
        client.Submitted.Publish(elements);
    }

    private BlockUnit Serve(TestDiskDriver driver)
    {
        BlockUnit unit = new(0, BlockUnitInfo.Whole, driver, driver.Start(), new VitalSigns(_vital));
        driver.Attach(new BufferTable([_grant], [_bench.Pool]));
        return unit;
    }
}
