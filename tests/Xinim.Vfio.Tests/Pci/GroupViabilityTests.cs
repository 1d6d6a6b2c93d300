using Xinim.Vfio.Pci;
using Xunit;

namespace Xinim.Vfio.Tests.Pci;

public sealed class GroupViabilityTests : IDisposable
{
    private readonly FakeSysfs _sysfs = new();

    public void Dispose() => _sysfs.Dispose();

    [Fact]
    public void Neighbours_with_a_kernel_driver_are_named_with_what_to_do()
    {
        PciAddress wanted = _sysfs.AddDevice("0000:00:1f.2", 0x8086, 0x2922, "vfio-pci", group: 7);
        _sysfs.AddDevice("0000:00:1f.3", 0x8086, 0x2930, "i801_smbus", group: 7);
        _sysfs.AddDevice("0000:00:1f.0", 0x8086, 0x2918, group: 7);
        _sysfs.AddDevice("0000:00:1f.5", 0x8086, 0x2919, "pci-stub", group: 7);
        GroupViability viability = Check(wanted);
        Assert.False(viability.IsViable);
        string text = viability.Explain();
        Assert.Contains("shares IOMMU group 7 with 0000:00:1f.3 8086:2930 (driver i801_smbus)", text, StringComparison.Ordinal);
        Assert.Contains("'xinim bind 0000:00:1f.3'", text, StringComparison.Ordinal);
        Assert.DoesNotContain("1f.0", text, StringComparison.Ordinal);
        Assert.DoesNotContain("1f.5", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Vfio_root_ports_and_unbound_neighbours_do_no_harm()
    {
        PciAddress wanted = _sysfs.AddDevice("0000:01:00.0", 1, 2, "vfio-pci", group: 7);
        _sysfs.AddDevice("0000:01:00.1", 1, 2, "mlx5_vfio_pci", group: 7);
        _sysfs.AddDevice("0000:00:1c.0", 1, 2, "pcieport", group: 7, classCode: 0x060400);
        _sysfs.AddDevice("0000:01:00.2", 1, 2, group: 7);
        Assert.True(Check(wanted).IsViable);
    }

    private GroupViability Check(PciAddress address) => GroupViability.Check(_sysfs.Devices, _sysfs.Devices.Find(address));
}
