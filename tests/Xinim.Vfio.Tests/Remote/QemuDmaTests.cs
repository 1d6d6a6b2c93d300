using System.Net;
using System.Net.Sockets;
using Xinim.Ipc.Memory;
using Xinim.TestKit.Remote;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Remote;
using Xunit;

namespace Xinim.Vfio.Tests.Remote;

/// <summary>DMA of a real device model (82540EM) into shared regions.</summary>
[Trait("needs", "qemu")]
public sealed class QemuDmaTests : IDisposable
{
    private const int RemoteRegions = 7;
    private readonly SharedRegion _region = SharedRegion.Create("test", 2 << 20);

    public void Dispose() => _region.Dispose();

    [Fact]
    public void Frame_leaves_and_its_descriptor_is_written_back()
    {
        using UdpClient wire = new(new IPEndPoint(IPAddress.Loopback, 0));
        wire.Client.ReceiveTimeout = 5000;
        int port = ((IPEndPoint)wire.Client.LocalEndPoint!).Port;
        using QemuDevice qemu = new(RemoteModel.Parse("remote:e1000", $"socket,udp=127.0.0.1:{port},localaddr=127.0.0.1:0"));
        (E1000Probe nic, Iova start) = Start(qemu);
        byte[] frame = [.. Enumerable.Range(0, 60).Select(i => (byte)i)];

        uint index = nic.Send(_region, start, frame);

        Assert.True(E1000Probe.IsDone(_region, index));
        IPEndPoint? from = null;
        Assert.Equal(frame, wire.Receive(ref from));
    }

    [Fact]
    public void Each_of_seven_regions_is_reached()
    {
        using QemuDevice qemu = new("remote:e1000");
        for (int i = 0; i < RemoteRegions; i++)
        {
            using SharedRegion region = SharedRegion.Create($"test-{i}", 4096 * (i + 2), PageChoice.Ordinary);
            Iova start = qemu.Backend.Map(region, RegionAccess.ReadWrite);
            RemotePciDevice device = qemu.OpenDriver();
            E1000Probe nic = new(device);
            nic.StartTransmit(device, start);
            Assert.True(E1000Probe.IsDone(region, nic.Send(region, start, new byte[60])));
        }
    }

    [Fact]
    public void Device_without_bus_mastering_writes_nothing()
    {
        using QemuDevice qemu = new("remote:e1000");
        (E1000Probe nic, Iova start) = Start(qemu);
        qemu.Backend.ClearBusMaster();
        Assert.False(E1000Probe.IsDone(_region, nic.Send(_region, start, new byte[60])));
    }

    [Fact]
    public void Unmapped_region_is_not_reached_and_the_device_survives()
    {
        using QemuDevice qemu = new("remote:e1000");
        (E1000Probe nic, Iova start) = Start(qemu);
        qemu.Backend.Unmap(start, _region.Size);
        Assert.False(E1000Probe.IsDone(_region, nic.Send(_region, start, new byte[60])));
        Assert.True(qemu.Backend.Reset());

        (nic, start) = Start(qemu);
        Assert.True(E1000Probe.IsDone(_region, nic.Send(_region, start, new byte[60])));
    }

    [Fact]
    public void Dma_to_addresses_that_never_were_does_not_end_the_model()
    {
        using QemuDevice qemu = new("remote:e1000");
        RemotePciDevice device = qemu.OpenDriver();
        E1000Probe nic = new(device);
        foreach (ulong address in (ulong[])[0, 0x1000, 0xD000_0000, 0x7FFF_FFFF_FFFF_F000, 0xFFFF_FFFF_FFFF_FF80])
        {
            nic.StartTransmit(device, new Iova(address));
            nic.Send(_region, new Iova(address & ~0xFFFFUL), new byte[60]);
            Assert.Equal(0x100E8086u, device.Config.Read32(0));
        }
    }

    [Fact]
    public async Task Regions_may_come_while_a_driver_talks_to_the_device()
    {
        using QemuDevice qemu = new("remote:e1000");
        RemotePciDevice device = qemu.OpenDriver();
        const int Enough = 200;
        int reads = 0;
        bool stop = false;
        Task driver = Task.Run(() =>
        {
            for (; !Volatile.Read(ref stop); Volatile.Write(ref reads, reads + 1)) Assert.Equal(0x12005452u, device.MapBar(0).Read32(0x5400));
        }, TestContext.Current.CancellationToken);
        for (int maps = 0; !driver.IsCompleted && maps < Enough; maps++)
        {
            int seen = Volatile.Read(ref reads);
            Iova start = qemu.Backend.Map(_region, RegionAccess.ReadWrite);
            qemu.Backend.Unmap(start, _region.Size);
            // QEMU closes the descriptors of a former table some time later: without a pause it has a thousand of them and ends.
            while (Volatile.Read(ref reads) == seen && !driver.IsCompleted) Thread.Yield();
        }
        Volatile.Write(ref stop, true);
        await driver;
    }

    private (E1000Probe Nic, Iova Start) Start(QemuDevice qemu)
    {
        Iova start = qemu.Backend.Map(_region, RegionAccess.ReadWrite);
        _region.Slice(0, 4096).Clear();
        RemotePciDevice device = qemu.OpenDriver();
        E1000Probe nic = new(device);
        nic.StartTransmit(device, start);
        return (nic, start);
    }
}
