using System.Text.Json;

namespace Xinim.Host.Tests.Commands;

/// <summary>list, bind, unbind and hugepages, on a machine of files.</summary>
public sealed class MachineCommandTests
{
    private const string Nic = "0000:00:03.0";

    [Fact]
    public void Lists_what_has_a_driver_and_why_it_is_not_usable()
    {
        using FakeMachine machine = new();
        machine.AddDevice(Nic, "8086:100e", "020000", 4, "vfio-pci");
        machine.AddDevice("0000:00:04.0", "8086:100e", "020000", 5, "e1000");
        machine.AddDevice("0000:00:05.0", "1af4:1000", "020000", 6, "virtio-pci");
        Assert.Equal(0, machine.Run("list"));
        Assert.Equal("ADDRESS IDS CLASS GROUP BOUND TO DRIVER USABLE", string.Join(' ', machine.Lines[0].Split(' ', StringSplitOptions.RemoveEmptyEntries)));
        Assert.Matches(@"^0000:00:03\.0 +8086:100e +Ethernet controller +4 +vfio-pci +e1000 +yes", machine.Lines[1]);
        Assert.Matches(@"^0000:00:04\.0 .*no: not bound to vfio-pci", machine.Lines[2]);
        Assert.Equal("0000:00:04.0: 'xinim bind 0000:00:04.0'", machine.Lines[3].TrimEnd());
        Assert.Equal(4, machine.Lines.Length);
    }

    [Fact]
    public void Lists_as_json_with_every_device()
    {
        using FakeMachine machine = new();
        machine.AddDevice(Nic, "8086:100e", "020000", null, null);
        machine.AddDevice("0000:00:05.0", "1af4:1000", "010802", 6, "virtio-pci");
        Assert.Equal(0, machine.Run("list", "--all", "--json"));
        JsonElement devices = JsonDocument.Parse(machine.Output.ToString()).RootElement;
        Assert.Equal(2, devices.GetArrayLength());
        Assert.Equal((Nic, "8086:100e", "e1000", false), (devices[0].GetProperty("address").GetString(), devices[0].GetProperty("ids").GetString(), devices[0].GetProperty("driver").GetString(), devices[0].GetProperty("usable").GetBoolean()));
        Assert.Equal("no IOMMU is active", devices[0].GetProperty("problem").GetString());
        Assert.Contains("intel_iommu=on", devices[0].GetProperty("remedy").GetString(), StringComparison.Ordinal);
        Assert.Equal(("NVMe controller", 6, "virtio-pci"), (devices[1].GetProperty("class").GetString(), devices[1].GetProperty("iommuGroup").GetInt32(), devices[1].GetProperty("boundTo").GetString()));
        Assert.Equal(JsonValueKind.Null, devices[1].GetProperty("driver").ValueKind);
    }

    [Fact]
    public void A_shared_group_names_its_neighbours()
    {
        using FakeMachine machine = new();
        machine.AddDevice(Nic, "8086:100e", "020000", 4, "vfio-pci");
        machine.AddDevice("0000:00:03.1", "8086:2934", "0c0300", 4, "uhci_hcd");
        machine.Run("list");
        Assert.Contains("group 4 is shared with 0000:00:03.1", machine.Lines[1], StringComparison.Ordinal);
        Assert.Contains("'xinim bind 0000:00:03.1'", machine.Lines[2], StringComparison.Ordinal);
    }

    [Fact]
    public void Says_when_there_is_nothing_to_list()
    {
        using FakeMachine machine = new();
        Assert.Equal(0, machine.Run("list"));
        Assert.Contains("--all", Assert.Single(machine.Lines), StringComparison.Ordinal);
        Assert.Equal(1, machine.Run("list", "--drivers", "/nonexistent"));
        Assert.Contains("/nonexistent", machine.ErrorLine, StringComparison.Ordinal);
    }

    [Fact]
    public void Binds_and_gives_back()
    {
        using FakeMachine machine = new();
        machine.AddDevice(Nic, "8086:100e", "020000", 4, "e1000");
        Assert.Equal(0, machine.Run("bind", "00:03.0"));
        Assert.Equal(0, machine.Run("bind", Nic));
        Assert.Equal(0, machine.Run("unbind", Nic));
        Assert.Equal(
            [$"{Nic}: e1000 → vfio-pci; 'xinim unbind {Nic}' gives it back", $"{Nic} is bound to vfio-pci already (before: e1000)", $"{Nic}: e1000"], machine.Lines);
    }

    [Fact]
    public void Binding_what_is_not_there_or_has_no_iommu_fails()
    {
        using FakeMachine machine = new();
        Assert.Equal(1, machine.Run("bind", Nic));
        Assert.Contains("no PCI device 0000:00:03.0", machine.ErrorLine, StringComparison.Ordinal);
        machine.AddDevice(Nic, "8086:100e", "020000", null, "e1000");
        Assert.Equal(1, machine.Run("bind", Nic));
        Assert.Empty(machine.Writes);
        Assert.Equal(0, machine.Run("bind", Nic, "--allow-unsafe-dma"));
    }

    [Fact]
    public void Binding_notes_neighbours_in_the_way()
    {
        using FakeMachine machine = new();
        machine.AddDevice(Nic, "8086:100e", "020000", 4, "e1000");
        machine.AddDevice("0000:00:03.1", "8086:2934", "0c0300", 4, "uhci_hcd");
        Assert.Equal(0, machine.Run("bind", Nic));
        Assert.StartsWith("xinim: note: 0000:00:03.0 shares IOMMU group 4", machine.ErrorLine, StringComparison.Ordinal);
    }

    [Fact]
    public void Shows_and_reserves_huge_pages()
    {
        using FakeMachine machine = new();
        Assert.Equal(1, machine.Run("hugepages"));
        machine.AddHugePages(2048, 3);
        Assert.Equal(0, machine.Run("hugepages"));
        Assert.Equal(0, machine.Run("hugepages", "128"));
        machine.HugePageLimit = 200;
        Assert.Equal(1, machine.Run("hugepages", "500"));
        Assert.Equal(1, machine.Run("hugepages", "1", "--size", "1G"));
        Assert.Equal(["2 MiB: 3 pages, 3 free", "2 MiB: 128 pages, 128 free", "2 MiB: 200 pages, 200 free"], machine.Lines);
        Assert.Contains("200 of 500 pages", machine.Error.ToString(), StringComparison.Ordinal);
    }
}
