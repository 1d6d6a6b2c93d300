using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Block;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Hosting;

/// <summary>The main loop of a disk driver process.</summary>
internal class BlockLoop(LoopSetup setup, IBlockDriver driver) : DriverLoop<BlockRings.DriverEnd>(setup, driver)
{
    private readonly IBlockDriver _driver = driver;
    private readonly TransmitSampler _sampler = new(setup.Heart.Signs);

    protected override byte[] BringUp()
    {
        BlockDeviceInfo info = _driver.Start();
        return MemoryMarshal.AsBytes(new ReadOnlySpan<BlockDeviceInfo>(in info)).ToArray();
    }

    protected override BlockRings.DriverEnd OpenRings(SharedRegion memory, RingShape shape, SafeFileHandle own, SafeFileHandle peer) => new(memory, shape, own, peer);

    protected override Work Pass(BlockRings.DriverEnd rings)
    {
        uint submitted = _driver.Submit(rings.Submitted);
        _sampler.OnTaken(submitted);
        uint completed = _driver.Complete(rings.Completed);
        _sampler.OnReturned(completed);
        if (completed != 0) rings.Client.Ring();
        return (submitted | completed) != 0 ? Work.Client : Work.None;
    }

    protected override void StopIntake()
    {
        // Nothing comes of itself: without another Submit the driver takes nothing.
    }

    protected override bool Drain(BlockRings.DriverEnd rings)
    {
        if (_driver.Complete(rings.Completed) != 0) return true;
        Thread.Yield();
        return _driver.Busy;
    }

    protected override void OnDetached() => _sampler.Forget();

    protected override void ReportChanges()
    {
        if (_driver.TryTakeChange(out BlockDeviceInfo info)) Tell(ControlMessage.BlockChanged, info);
    }

    protected override bool TryObey(ChannelMessage message)
    {
        if (message.Header.Type != (uint)ControlMessage.SetWriteCache) return false;
        _driver.SetWriteCache(message.Get<uint>() != 0);
        ReportChanges();
        return true;
    }

    protected override byte[] ReadStatistics()
    {
        BlockStatistics statistics = _driver.Statistics;
        return MemoryMarshal.AsBytes(new ReadOnlySpan<BlockStatistics>(in statistics)).ToArray();
    }
}
