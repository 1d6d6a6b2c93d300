using System.Diagnostics;
using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Processes;
using Xinim.TestKit.Remote;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;
using Xinim.Vfio.Remote;
using Xunit;

namespace Xinim.Vfio.Tests.Remote;

/// <summary>The back end against QEMU's own device models.</summary>
[Trait("needs", "qemu")]
public sealed class QemuBackendTests(ITestOutputHelper output)
{
    private const int E1000Status = 0x0008;
    private const int E1000ReceiveAddressLow = 0x5400;

    [Theory]
    [InlineData("remote:e1000", 0x8086, 0x100E, 0x020000)]
    [InlineData("remote:e1000e", 0x8086, 0x10D3, 0x020000)]
    [InlineData("remote:ich9-ahci", 0x8086, 0x2922, 0x010601)]
    [InlineData("remote:virtio-net-pci", 0x1AF4, 0x1041, 0x020000)]
    [InlineData("remote:qemu-xhci", 0x1B36, 0x000D, 0x0C0330)]
    public void Reads_who_the_device_is(string device, int vendor, int id, int classCode)
    {
        using QemuDevice qemu = new(device);
        PciIdentity identity = qemu.Backend.Identity;
        Assert.Equal((vendor, id, (uint)classCode), (identity.Vendor, identity.Device, identity.ClassCode));
    }

    [Theory]
    [InlineData("remote:ich9-ahci", 0x2922)]
    [InlineData("remote:virtio-blk-pci", 0x1042)]
    [InlineData("remote:nvme", 0x0010)]
    public void Serves_disks(string device, int id)
    {
        KeyValuePair<string, string>[] properties = device == "remote:nvme" ? [KeyValuePair.Create("serial", "xinim")] : [];
        using QemuDevice qemu = new(RemoteModel.Parse(device, drives: ["null-co,size=1073741824"], properties: properties));
        Assert.Equal(id, qemu.Backend.Identity.Device);
    }

    [Fact]
    public void Serves_a_nic_on_a_user_network()
    {
        using QemuDevice qemu = new(RemoteModel.Parse("remote:e1000", "user,net=10.0.2.0/24,restrict=on"));
        Assert.NotEqual(0u, qemu.OpenDriver().MapBar(0).Read32(E1000Status));
    }

    [Theory]
    [InlineData("remote:e1000", 0, 128 << 10)]
    [InlineData("remote:e1000", 1, 64)]
    [InlineData("remote:e1000e", 0, 128 << 10)]
    [InlineData("remote:e1000e", 1, 128 << 10)]
    [InlineData("remote:e1000e", 2, 32)]
    [InlineData("remote:ich9-ahci", 5, 4096)]
    [InlineData("remote:virtio-net-pci", 4, 16 << 10)]
    public void Finds_the_size_of_each_bar(string device, int bar, uint size)
    {
        using QemuDevice qemu = new(device);
        Assert.Equal(size, qemu.OpenDriver().MapBar(bar).Length);
    }

