using Xinim.Ipc;
using Xinim.TestKit.Block;
using Xinim.Vfio.Pci;
using Xunit;

namespace Xinim.Lab.Tests.Vfio;

/// <summary>Binding on a real kernel: what the tests with a fake one assume.</summary>
[Collection(nameof(VfioLab))]
public sealed class VfioBindingTests
{
    [Fact]
    public void Binding_and_restoring_gives_the_device_back_to_its_driver_in_another_process()
    {
        LabDevice.RequireLab();
        LabDevice.Shell("modprobe", "e1000");
        PciFunction before = Nic();
        Assert.Equal("e1000", before.Driver);
        LabDevice.Shell("modprobe", "vfio-pci");

        Assert.Equal("e1000", new DriverBinding().Bind(before.Address));
        Assert.Equal("vfio-pci", Nic().Driver);
        Assert.Equal("vfio-pci", File.ReadAllText($"/sys/bus/pci/devices/{before.Address}/driver_override").Trim());
        // Again: nothing happens, and the first driver is still known.
        Assert.Equal("e1000", new DriverBinding().Bind(before.Address));
        Assert.Equal("e1000", new DriverBinding().Restore(before.Address));
        Assert.Equal("e1000", Nic().Driver);
        Assert.Equal("(null)", File.ReadAllText($"/sys/bus/pci/devices/{before.Address}/driver_override").Trim());
        Assert.False(File.Exists($"/run/xinim/bindings/{before.Address}"));
        LabDevice.Shell("rmmod", "e1000");
    }

    [Fact]
    public void A_card_in_use_is_taken_only_by_force()
    {
        LabDevice.RequireLab();
        LabDevice.Shell("modprobe", "e1000");
        LabDevice.Shell("modprobe", "vfio-pci");
        PciFunction nic = Nic();
        string name = Path.GetFileName(Directory.EnumerateDirectories($"/sys/bus/pci/devices/{nic.Address}/net").Single());
        LabDevice.Shell("ip", "addr", "add", "10.77.0.1/24", "dev", name);
        LabDevice.Shell("ip", "link", "set", name, "up");

        LinuxException refused = Assert.Throws<LinuxException>(() => new DriverBinding().Bind(nic.Address));
        Assert.Contains($"network interface {name} is up", refused.Message, StringComparison.Ordinal);
        Assert.Equal("e1000", Nic().Driver);
        new DriverBinding().Bind(nic.Address, force: true);
        Assert.Equal("vfio-pci", Nic().Driver);
        new DriverBinding().Restore(nic.Address);
        LabDevice.Shell("rmmod", "e1000");
    }

    [Fact]
    public void A_disk_with_a_mounted_file_system_is_left_alone()
    {
        LabDevice.RequireLab();
        LabDevice.Shell("modprobe", "virtio_blk");
        LabDevice.Shell("modprobe", "vfio-pci");
        PciFunction disk = new PciEnumerator().Enumerate().First(function => function.Identity is { Vendor: 0x1af4, Device: 0x1042 });
        string node = KernelDisk.Take("0000:00:08.0", LabProgram.Limit, "virtio_blk");
        LabDevice.Shell("mkfs.ext2", "-q", node);
        Directory.CreateDirectory("/run/xinim-disk");
        LabDevice.Shell("modprobe", "ext4");
        LabDevice.Shell("mount", node, "/run/xinim-disk");
        try
        {
            LinuxException refused = Assert.Throws<LinuxException>(() => new DriverBinding().Bind(disk.Address));
            Assert.Contains($"{Path.GetFileName(node)} is mounted on /run/xinim-disk", refused.Message, StringComparison.Ordinal);
        }
        finally
        {
            LabDevice.Shell("umount", "/run/xinim-disk");
        }

        new DriverBinding().Bind(disk.Address);
        Assert.Equal("virtio-pci", new DriverBinding().Restore(disk.Address));
    }

    [Fact]
    public void A_bridge_and_a_missing_device_are_refused_with_a_reason()
    {
        LabDevice.RequireLab();
        LabDevice.Shell("modprobe", "vfio-pci");
        PciFunction bridge = new PciEnumerator().Enumerate().First(function => function.IsBridge);
        Assert.Contains("bridge", Assert.Throws<LinuxException>(() => new DriverBinding().Bind(bridge.Address)).Message, StringComparison.Ordinal);
        LinuxException missing = Assert.Throws<LinuxException>(() => new DriverBinding().Bind(PciAddress.Parse("00:1e.7")));
        Assert.Contains("no PCI device 0000:00:1e.7", missing.Message, StringComparison.Ordinal);
    }

    private static PciFunction Nic() => new PciEnumerator().Enumerate().First(function => function.Identity is { Vendor: 0x8086, Device: 0x100e });
}
