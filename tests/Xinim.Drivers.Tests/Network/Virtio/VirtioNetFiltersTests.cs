using System.Buffers.Binary;
using Xinim.Drivers.Network.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>The control queue [V §5.1.6.5]: what is sent for which filters, and what becomes of the answers.</summary>
public sealed class VirtioNetFiltersTests
{
    private static readonly VirtioNetOptions s_vlans = new() { VlanFilter = true };

    [Fact]
    public void Modes_addresses_and_offloads_are_set_in_their_formats()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        bench.Commands.Clear();
        NetworkFilters filters = new()
        {
            Flags = NetworkFilterFlags.Promiscuous | NetworkFilterFlags.AllMulticast | NetworkFilterFlags.RxChecksum,
            UnicastCount = 1,
            MulticastCount = 2,
        };
        filters.Unicast[0] = MacAddress.From([2, 1, 1, 1, 1, 1]);
        filters.Multicast[0] = MacAddress.From([0x33, 0x33, 0, 0, 0, 1]);
        filters.Multicast[1] = MacAddress.From([1, 0, 0x5e, 0, 0, 1]);
        bench.Driver.SetFilters(filters);
        Assert.Equal(
            [
                "0.0 01", "0.1 01",
                "1.0 0100000002010101010102000000" + "333300000001" + "01005e000001",
                "5.0 0200000000000000",
            ],
            Text(bench));
        bench.Commands.Clear();
        bench.Driver.SetFilters(default);
        Assert.Equal(["0.0 00", "0.1 00", "1.0 0000000000000000", "5.0 0000000000000000"], Text(bench));
        bench.AssertClean();
    }

    [Fact]
    public void Interrupts_are_gathered_where_the_user_wishes_it_and_a_device_that_refuses_goes_on()
    {
        VirtioNetOptions wish = new() { CoalesceMicroseconds = 300 };
        const VirtioFeatures able = VirtioNetBench.Everything | VirtioNetFeatures.Coalescing;
        using VirtioNetBench bench = new VirtioNetBench(able, wish).Started();
        Assert.Equal(["6.0 400000002c010000", "6.1 400000002c010000"], Text(bench).Where(command => command.StartsWith('6')));
        using VirtioNetBench refuses = new VirtioNetBench(able, wish) { Answer = (kind, _) => kind == 6 ? 1 : 0 }.Started();
        Assert.Contains(refuses.Log, line => line.Contains("300 µs", StringComparison.Ordinal));
        using VirtioNetBench unasked = new VirtioNetBench(able).Started();
        using VirtioNetBench unable = new VirtioNetBench(options: wish).Started();
        Assert.DoesNotContain(unasked.Commands.Concat(unable.Commands), command => command.Class == 6);
        bench.AssertClean();
    }

    [Fact]
    public void The_longest_table_fits()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        NetworkFilters filters = new() { UnicastCount = NetworkFilters.MaxUnicast, MulticastCount = NetworkFilters.MaxMulticast };
        for (int i = 0; i < NetworkFilters.MaxUnicast; i++) filters.Unicast[i] = MacAddress.From([2, 0, 0, 0, 0, (byte)i]);
        for (int i = 0; i < NetworkFilters.MaxMulticast; i++) filters.Multicast[i] = MacAddress.From([3, 0, 0, 0, 0, (byte)i]);
        bench.Commands.Clear();
        bench.Driver.SetFilters(filters);
        byte[] table = Assert.Single(bench.Commands, command => command.Class == 1).Data;
        Assert.Equal(8 + (79 * 6), table.Length);
        Assert.Equal(15u, BinaryPrimitives.ReadUInt32LittleEndian(table));
        Assert.Equal(64u, BinaryPrimitives.ReadUInt32LittleEndian(table.AsSpan(4 + 90)));
        bench.AssertClean();
    }

    [Fact]
    public void Vlans_are_told_one_by_one_and_only_those_that_change()
    {
        using VirtioNetBench bench = new VirtioNetBench(options: s_vlans).Started();
        Assert.Equal(Enumerable.Range(0, 4096).Select(id => ("2.0", id)), Vlans(bench)); // without a filter all are let through
        bench.Driver.SetFilters(Vlans(5, 100));
        Assert.Equal(Enumerable.Range(0, 4096).Where(id => id is not (5 or 100)).Select(id => ("2.1", id)), Vlans(bench));
        bench.Driver.SetFilters(Vlans(100, 4095));
        Assert.Equal([("2.1", 5), ("2.0", 4095)], Vlans(bench));
        bench.Driver.SetFilters(Vlans(100, 4095));
        Assert.Empty(Vlans(bench));
        bench.Driver.Detach();
        Assert.Equal([("2.0", 100), ("2.0", 4095)], Vlans(bench));
        bench.AssertClean();
    }

    [Fact]
    public void Without_the_commands_nothing_is_sent()
    {
        using VirtioNetBench bench = new VirtioNetBench(VirtioNetBench.Bus | VirtioNetFeatures.ControlQueue, s_vlans with { Mac = MacAddress.From([2, 0, 0, 0, 0, 1]) }).Started();
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.Promiscuous });
        Assert.Empty(bench.Commands);
        Assert.Contains("filters no VLANs", Refusal(bench, Vlans(1)), StringComparison.Ordinal);
    }

    [Fact]
    public void Commands_of_the_mac_class_need_ctrl_rx()
    {
        VirtioNetOptions options = new() { Mac = MacAddress.From([2, 0, 0, 0, 0, 1]) };
        using VirtioNetBench with = new VirtioNetBench(options: options).Started();
        Assert.Contains("1.1 020000000001", Text(with));
        using VirtioNetBench without = new VirtioNetBench(VirtioNetBench.Everything & ~VirtioNetFeatures.ControlReceive, options).Started();
        Assert.DoesNotContain(without.Commands, command => command.Class == 1); // [V §5.1.6.5.2.2]
    }

    [Fact]
    public void What_the_device_cannot_do_is_refused_with_the_reason()
    {
        using VirtioNetBench bench = new VirtioNetBench(VirtioNetBench.Everything | VirtioNetFeatures.Mtu).Started();
        bench.Commands.Clear();
        Assert.Contains("64 to 9018", Refusal(bench, new NetworkFilters { MaxFrame = 9019 }), StringComparison.Ordinal);
        Assert.Contains("64 to 9018", Refusal(bench, new NetworkFilters { MaxFrame = 63 }), StringComparison.Ordinal);
        Assert.Contains("15", Refusal(bench, new NetworkFilters { UnicastCount = 16 }), StringComparison.Ordinal);
        Assert.Contains("64", Refusal(bench, new NetworkFilters { MulticastCount = 65 }), StringComparison.Ordinal);
        Assert.Contains("VlanStrip", Refusal(bench, new NetworkFilters { Flags = NetworkFilterFlags.VlanStrip }), StringComparison.Ordinal);
        Assert.Contains("FlowControl", Refusal(bench, new NetworkFilters { Flags = NetworkFilterFlags.FlowControl }), StringComparison.Ordinal);
        Assert.Contains("0x80", Refusal(bench, new NetworkFilters { Flags = (NetworkFilterFlags)0x80 }), StringComparison.Ordinal);
        Assert.Contains("vlanFilter", Refusal(bench, Vlans(5)), StringComparison.Ordinal);
        NetworkFilters group = new() { UnicastCount = 1 };
        group.Unicast[0] = MacAddress.From([3, 0, 0, 0, 0, 1]);
        Assert.Contains("group address", Refusal(bench, group), StringComparison.Ordinal);
        NetworkFilters single = new() { MulticastCount = 1 };
        single.Multicast[0] = MacAddress.From(Packets.Peer);
        Assert.Contains("not a group", Refusal(bench, single), StringComparison.Ordinal);
        Assert.Empty(bench.Commands);
    }

    [Fact]
    public void A_refused_command_leaves_the_filters_as_they_were()
    {
        using VirtioNetBench bench = new VirtioNetBench(options: s_vlans).Started(post: 8);
        bench.Driver.SetFilters(Vlans(7));
        bench.Commands.Clear();
        bench.Answer = (_, command) => bench.Commands.Count == 10 ? 1 : 0; // the seventh VLAN of the new ones
        NetworkFilters more = Vlans(7, 20, 21, 22, 23, 24, 25, 26, 27) with { Flags = NetworkFilterFlags.VlanFilter | NetworkFilterFlags.Promiscuous, MaxFrame = 9018 };
        Assert.Contains("refuses VLAN 26", Refusal(bench, more), StringComparison.Ordinal);
        bench.Answer = (_, _) => 0;
        // The device was told to forget what it had been told by then.
        Assert.Equal(["0.0 00", "0.1 00", "1.0 0000000000000000", "2.1 1400", "2.1 1500", "2.1 1600", "2.1 1700", "2.1 1800", "2.1 1900", "5.0 0000000000000000"], Text(bench)[10..]);
        bench.Commands.Clear();
        bench.Driver.Detach();
        Assert.Equal("0.0 00", Text(bench)[0]);
        Assert.Equal([("2.0", 7)], Vlans(bench));
        bench.AssertClean();
    }

    [Fact]
    public void A_device_that_refuses_at_the_start_ends_it()
    {
        using VirtioNetBench table = new() { Answer = (kind, _) => kind == 1 ? 1 : 0 };
        Assert.Contains("VIRTIO_NET_ERR", Assert.Throws<ArgumentException>(() => table.Driver.Start()).Message, StringComparison.Ordinal);
        using VirtioNetBench mac = new(options: new VirtioNetOptions { Mac = MacAddress.From([2, 0, 0, 0, 0, 1]) }) { Answer = (kind, _) => kind == 1 ? 1 : 0 };
        Assert.Contains("02:00:00:00:00:01", Assert.Throws<DeviceFaultException>(() => mac.Driver.Start()).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, "answered with 2")]
    [InlineData(0xfe, "answered with 254")]
    [InlineData(-1, "answered with 255")]
    [InlineData(-2, "not answered within 2 s")]
    public void An_answer_that_is_none_is_a_fault(int answer, string named)
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        bench.Answer = (_, _) => answer;
        Assert.Contains(named, Assert.Throws<DeviceFaultException>(() => bench.Driver.SetFilters(default)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Filters_that_were_set_before_the_start_are_in_the_device_after_it()
    {
        using VirtioNetBench bench = new();
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.Promiscuous });
        Assert.Empty(bench.Commands);
        _ = bench.Started();
        Assert.Contains("0.0 01", Text(bench));
    }

    [Fact]
    public void A_vlan_filter_that_the_device_has_not_ends_the_start()
    {
        using VirtioNetBench bench = new(VirtioNetBench.Everything & ~VirtioNetFeatures.ControlVlan, s_vlans);
        bench.Driver.SetFilters(Vlans(5));
        Assert.Contains("filters no VLANs", Assert.Throws<ArgumentException>(() => bench.Driver.Start()).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(68, 86u)]
    [InlineData(1500, 1518u)]
    [InlineData(9000, 9018u)]
    [InlineData(65535, VirtioNetFilters.MostFrame)]
    public void The_mtu_limits_the_frame(ushort mtu, uint most)
    {
        using VirtioNetBench bench = WithMtu(mtu);
        Assert.Equal(most, bench.Driver.Start().MaxFrame);
        bench.Driver.Attach(bench.Client.Buffers);
        uint length = Math.Min(most, 1518);
        bench.Client.Send(Packets.Plain((int)length));
        bench.Client.Send(Packets.Plain((int)length + 1));
        bench.Poll();
        Assert.Equal(length, (uint)Assert.Single(bench.Sent).Frame.Length); // [V §5.1.4.2]
    }

    [Fact]
    public void An_mtu_that_cannot_be_is_a_fault()
    {
        using VirtioNetBench bench = WithMtu(67);
        Assert.Contains("mtu is 67", Assert.Throws<DeviceFaultException>(() => bench.Driver.Start()).Message, StringComparison.Ordinal);
    }

    private static VirtioNetBench WithMtu(ushort mtu)
    {
        byte[] config = VirtioNetBench.UsualConfig;
        BinaryPrimitives.WriteUInt16LittleEndian(config.AsSpan(10), mtu);
        return new VirtioNetBench(VirtioNetBench.Everything | VirtioNetFeatures.Mtu, device: options => options with { Config = config });
    }

    private static NetworkFilters Vlans(params ReadOnlySpan<int> ids)
    {
        NetworkFilters filters = new() { Flags = NetworkFilterFlags.VlanFilter };
        foreach (int id in ids) filters.Vlans[id / 32] |= 1u << (id % 32);
        return filters;
    }

    /// <summary>The VLAN commands since the last call.</summary>
    private static List<(string Command, int Id)> Vlans(VirtioNetBench bench)
    {
        List<(string, int)> vlans = [.. bench.Commands.Where(command => command.Class == 2).Select(command => ($"{command.Class}.{command.Command}", (int)BinaryPrimitives.ReadUInt16LittleEndian(command.Data)))];
        bench.Commands.Clear();
        return vlans;
    }

    private static string[] Text(VirtioNetBench bench) => [.. bench.Commands.Select(command => $"{command.Class}.{command.Command} {Convert.ToHexStringLower(command.Data)}")];

    private static string Refusal(VirtioNetBench bench, NetworkFilters filters) => Assert.Throws<ArgumentException>(() => bench.Driver.SetFilters(filters)).Message;
}
