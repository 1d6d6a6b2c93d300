using Xinim.Ipc.Memory;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Pci;
using Xinim.Vfio.Registers;
using Xinim.Vfio.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Vfio;

/// <summary>The scenarios of Linux's tools/testing/selftests/vfio/vfio_pci_device_test.c, by their names, and what else can be seen without DMA.</summary>
[Collection(nameof(VfioLab))]
public sealed class VfioDeviceTests
{
    public static TheoryData<int, int> Devices => new() { { 0x8086, 0x100e }, { 0x8086, 0x10d3 }, { 0x8086, 0x2922 }, { 0x1af4, 0x1041 } };

    [Theory]
    [MemberData(nameof(Devices))]
    public void Config_space_read_write(int vendor, int device)
    {
        using LabDevice lab = LabDevice.Take((ushort)vendor, (ushort)device);
        using VfioBackend backend = lab.Open();
        using VfioPciDevice driver = LabDevice.DriverOf(backend);

        Assert.Equal(lab.Function.Identity, backend.Identity);
        Assert.Equal(vendor, driver.Config.Read16(PciConfigSpace.VendorId));
        Assert.Equal(device, driver.Config.Read16(PciConfigSpace.DeviceId));
        Assert.Equal(((uint)device << 16) | (uint)vendor, driver.Config.Read32(PciConfigSpace.VendorId));
        ushort command = driver.Config.Read16(PciConfigSpace.Command);
        Assert.Equal(0, command & PciConfigSpace.CommandBusMaster);

        driver.Config.Write16(PciConfigSpace.Command, (ushort)(command | PciConfigSpace.CommandBusMaster));
        Assert.NotEqual(0, driver.Config.Read16(PciConfigSpace.Command) & PciConfigSpace.CommandBusMaster);
        backend.ClearBusMaster();
        Assert.Equal(0, driver.Config.Read16(PciConfigSpace.Command) & PciConfigSpace.CommandBusMaster);

        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Config.Read32(2));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Config.Read8(4096));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Validate_bars_and_what_sysfs_said_of_them(int vendor, int device)
    {
        using LabDevice lab = LabDevice.Take((ushort)vendor, (ushort)device);
        using VfioBackend backend = lab.Open();
        using VfioPciDevice driver = LabDevice.DriverOf(backend);

        Assert.NotEmpty(lab.Function.Bars);
        for (int index = 0; index < 6; index++)
        {
            PciBar? bar = lab.Function.Bar(index);
            if (bar is null)
            {
                Assert.Throws<DeviceFaultException>(() => driver.MapBar(index));
                continue;
            }

            Mmio registers = driver.MapBar(index);
            Assert.Equal(bar.Value.Size, registers.Length);
            // Something answers: ports through the channel, memory through the mapping.
            _ = registers.Read32(0);
            Assert.Throws<ArgumentOutOfRangeException>(() => registers.Read32(registers.Length));
        }

        Assert.Equal(lab.Function.Capabilities.MsiVectors, driver.Interrupts.Msi);
        Assert.Equal(lab.Function.Capabilities.MsiX?.Vectors ?? 0, driver.Interrupts.MsiX);
        Assert.True(driver.Interrupts.Intx);
        Assert.Equal(lab.Function.ResetMethods.Count != 0, driver.CanReset);
    }

    [Fact]
    public void A_BAR_of_ports_reaches_the_same_registers_as_the_BAR_of_memory()
    {
        // ICH9 AHCI has an index and data pair in its port BAR that reaches the registers of BAR 5 (ICH9 datasheet 14.2).
        using LabDevice lab = LabDevice.Take(0x8086, 0x2922);
        using VfioBackend backend = lab.Open();
        using VfioPciDevice driver = LabDevice.DriverOf(backend);
        Mmio memory = driver.MapBar(5);
        Mmio ports = driver.MapBar(4);
        const uint capabilities = 0x00, version = 0x10, index = 0x10, data = 0x14;

        ports.Write32(index, version);
        Assert.Equal(0x00010000u, ports.Read32(data));
        Assert.Equal(memory.Read32(version), ports.Read32(data));
        ports.Write32(index, capabilities);
        Assert.Equal(memory.Read32(capabilities), ports.Read32(data));
        Assert.Throws<ArgumentOutOfRangeException>(() => ports.Read64(0));
    }

    [Fact]
    public void Init_remove_ten_times()
    {
        using LabDevice lab = LabDevice.TakeE1000E();
        using SharedRegion region = SharedRegion.Create("xinim-test", 2 << 20);
        for (int round = 0; round < 10; round++)
        {
            using VfioBackend backend = lab.Open();
            using VfioPciDevice driver = LabDevice.DriverOf(backend);
            Iova start = backend.Map(region, RegionAccess.ReadWrite);
            // STATUS: 0x80080600 or the like, never all ones [82574L 10.2.2.2].
            Assert.NotEqual(uint.MaxValue, driver.MapBar(0).Read32(8));
            using IDeviceInterrupts interrupts = driver.EnableInterrupts(InterruptKind.MsiX, 2);
            Assert.True(backend.HasIommu);
            Assert.NotEqual(0ul, start.Value);
        }
    }

    [Fact]
    public void Reset_says_whether_there_is_a_reset()
    {
        using (LabDevice lab = LabDevice.TakeE1000())
        {
            using VfioBackend backend = lab.Open();
            Assert.False(backend.Reset());
        }

        using (LabDevice lab = LabDevice.TakeE1000E())
        {
            using VfioBackend backend = lab.Open();
            using VfioPciDevice driver = LabDevice.DriverOf(backend);
            // By power management: QEMU 7.2 changes no register then, so what can be seen is that the device survives it.
            Assert.Equal(["pm"], lab.Function.ResetMethods);
            uint status = driver.MapBar(0).Read32(8);
            Assert.True(backend.Reset());
            driver.Reset();
            Assert.Equal(status & 1, driver.MapBar(0).Read32(8) & 1);
        }
    }

    [Fact]
    public void A_group_has_one_owner_at_a_time()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        using VfioBackend backend = lab.Open();
        Ipc.LinuxException refused = Assert.Throws<Ipc.LinuxException>(() => lab.Open());
        Assert.Contains("stop its owner", refused.Message, StringComparison.Ordinal);
        Ipc.LinuxException open = Assert.Throws<Ipc.LinuxException>(() => new DriverBinding().Restore(lab.Address));
        Assert.Contains("is in use", open.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Whoever_wants_the_device_back_is_heard_and_waits_until_it_is_closed()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        VfioBackend backend = lab.Open();
        Task unbinding;
        try
        {
            Assert.Equal(0ul, LabDevice.Take(backend.RemovalRequested!, 0));
            // Blocks in the kernel.
            unbinding = Task.Run(() => File.WriteAllText("/sys/bus/pci/drivers/vfio-pci/unbind", lab.Address.ToString()), TestContext.Current.CancellationToken);
            Assert.NotEqual(0ul, LabDevice.Take(backend.RemovalRequested!, 5000));
            Assert.False(unbinding.IsCompleted);
        }
        finally
        {
            backend.Dispose();
        }

        await unbinding.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        Assert.Null(new PciEnumerator().Find(lab.Address).Driver);
    }
}
