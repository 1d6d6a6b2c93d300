using Xinim.Ipc;
using Xinim.Vfio.Pci;
using Xunit;

namespace Xinim.Vfio.Tests.Pci;

public sealed class DriverBindingTests : IDisposable
{
    private readonly FakeSysfs _sysfs = new();

    public DriverBindingTests() => _sysfs.AddDriver("vfio-pci");

    public void Dispose() => _sysfs.Dispose();

    [Fact]
    public void Binding_unbinds_overrides_and_probes_and_another_process_puts_it_back()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 0x8086, 0x100e, "e1000", group: 4);
        Assert.Equal("e1000", _sysfs.Binding().Bind(address));
        Assert.Equal(
        [
            "bus/pci/devices/0000:00:03.0/driver_override=vfio-pci", "bus/pci/drivers/e1000/unbind=0000:00:03.0", "bus/pci/drivers_probe=0000:00:03.0",
        ], _sysfs.Writes);
        Assert.Equal("vfio-pci", _sysfs.Devices.Find(address).Driver);

        // A new object: nothing is remembered but the file.
        Assert.Equal("e1000", _sysfs.Binding().PreviousDriver(address));
        Assert.Equal("e1000", _sysfs.Binding().Bind(address));
        _sysfs.Writes.Clear();
        Assert.Equal("e1000", _sysfs.Binding().Restore(address));
        Assert.Equal(
        [
            "bus/pci/drivers/vfio-pci/unbind=0000:00:03.0", "bus/pci/devices/0000:00:03.0/driver_override=", "bus/pci/drivers/e1000/bind=0000:00:03.0",
        ], _sysfs.Writes);
        Assert.Empty(Directory.GetFiles(_sysfs.PathOf("state")));
    }

    [Fact]
    public void A_device_without_a_driver_goes_back_to_none()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 0x8086, 0x100e, group: 4);
        Assert.Null(_sysfs.Binding().Bind(address));
        _sysfs.Writes.Clear();
        Assert.Null(_sysfs.Binding().Restore(address));
        Assert.DoesNotContain(_sysfs.Writes, write => write.Contains("probe", StringComparison.Ordinal));
    }

    [Fact]
    public void Where_nobody_remembers_the_kernel_chooses()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 0x8086, 0x100e, "vfio-pci", group: 4);
        Assert.Null(_sysfs.Binding().Restore(address));
        Assert.Equal("bus/pci/drivers_probe=0000:00:03.0", _sysfs.Writes[^1]);
    }

    [Fact]
    public void Each_refusal_names_the_reason_and_touches_nothing()
    {
        PciAddress noGroup = _sysfs.AddDevice("0000:00:02.0", 1, 2, "e1000");
        PciAddress bridge = _sysfs.AddDevice("0000:00:01.0", 1, 2, group: 1, classCode: 0x060400);
        PciAddress fine = _sysfs.AddDevice("0000:00:03.0", 1, 2, "e1000", group: 4);
        Assert.Contains("intel_iommu=on", Refusal(() => _sysfs.Binding().Bind(noGroup)), StringComparison.Ordinal);
        Assert.Contains("bridge", Refusal(() => _sysfs.Binding().Bind(bridge)), StringComparison.Ordinal);
        Assert.Contains("no PCI device", Refusal(() => _sysfs.Binding().Bind(PciAddress.Parse("00:09.0"))), StringComparison.Ordinal);
        Directory.Delete(_sysfs.PathOf("bus/pci/drivers/vfio-pci"));
        Assert.Contains("'modprobe vfio-pci'", Refusal(() => _sysfs.Binding().Bind(fine)), StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => _sysfs.Binding().Bind(fine, "../evil"));
        Assert.Empty(_sysfs.Writes);
    }

    [Fact]
    public void Without_an_IOMMU_only_when_allowed()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:02.0", 1, 2, "e1000");
        _sysfs.Binding().Bind(address, allowUnsafeDma: true);
        Assert.Equal("vfio-pci", _sysfs.Devices.Find(address).Driver);
    }

    [Fact]
    public void Not_root_is_said_and_the_device_stays_as_it_was()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 1, 2, "e1000", group: 4);
        DriverBinding binding = new(_sysfs.Paths, _sysfs.Use(), (path, _) => throw new LinuxException($"cannot open {path} for writing; run as root", 13));
        Assert.Contains("run as root", Refusal(() => binding.Bind(address)), StringComparison.Ordinal);
        Assert.Equal("e1000", _sysfs.Devices.Find(address).Driver);
    }

    [Fact]
    public void A_device_that_the_kernel_is_still_adding_is_probed_again()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 1, 2, group: 4);
        _sysfs.LetProbesFail(3);
        _sysfs.Binding().Bind(address);
        Assert.Equal("vfio-pci", _sysfs.Devices.Find(address).Driver);
    }

    [Fact]
    public void A_device_that_another_driver_takes_meanwhile_is_taken_from_it_and_given_back_to_it()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 1, 2, group: 4);
        _sysfs.LetKernelBeQuicker("e1000");
        Assert.Equal("e1000", _sysfs.Binding().Bind(address));
        Assert.Equal("vfio-pci", _sysfs.Devices.Find(address).Driver);
        Assert.Equal("e1000", _sysfs.Binding().Restore(address));
    }

    [Fact]
    public void A_device_that_came_into_use_meanwhile_is_left_alone()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 1, 2, group: 4);
        _sysfs.LetKernelBeQuicker("e1000");
        DriverBinding binding = new(_sysfs.Paths, _sysfs.Use(_ => true), (path, text) =>
        {
            _sysfs.Write(path, text);
            if (path.EndsWith("drivers_probe", StringComparison.Ordinal)) FakeSysfs.Set(_sysfs.AddClass("net", "eth0", "0000:00:03.0"), "flags", "0x1003");
        });
        Assert.Contains("eth0 is up and has an address", Refusal(() => binding.Bind(address)), StringComparison.Ordinal);
        Assert.Equal("e1000", _sysfs.Devices.Find(address).Driver);
        Assert.Equal("(null)", File.ReadAllText(_sysfs.PathOf("bus/pci/devices/0000:00:03.0/driver_override")));
    }

    [Fact]
    public void A_driver_that_does_not_take_the_device_leaves_it_with_the_old_one()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 1, 2, "e1000", group: 4);
        _sysfs.LetDriverRefuse("vfio-pci");
        Assert.Contains("was not taken by vfio-pci", Refusal(() => _sysfs.Binding().Bind(address)), StringComparison.Ordinal);
        Assert.Equal("e1000", _sysfs.Devices.Find(address).Driver);
        Assert.Equal("(null)", File.ReadAllText(_sysfs.PathOf("bus/pci/devices/0000:00:03.0/driver_override")));
        Assert.Null(_sysfs.Binding().PreviousDriver(address));
    }

    [Fact]
    public void A_driver_unloaded_meanwhile_is_named_and_not_forgotten()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 1, 2, "e1000", group: 4);
        _sysfs.Binding().Bind(address);
        Directory.Delete(_sysfs.PathOf("bus/pci/drivers/e1000"));
        Assert.Contains("'modprobe e1000'", Refusal(() => _sysfs.Binding().Restore(address)), StringComparison.Ordinal);
        _sysfs.AddDriver("e1000");
        Assert.Equal("e1000", _sysfs.Binding().Restore(address));
    }

    [Fact]
    public void A_used_device_is_taken_only_by_force()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 1, 2, "e1000", group: 4);
        FakeSysfs.Set(_sysfs.AddClass("net", "eth0", "0000:00:03.0"), "flags", "0x1003");
        Assert.Contains("eth0 is up and has an address", Refusal(() => _sysfs.Binding(_ => true).Bind(address)), StringComparison.Ordinal);
        Assert.Empty(_sysfs.Writes);
        Assert.Equal("e1000", _sysfs.Binding(_ => true).Bind(address, force: true));
    }

    [Fact]
    public void A_state_file_with_nonsense_is_not_believed()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 1, 2, "vfio-pci", group: 4);
        Directory.CreateDirectory(_sysfs.PathOf("state"));
        File.WriteAllText(_sysfs.PathOf("state/0000:00:03.0"), "../../../../tmp/evil\n");
        Assert.Null(_sysfs.Binding().PreviousDriver(address));
    }

    private static string Refusal(Action action) => Assert.Throws<LinuxException>(action).Message;
}
