using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Block;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Hosting;

/// <summary>The main loop of a process that drives disks: one that is a device of its own, or those on a controller's ports.</summary>
internal sealed class BlockLoop : DriverLoop<BlockRings.DriverEnd>
{
    private readonly Func<IEnumerable<BlockUnit>> _start;
    private BlockUnit[] _units = [];

    public BlockLoop(LoopSetup setup, IBlockDriver driver)
        : base(setup, driver) => _start = () => [new BlockUnit(0, BlockUnitInfo.Whole, driver, driver.Start(), setup.Heart.Signs)];

    public BlockLoop(LoopSetup setup, IBlockController controller)
        : base(setup, controller)
        => _start = () => controller.Start().Select((unit, at) => new BlockUnit((uint)at, unit.Number, unit, unit.Info, setup.Heart.Signs));

    protected override byte[] BringUp()
    {
        _units = [.. _start()];
        Serve(_units);
        return MemoryMarshal.AsBytes<BlockUnitInfo>(Array.ConvertAll(_units, unit => unit.Info)).ToArray();
    }

    protected override BlockRings.DriverEnd OpenRings(SharedRegion memory, RingShape shape, SafeFileHandle own, SafeFileHandle[] peers) => new(memory, shape, own, peers[0]);

    protected override void StopIntake()
    {
        // Nothing comes of itself: without another Submit the driver takes nothing.
    }

    protected override void ReportChanges()
    {
        foreach (BlockUnit unit in _units)
        {
            if (unit.TryTakeChange(out BlockDeviceInfo info)) Tell(ControlMessage.BlockChanged, info, unit.Number);
            if (unit.TryTakeHealth(out BlockHealth health)) Tell(ControlMessage.HealthRead, health, unit.Number);
        }
    }

    protected override bool TryObey(ChannelMessage message)
    {
        BlockUnit unit = (BlockUnit)UnitOf(message);
        switch ((ControlMessage)message.Header.Type)
        {
            case ControlMessage.SetWriteCache: unit.SetWriteCache(message.Get<uint>() != 0); break;
            case ControlMessage.RunVerb: unit.Run((BlockVerb)message.Get<uint>()); break;
            default: return false;
        }

        ReportChanges();
        return true;
    }

    protected override byte[] ReadStatistics() => MemoryMarshal.AsBytes<BlockStatistics>(Array.ConvertAll(_units, unit => unit.Statistics)).ToArray();
}