    [Fact]
    public void Refuses_a_bar_that_is_not_there()
    {
        using QemuDevice qemu = new("remote:ich9-ahci");
        RemotePciDevice device = qemu.OpenDriver();
        Assert.Contains("has no BAR 0", Assert.Throws<DeviceFaultException>(() => device.MapBar(0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Reads_and_writes_configuration_space_up_to_its_last_byte()
    {
        using QemuDevice qemu = new("remote:e1000");
        IPciConfig config = qemu.OpenDriver().Config;
        config.Write8(0x3C, 0x5A);
        Assert.Equal(0x5A, config.Read8(0x3C));
        Assert.Equal(0x100E8086u, config.Read32(0));
        // QEMU ends on a plain 1- or 2-byte read in the last three bytes.
        config.Write8(0xFF, 1);
        Assert.Equal(config.Read32(0xFC) >> 24, config.Read8(0xFF));
        Assert.Equal(config.Read32(0xFC) >> 16, config.Read16(0xFE));
        Assert.Throws<ArgumentOutOfRangeException>(() => config.Read8(0x100));
    }

    [Fact]
    public void Knows_the_extended_configuration_space_of_an_express_device()
    {
        using QemuDevice qemu = new("remote:e1000e");
        RemoteConfig config = (RemoteConfig)qemu.OpenDriver().Config;
        Assert.Equal(4096, config.Size);
        Assert.Equal(0x0001, config.Read16(0x100)); // Advanced Error Reporting, PCI Express 3.0 §7.10.1
    }

    [Fact]
    public void Reads_and_writes_registers_in_memory_and_in_io_space()
    {
        using QemuDevice qemu = new("remote:e1000");
        RemotePciDevice device = qemu.OpenDriver();
        Mmio memory = device.MapBar(0);
        Assert.Equal(0x12005452u, memory.Read32(E1000ReceiveAddressLow));
        memory.Write32(E1000ReceiveAddressLow, 0xCAFE_BABE);
        Assert.Equal(0xCAFE_BABEu, memory.Read32(E1000ReceiveAddressLow));
        Assert.NotEqual(0u, memory.Read32(E1000Status));

        // QEMU's I/O BAR of this model reads as zero; what counts is that it decodes, or QEMU would have ended.
        Assert.Equal(0u, device.MapBar(1).Read32(0));
        Assert.Equal(0xCAFE_BABEu, memory.Read32(E1000ReceiveAddressLow));
    }

    [Fact]
    public void Reset_clears_registers_and_restores_what_a_driver_did_to_the_bars()
    {
        using QemuDevice qemu = new("remote:e1000");
        RemotePciDevice device = qemu.OpenDriver();
        device.MapBar(0).Write32(E1000ReceiveAddressLow, 0xCAFE_BABE);
        device.Config.Write16(0x04, 0x0407);
        device.Config.Write32(0x10, 0xD000_0000);

        Assert.True(qemu.Backend.Reset());

        Assert.Equal(0x12005452u, qemu.OpenDriver().MapBar(0).Read32(E1000ReceiveAddressLow));
        Assert.Equal(0x0003, device.Config.Read16(0x04));
    }

    [Fact]
    public void Takes_over_after_a_driver_that_died_between_request_and_reply()
    {
        using QemuDevice qemu = new("remote:e1000");
        using System.Net.Sockets.Socket dead = new(new System.Net.Sockets.SafeSocketHandle(qemu.DuplicateSocket().DangerousGetHandle(), false));
        dead.Send(WireBytes.ConfigRead(0x08, 4));

        qemu.Backend.DisableInterrupts();
        qemu.Backend.ClearBusMaster();
        Assert.True(qemu.Backend.Reset());

        Assert.Equal(0x100E8086u, qemu.OpenDriver().Config.Read32(0));
    }

    [Fact]
    public void Stopped_model_is_a_named_timeout_and_recovers_after_draining()
    {
        using QemuDevice qemu = new("remote:e1000");
        RemotePciDevice device = qemu.OpenDriver(TimeSpan.FromMilliseconds(200));
        Mmio bar = device.MapBar(0);
        qemu.Process.Signal(PosixSignalNumber.Stop);
        long start = Stopwatch.GetTimestamp();
        DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() => bar.Read32(E1000Status));
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 190, 5000);
        Assert.Contains("remote:e1000: BarRead at 0xe0000008: no reply in time", fault.Message, StringComparison.Ordinal);
        Assert.Contains("out of step", Assert.Throws<DeviceFaultException>(() => bar.Read32(E1000Status)).Message, StringComparison.Ordinal);

        qemu.Process.Signal(PosixSignalNumber.Continue);
        Assert.True(qemu.Backend.Reset());
        Assert.NotEqual(0u, qemu.OpenDriver().MapBar(0).Read32(E1000Status));
    }

    [Fact]
    public void Killed_model_is_a_fault_for_driver_and_owner()
    {
        using QemuDevice qemu = new("remote:e1000");
        Mmio bar = qemu.OpenDriver().MapBar(0);
        qemu.Process.Kill();
        Assert.Contains("has ended", Assert.Throws<DeviceFaultException>(() => bar.Read32(E1000Status)).Message, StringComparison.Ordinal);
        Assert.Contains("has ended", Assert.Throws<DeviceFaultException>(() => qemu.Backend.Reset()).Message, StringComparison.Ordinal);
        using SharedRegion region = SharedRegion.Create("test", 4096, PageChoice.Ordinary);
        Assert.Throws<DeviceFaultException>(() => qemu.Backend.Map(region, RegionAccess.ReadWrite));
    }

    [Fact]
    public void Model_ends_when_its_socket_is_closed_by_all()
    {
        using QemuDevice qemu = new("remote:e1000");
        RemotePciDevice device = qemu.OpenDriver();
        qemu.Backend.Dispose();
        Assert.False(qemu.Process.WaitForExit(TimeSpan.FromMilliseconds(200)));
        device.Dispose();
        Assert.True(qemu.Process.WaitForExit(TimeSpan.FromSeconds(5)));
    }

    [Fact]
    public void Maps_seven_regions_apart_refuses_the_eighth_and_can_unmap_all()
    {
        using QemuDevice qemu = new("remote:e1000");
        SharedRegion[] regions = [.. Enumerable.Range(0, 8).Select(i => SharedRegion.Create($"test-{i}", 2 << 20, PageChoice.Ordinary))];
        Iova[] mapped = [.. regions.Take(7).Select(region => qemu.Backend.Map(region, RegionAccess.ReadWrite))];
        Assert.All(mapped, iova => Assert.Equal(0u, iova.Value % (2 << 20)));
        Assert.All(mapped.Zip(mapped.Skip(1)), pair => Assert.True(pair.Second.Value - pair.First.Value >= 4 << 20));
        Assert.Contains("takes 7 regions", Assert.Throws<LinuxException>(() => qemu.Backend.Map(regions[7], RegionAccess.ReadWrite)).Message, StringComparison.Ordinal);

        foreach (Iova iova in mapped) qemu.Backend.Unmap(iova, 2 << 20);
        Assert.Equal(mapped[0], qemu.Backend.Map(regions[7], RegionAccess.ReadWrite));
        Assert.True(qemu.Backend.Reset());
        foreach (SharedRegion region in regions) region.Dispose();
    }

    [Fact]
    public void Measures_a_register_read()
    {
        using QemuDevice qemu = new("remote:e1000");
        Mmio bar = qemu.OpenDriver().MapBar(0);
        const int Rounds = 20_000;
        for (int i = 0; i < Rounds / 10; i++) _ = bar.Read32(E1000Status);
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Rounds; i++) _ = bar.Read32(E1000Status);
        double micros = Stopwatch.GetElapsedTime(start).TotalMicroseconds / Rounds;
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - allocated, 0, 1024);
        output.WriteLine($"{micros:0.0} µs a register read");
    }

    [Fact]
    public void Starts_many_times_without_losing_its_bars_to_the_first_reset()
    {
        const int Starts = 30;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Starts; i++)
        {
            using QemuDevice qemu = new("remote:e1000");
            Assert.NotEqual(0u, qemu.OpenDriver().MapBar(0).Read32(E1000Status));
        }
        output.WriteLine($"{Stopwatch.GetElapsedTime(start).TotalMilliseconds / Starts:0} ms from launching a model to a driver's first read and its end");
    }
}
