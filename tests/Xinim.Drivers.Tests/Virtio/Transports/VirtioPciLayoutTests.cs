using Xinim.Drivers.Virtio.Transports;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Transports;

/// <summary>What a device may be, and where it may have its structures [V §4.1.2, §4.1.4].</summary>
public sealed class VirtioPciLayoutTests
{
    private const byte Common = VirtioPciCapability.CommonType, Notify = VirtioPciCapability.NotifyType, Isr = VirtioPciCapability.IsrType, Config = VirtioPciCapability.DeviceType;

    [Theory]
    [InlineData(0x1041, 0x1100, VirtioDeviceType.Network)]
    [InlineData(0x1042, 1, VirtioDeviceType.Block)]
    [InlineData(0x107f, 0, (VirtioDeviceType)0x3f)]
    [InlineData(0x1000, 1, VirtioDeviceType.Network)]
    [InlineData(0x1001, 2, VirtioDeviceType.Block)]
    [InlineData(0x103f, 3, VirtioDeviceType.Console)]
    public void The_type_stands_in_the_device_id_or_of_a_transitional_device_in_the_subsystem(ushort id, ushort subsystem, VirtioDeviceType type)
        => Assert.Equal(type, Open(With(id, subsystem)).Type);

    [Theory]
    [InlineData(0x1af4, 0x0fff)]
    [InlineData(0x1af4, 0x1080)]
    [InlineData(0x8086, 0x1041)]
    public void Other_ids_are_no_virtio_devices(ushort vendor, ushort id)
    {
        string message = Refusal(new VirtioPciModelOptions { Identity = new PciIdentity(vendor, id, 0, 0, 0x020000, 0) });
        Assert.Contains($"{vendor:x4}:{id:x4}, no virtio device", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_legacy_device_has_no_structures_and_is_refused_with_the_remedy()
    {
        Assert.Contains("disable-modern=off", Refusal(With(0x1000, 1) with { Capabilities = [] }), StringComparison.Ordinal);
        Assert.Contains("disable-modern=off", Refusal(With(0x1000, 1) with { HasList = false }), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Common, "common configuration")]
    [InlineData(Notify, "notification structure")]
    [InlineData(Isr, "ISR status")]
    [InlineData(Config, "device configuration")]
    public void A_structure_that_is_missing_is_named(byte type, string named)
        => Assert.Contains($"has no {named}", Refusal(new VirtioPciModelOptions { Capabilities = [.. VirtioPciModelOptions.Usual.Where(place => place.Type != type)] }), StringComparison.Ordinal);

    [Theory]
    [InlineData(Common, 55u)]
    [InlineData(Notify, 1u)]
    [InlineData(Isr, 0u)]
    [InlineData(Config, 0u)]
    public void A_structure_that_is_too_short_is_refused(byte type, uint length)
        => Assert.Contains($"has {length} bytes, at least", Refusal(Changed(type, place => place with { Length = length })), StringComparison.Ordinal);

    [Theory]
    [InlineData(Common, 2u)]
    [InlineData(Notify, 0x3001u)]
    [InlineData(Config, 0x2002u)]
    public void A_structure_that_is_misaligned_is_refused(byte type, uint offset)
        => Assert.Contains($"at 0x{offset:x} of BAR 4, no multiple of", Refusal(Changed(type, place => place with { Offset = offset, Length = 0x100 })), StringComparison.Ordinal);

    [Theory]
    [InlineData(Notify, 0x3000u, 0x1001u)]
    [InlineData(Config, 0x4000u, 4u)]
    [InlineData(Config, 0xffff_fffcu, 0xffff_ffffu)]
    [InlineData(Common, 0u, 0xffff_ffffu)]
    public void A_structure_outside_its_bar_is_refused(byte type, uint offset, uint length)
        => Assert.Contains("the BAR has 16384", Refusal(Changed(type, place => place with { Offset = offset, Length = length })), StringComparison.Ordinal);

    [Fact]
    public void A_structure_in_a_bar_that_there_is_not_is_refused()
        => Assert.Contains("BAR 2", Refusal(Changed(Common, place => place with { Bar = 2 }) with { Capabilities = [.. Changed(Common, place => place with { Bar = 2 }).Capabilities.Where(place => place.Type != VirtioPciCapability.AccessType)] }), StringComparison.Ordinal);

    [Fact]
    public void Of_several_of_one_kind_the_first_counts()
    {
        VirtioPciModelOptions options = new() { Capabilities = [.. VirtioPciModelOptions.Usual, new(Config, 4, 0x2800, 8), new(Common, 4, 0x2900, 4)], Config = [7] };
        byte[] first = new byte[1];
        Open(options).ReadConfig(0, first, 1);
        Assert.Equal(7, first[0]);
    }

    [Theory]
    [InlineData(6)]
    [InlineData(255)]
    public void One_in_a_reserved_bar_is_ignored(byte bar)
        => Assert.Equal(VirtioDeviceType.Network, Open(new VirtioPciModelOptions { Capabilities = [new(Common, bar, 1, 1), new(Notify, bar, 1, 1), .. VirtioPciModelOptions.Usual] }).Type);

    [Fact]
    public void One_of_a_reserved_kind_is_ignored_and_a_longer_one_is_not()
    {
        VirtioPciModelOptions options = new() { Capabilities = [new(9, 4, 1, 1), new(0, 4, 1, 1), .. VirtioPciModelOptions.Usual.Select(place => place with { Bytes = 64 })] };
        Assert.Equal(VirtioDeviceType.Network, Open(options).Type);
    }

    [Theory]
    [InlineData(Common, 15)]
    [InlineData(Notify, 16)]
    public void One_without_its_last_fields_is_none(byte type, byte bytes)
        => Assert.Contains("has no ", Refusal(Changed(type, place => place with { Bytes = bytes })), StringComparison.Ordinal);

    [Fact]
    public void A_list_that_loops_is_followed_once()
        => Assert.Equal(VirtioDeviceType.Network, Open(new VirtioPciModelOptions { Loops = true }).Type);

    [Fact]
    public void One_that_reaches_over_the_end_of_configuration_space_is_none()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions());
        model.Device.FakeConfig.Poke(0x34, 0xf8);
        model.Device.FakeConfig.Poke(0xf8, 0x09, 0x40, 16, Common, 4);
        Assert.Equal(VirtioDeviceType.Network, Open(model).Type);
    }

