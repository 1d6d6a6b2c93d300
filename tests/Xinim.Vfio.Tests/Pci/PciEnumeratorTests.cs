using Xinim.Ipc;
using Xinim.Vfio.Pci;
using Xunit;

namespace Xinim.Vfio.Tests.Pci;

public sealed class PciEnumeratorTests : IDisposable
{
    private const string Resource = """
        0x00000000febc0000 0x00000000febdffff 0x0000000000040200
        0x000000000000c000 0x000000000000c03f 0x0000000000040101
        0x0000000000000000 0x0000000000000000 0x0000000000000000
        0x0000000000000000 0x0000000000000000 0x0000000000000000
        0x00000000fe000000 0x00000000fe003fff 0x000000000014220c
        0x0000000000000000 0x0000000000000000 0x0000000000000000
        0x00000000feb80000 0x00000000febbffff 0x0000000000046200
        """;

    private readonly FakeSysfs _sysfs = new();

    public void Dispose() => _sysfs.Dispose();

    [Fact]
    public void Everything_about_a_function_is_read()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:03.0", 0x8086, 0x100e, "e1000", group: 4, resource: Resource);
        FakeSysfs.Set(_sysfs.PathOf("bus/pci/devices/0000:00:03.0"), "reset_method", "flr bus");
        PciFunction function = _sysfs.Devices.Find(address);
        Assert.Equal(new PciIdentity(0x8086, 0x100e, 0x1af4, 0x1100, 0x020000, 3), function.Identity);
        Assert.Equal(("e1000", 4, false, -1), (function.Driver, function.IommuGroup, function.HasNoIommuGroup, function.NumaNode));
        Assert.Equal(["flr", "bus"], function.ResetMethods);
        Assert.Empty(function.GroupNeighbours);
    }

    [Fact]
    public void BARs_have_kind_width_and_size_and_the_ROM_is_none()
    {
        IReadOnlyList<PciBar> bars = PciEnumerator.ParseResources(Resource);
        Assert.Equal(
        [
            new PciBar(0, PciBarKind.Memory, false, false, 0xfebc0000, 0x20000),
            new PciBar(1, PciBarKind.Ports, false, false, 0xc000, 0x40),
            new PciBar(4, PciBarKind.Memory, true, true, 0xfe000000, 0x4000),
        ], bars);
    }

    [Theory]
    [InlineData("")]
    [InlineData("0x1000 0x0fff 0x200")]
    [InlineData("0x0 0xffffffffffffffff")]
    [InlineData("nonsense nonsense nonsense\n\n\n")]
    [InlineData("0x10000000000000000 0x0 0x200")]
    public void Nonsense_in_the_resource_file_is_no_BAR(string text) => Assert.Empty(PciEnumerator.ParseResources(text));

    [Fact]
    public void Functions_come_in_order_and_what_is_no_function_is_left_out()
    {
        _sysfs.AddDevice("0000:02:00.0", 1, 2);
        _sysfs.AddDevice("0000:00:1f.2", 1, 2);
        _sysfs.AddDevice("10000:00:00.0", 1, 2);
        Directory.CreateDirectory(_sysfs.PathOf("bus/pci/devices/junk"));
        // Vanishing: a directory without attributes.
        Directory.CreateDirectory(_sysfs.PathOf("bus/pci/devices/0000:05:00.0"));
        Assert.Equal(["0000:00:1f.2", "0000:02:00.0", "10000:00:00.0"], _sysfs.Devices.Enumerate().Select(function => function.Address.ToString()));
    }

    [Fact]
    public void Neighbours_in_the_group_are_named_and_no_group_is_null()
    {
        PciAddress first = _sysfs.AddDevice("0000:00:1f.0", 1, 2, group: 7);
        PciAddress second = _sysfs.AddDevice("0000:00:1f.2", 1, 2, group: 7);
        PciAddress alone = _sysfs.AddDevice("0000:00:02.0", 1, 2);
        Assert.Equal([second], _sysfs.Devices.Find(first).GroupNeighbours);
        Assert.Null(_sysfs.Devices.Find(alone).IommuGroup);
    }

    [Fact]
    public void A_no_IOMMU_group_is_known_by_its_name()
    {
        PciAddress address = _sysfs.AddDevice("0000:00:02.0", 1, 2, group: 0);
        File.WriteAllText(_sysfs.PathOf("kernel/iommu_groups/0/name"), "vfio-noiommu\n");
        Assert.True(_sysfs.Devices.Find(address).HasNoIommuGroup);
    }

    [Fact]
    public void No_device_and_no_bus_are_said_and_survived()
    {
        LinuxException missing = Assert.Throws<LinuxException>(() => _sysfs.Devices.Find(PciAddress.Parse("00:09.0")));
        Assert.Contains("no PCI device 0000:00:09.0", missing.Message, StringComparison.Ordinal);
        Assert.Empty(new PciEnumerator("/nowhere").Enumerate());
    }
}
