using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Hosting;
using Xinim.Ipc.Channels;
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
        using TestDiskDriver driver = new(_bench.Context());
        BlockRings.DriverEnd end = new(rings, shape, _driverBell, _clientBell);
        _ = driver.Start();
        driver.Attach(new BufferTable([_grant], [_bench.Pool]));
        (Channel mine, Channel its) = Channel.CreatePair();
        using (mine)
        using (its)
        using (TestLoop loop = new(new LoopSetup(its, 1, _bench.Interrupts, _bench.Work, new Heart(_vital, 100), false), driver))
        {
            _bench.Model.HoldBack = true;
            Submit(client, 1);
            Assert.Equal(BlockLoopWork.Client, loop.PassOnce(end));
            Submit(client, 2);
            loop.Quieten();
            Assert.True(loop.DrainOnce(end));
            Assert.Equal(0u, client.Completed.Peek(1));
            _bench.Model.Release();
            Assert.True(loop.DrainOnce(end));
            Assert.False(loop.DrainOnce(end));
            Assert.Equal(1u, client.Completed.Peek(8));
            Assert.Equal(new BlockCompletion(1, BlockStatus.Ok), client.Completed.Read(0));
            Assert.Equal(1u, end.Submitted.Peek(8));
        }
    }

    [Fact]
    public void The_latency_counts_requests_and_not_their_elements()
    {
        (RingShape shape, SharedRegion rings) = MakeRings();
        using SharedRegion memory = rings;
        BlockRings.ClientEnd client = new(rings, shape, _clientBell, _driverBell);
        using TestDiskDriver driver = new(_bench.Context());
        BlockRings.DriverEnd end = new(rings, shape, _driverBell, _clientBell);
        _ = driver.Start();
        driver.Attach(new BufferTable([_grant], [_bench.Pool]));
        (Channel mine, Channel its) = Channel.CreatePair();
        using (mine)
        using (its)
        using (TestLoop loop = new(new LoopSetup(its, 1, _bench.Interrupts, _bench.Work, new Heart(_vital, 100), false), driver))
        {
            for (ulong cookie = 1; cookie <= 3; cookie++)
            {
                Submit(client, cookie, more: true);
                loop.PassOnce(end);
                loop.PassOnce(end);
            }

            Assert.Equal(3ul, new VitalSigns(_vital).Latency.Samples);
        }
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

    private enum BlockLoopWork
    {
        None,
        Device,
        Client,
    }

    /// <summary>Opens the loop's own verbs to the test.</summary>
    private sealed class TestLoop(LoopSetup setup, TestDiskDriver driver) : BlockLoop(setup, driver)
    {
        public BlockLoopWork PassOnce(BlockRings.DriverEnd rings) => (BlockLoopWork)Pass(rings);

        public void Quieten() => StopIntake();

        public bool DrainOnce(BlockRings.DriverEnd rings) => Drain(rings);
    }
}
