using Microsoft.Win32.SafeHandles;
using Xinim.Faults.Faults;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;

namespace Xinim.Faults.Tests;

/// <summary>The offsets that faults are injected at are those of the rings.</summary>
public sealed class RingFaultTests
{
    [Fact]
    public void Offsets_are_those_of_the_rings()
    {
        const uint Tx = 8, Rx = 16;
        using SharedRegion region = NetworkRings.Create(new RingShape(Tx, Rx, 1));
        using SafeFileHandle bell = Descriptor.CreateEvent();
        NetworkRings.ClientEnd client = new(region, new RingShape(Tx, Rx, 1), bell, bell);
        NetworkRings.DriverEnd driver = new(region, new RingShape(Tx, Rx, 1), bell, bell);
        long HeaderOf(int ring) => (long)RingMap.Network.HeaderOf(ring, at => region.At<uint>((long)at + RingMap.CapacityAt));
        long submit = HeaderOf(0), free = HeaderOf(2);
        Assert.Equal((Tx, Rx), (region.At<uint>(submit + RingMap.CapacityAt), region.At<uint>(free + RingMap.CapacityAt)));
        client.Submit.Reserve(1);
        client.Submit[0] = new NetBuffer { Cookie = 0x1122 };
        client.Submit.Publish(1);
        Assert.Equal(1u, region.At<uint>(submit + RingMap.TailAt));
        Assert.Equal(0x1122ul, region.At<NetBuffer>(submit + RingMap.HeaderBytes).Cookie);
        Assert.Equal(1u, driver.Submit.Peek(1));
        driver.Submit.Release(1);
        Assert.Equal(1u, region.At<uint>(submit + RingMap.HeadAt));
    }

    [Fact]
    public void Those_of_a_disk_too()
    {
        RingShape shape = new(8, 16, 1);
        using SharedRegion region = BlockRings.Create(shape);
        using SafeFileHandle bell = Descriptor.CreateEvent();
        BlockRings.DriverEnd driver = new(region, shape, bell, bell);
        long completed = (long)RingMap.Block.HeaderOf(1, at => region.At<uint>((long)at + RingMap.CapacityAt));
        Assert.Equal((8u, 16u), (region.At<uint>(RingMap.FirstRing + RingMap.CapacityAt), region.At<uint>(completed + RingMap.CapacityAt)));
        driver.Completed.Reserve(1);
        driver.Completed[0] = new BlockCompletion(0x1122, BlockStatus.Ok);
        driver.Completed.Publish(1);
        Assert.Equal(1u, region.At<uint>(completed + RingMap.TailAt));
        Assert.Equal(0x1122ul, region.At<BlockCompletion>(completed + RingMap.HeaderBytes).Cookie);
        Assert.Equal((System.Runtime.CompilerServices.Unsafe.SizeOf<BlockRequest>(), System.Runtime.CompilerServices.Unsafe.SizeOf<BlockCompletion>()), (RingMap.Block.SlotBytes[0], RingMap.Block.SlotBytes[1]));
    }

    [Fact]
    public void Those_of_a_console_too()
    {
        RingShape shape = new(8, 16, 1);
        using SharedRegion region = ConsoleRings.Create(shape);
        using SafeFileHandle bell = Descriptor.CreateEvent();
        ConsoleRings.DriverEnd driver = new(region, shape, bell, bell);
        long received = (long)RingMap.Console.HeaderOf(1, at => region.At<uint>((long)at + RingMap.CapacityAt));
        Assert.Equal((8u, 16u), (region.At<uint>(RingMap.FirstRing + RingMap.CapacityAt), region.At<uint>(received + RingMap.CapacityAt)));
        driver.Received.Reserve(1);
        driver.Received.Publish(1);
        Assert.Equal(1u, region.At<uint>(received + RingMap.TailAt));
        Assert.Equal(System.Runtime.CompilerServices.Unsafe.SizeOf<ConsoleChunk>(), RingMap.Console.SlotBytes[1]);
    }
}