    [Fact]
    public void Where_no_bar_can_be_mapped_the_window_in_configuration_space_is_used()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Bars = new Dictionary<int, uint>(), Config = [1, 2, 3, 4], Features = 0x5_0000_0003 });
        VirtioPciTransport transport = Open(model);
        transport.Reset();
        byte[] bytes = new byte[4];
        transport.ReadConfig(0, bytes, 2);
        Assert.Equal([1, 2, 3, 4], bytes);
        Assert.Equal(0x5_0000_0003ul, (ulong)transport.ReadFeatures());
        transport.WriteConfig(1, [9]);
        Assert.Equal(9, model.Config[1]);
        transport.SetUpQueue(1, new VirtQueueMemory(64, new Iova(0x1000), new Iova(0x2000), new Iova(0x3000)), 2).Ring();
        Assert.Equal("doorbell 0x4 = 1", model.Events[^1]);
        Assert.NotEqual(0, model.WindowAccesses);
        Assert.Empty(model.Violations);
    }

    [Fact]
    public void Without_a_window_a_bar_that_cannot_be_mapped_is_a_fault()
        => Assert.Contains("BAR 4", Refusal(new VirtioPciModelOptions { Bars = new Dictionary<int, uint>(), Capabilities = [.. VirtioPciModelOptions.Usual.Where(place => place.Type != VirtioPciCapability.AccessType)] }), StringComparison.Ordinal);

    private static VirtioPciModelOptions With(ushort id, ushort subsystem) => new() { Identity = new PciIdentity(0x1af4, id, 0x1af4, subsystem, 0x020000, 0) };

    private static VirtioPciModelOptions Changed(byte type, Func<VirtioPciCapability, VirtioPciCapability> change)
        => new() { Capabilities = [.. VirtioPciModelOptions.Usual.Select(place => place.Type == type ? change(place) : place)] };

    private static VirtioPciTransport Open(VirtioPciModelOptions options) => Open(new VirtioPciModel(options));

    private static VirtioPciTransport Open(VirtioPciModel model) => new(model.Device, model.Device.EnableInterrupts(InterruptKind.MsiX, 3));

    private static string Refusal(VirtioPciModelOptions options) => Assert.Throws<DeviceFaultException>(() => Open(options)).Message;
}
