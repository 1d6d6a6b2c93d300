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
        using SharedRegion region = NetworkRings.Create(Tx, Rx, 1);
        using SafeFileHandle bell = Descriptor.CreateEvent();
        NetworkRings.ClientEnd client = new(region, new RingShape(Tx, Rx, 1), bell, bell);
        NetworkRings.DriverEnd driver = new(region, new RingShape(Tx, Rx, 1), bell, bell);
        long submit = RingFault.FirstRing;
        long free = submit + (2 * (RingFault.HeaderBytes + (Tx * RingFault.SlotBytes)));
        Assert.Equal((Tx, Rx), (region.At<uint>(submit + RingFault.CapacityAt), region.At<uint>(free + RingFault.CapacityAt)));
        client.Submit.Reserve(1);
        client.Submit[0] = new NetBuffer { Cookie = 0x1122 };
        client.Submit.Publish(1);
        Assert.Equal(1u, region.At<uint>(submit + RingFault.TailAt));
        Assert.Equal(0x1122ul, region.At<NetBuffer>(submit + RingFault.HeaderBytes).Cookie);
        Assert.Equal(1u, driver.Submit.Peek(1));
        driver.Submit.Release(1);
        Assert.Equal(1u, region.At<uint>(submit + RingFault.HeadAt));
    }
}
