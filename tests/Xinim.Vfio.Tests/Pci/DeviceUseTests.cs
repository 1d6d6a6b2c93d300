using Xinim.Vfio.Pci;
using Xunit;

namespace Xinim.Vfio.Tests.Pci;

public sealed class DeviceUseTests : IDisposable
{
    private const string Address = "0000:00:06.0";
    private readonly FakeSysfs _sysfs = new();

    public void Dispose() => _sysfs.Dispose();

    [Fact]
    public void An_interface_counts_when_it_is_up_and_has_an_address_or_has_a_master()
    {
        string path = _sysfs.AddClass("net", "eth0", Address);
        FakeSysfs.Set(path, "flags", "0x1003");
        Assert.Empty(Uses(_ => false));
        Assert.Equal("network interface eth0 is up and has an address", Assert.Single(Uses(_ => true)));
        FakeSysfs.Set(path, "flags", "0x1002");
        Assert.Empty(Uses(_ => true));
        Directory.CreateDirectory(_sysfs.PathOf("devices/virtual/net/br0"));
        Directory.CreateSymbolicLink(Path.Combine(path, "master"), _sysfs.PathOf("devices/virtual/net/br0"));
        Assert.Equal("network interface eth0 is a port of br0", Assert.Single(Uses(_ => true)));
    }

    [Fact]
    public void A_partition_counts_when_it_is_mounted_held_or_swap()
    {
        FakeSysfs.Set(_sysfs.AddClass("block", "sda", Address), "dev", "8:0");
        string partition = _sysfs.AddClass("block", "sda1", Address);
        FakeSysfs.Set(partition, "dev", "8:1");
        Assert.Empty(Uses());
        File.AppendAllText(_sysfs.PathOf("proc/self/mountinfo"), "30 22 8:1 / /home rw,noatime - ext4 /dev/sda1 rw\n");
        Directory.CreateDirectory(Path.Combine(partition, "holders/dm-0"));
        File.WriteAllText(_sysfs.PathOf("proc/swaps"), "Filename Type Size Used Priority\n/dev/sda1 partition 1 0 -2\n");
        Assert.Equal(["sda1 is mounted on /home", "sda1 is used by dm-0", "sda1 is swap space"], Uses());
    }

    [Fact]
    public void A_name_space_behind_NVMe_multipath_belongs_to_its_controller()
    {
        _sysfs.AddClass("block", "nvme0c0n1", Address);
        Directory.CreateDirectory(_sysfs.PathOf("devices/virtual/nvme0n1"));
        File.CreateSymbolicLink(_sysfs.PathOf("class/block/nvme0n1"), "../../devices/virtual/nvme0n1");
        FakeSysfs.Set(_sysfs.PathOf("devices/virtual/nvme0n1"), "dev", "259:0");
        File.AppendAllText(_sysfs.PathOf("proc/self/mountinfo"), "30 22 259:0 / /srv rw - ext4 /dev/nvme0n1 rw\n");
        Assert.Equal(["nvme0n1 is mounted on /srv"], Uses());
    }

    [Fact]
    public void Other_devices_do_not_count()
    {
        FakeSysfs.Set(_sysfs.AddClass("net", "eth0", "0000:00:07.0"), "flags", "0x1003");
        Assert.Empty(Uses(_ => true));
    }

    private IReadOnlyList<string> Uses(Func<string, bool>? hasAddress = null) => _sysfs.Use(hasAddress).Find(PciAddress.Parse(Address));
}
