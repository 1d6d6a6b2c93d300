using System.Buffers.Binary;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>Address, VLAN and size filters, flow control.</summary>
public sealed class E1000FiltersTests
{
    [Theory]
    [MemberData(nameof(Kinds.All), MemberType = typeof(Kinds))]
    public void Mac_filter_takes_its_own_address_and_broadcast_only(E1000ModelKind kind)
    {
        using E1000Bench bench = new E1000Bench(kind).Started(post: 16);
        Assert.True(bench.Model.Receive(Packets.Plain(60)));
        Assert.True(bench.Model.Receive(Packets.Plain(60, to: Packets.Broadcast)));
        Assert.False(bench.Model.Receive(Packets.Plain(60, to: Packets.Peer)));
        Assert.False(bench.Model.Receive(Packets.Plain(60, to: Group(1))));
    }

    [Fact]
    public void Mac_filter_takes_fifteen_more_addresses_and_forgets_them()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started(post: 64);
        NetworkFilters filters = new() { UnicastCount = 15 };
        for (int i = 0; i < 15; i++) filters.Unicast[i] = MacAddress.From(Unicast(i));
        bench.Driver.SetFilters(filters);
        for (int i = 0; i < 15; i++) Assert.True(bench.Model.Receive(Packets.Plain(60, to: Unicast(i))));
        Assert.False(bench.Model.Receive(Packets.Plain(60, to: Unicast(15))));
        Assert.True(bench.Model.Receive(Packets.Plain(60)));
        bench.Driver.SetFilters(default);
        for (int i = 0; i < 15; i++) Assert.False(bench.Model.Receive(Packets.Plain(60, to: Unicast(i))));
        Assert.True(bench.Model.Receive(Packets.Plain(60)));
    }

    [Theory]
    [MemberData(nameof(Kinds.All), MemberType = typeof(Kinds))]
    public void Multicast_hash_takes_what_was_asked_for(E1000ModelKind kind)
    {
        using E1000Bench bench = new E1000Bench(kind).Started(post: 200);
        NetworkFilters filters = new() { MulticastCount = 64 };
        for (int i = 0; i < 64; i++) filters.Multicast[i] = MacAddress.From(Group(i));
        bench.Driver.SetFilters(filters);
        for (int i = 0; i < 64; i++) Assert.True(bench.Model.Receive(Packets.Plain(60, to: Group(i))), $"group {i}");
        Assert.False(bench.Model.Receive(Packets.Plain(60, to: Group(100))));
        bench.Driver.SetFilters(default);
        for (int i = 0; i < 64; i++) Assert.False(bench.Model.Receive(Packets.Plain(60, to: Group(i))));
    }

    [Fact]
    public void Promisc_support_and_allmulticast()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574).Started(post: 16);
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.AllMulticast });
        Assert.True(bench.Model.Receive(Packets.Plain(60, to: Group(9))));
        Assert.False(bench.Model.Receive(Packets.Plain(60, to: Packets.Peer)));
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.Promiscuous });
        Assert.True(bench.Model.Receive(Packets.Plain(60, to: Group(9))));
        Assert.True(bench.Model.Receive(Packets.Plain(60, to: Packets.Peer)));
        bench.Driver.SetFilters(default);
        Assert.False(bench.Model.Receive(Packets.Plain(60, to: Packets.Peer)));
    }

    [Theory]
    [MemberData(nameof(Kinds.AllAndQemu), MemberType = typeof(Kinds))]
    public void Vlan_strip_insert_and_filter(E1000ModelKind kind, E1000Misbehaviour misbehaviour)
    {
        using E1000Bench bench = new E1000Bench(kind, misbehaviour: misbehaviour).Started(post: 16);
        NetworkFilters filters = new() { Flags = NetworkFilterFlags.VlanStrip | NetworkFilterFlags.VlanFilter };
        filters.Vlans[100 / 32] |= 1u << (100 % 32);
        filters.Vlans[4094 / 32] |= 1u << (4094 % 32);
        bench.Driver.SetFilters(filters);
        Assert.False(bench.Model.Receive(Packets.Tagged(101, 80)));
        Assert.True(bench.Model.Receive(Packets.Tagged(0x6000 | 100, 80, 5)));
        Assert.True(bench.Model.Receive(Packets.Tagged(4094, 80)));
        Assert.True(bench.Model.Receive(Packets.Plain(80, 6)));
        bench.Poll();
        List<(NetBuffer Last, byte[] Frame)> received = bench.Client.TakeReceived();
        Assert.Equal(Packets.Plain(76, 5), received[0].Frame);
        Assert.Equal((NetFlags.Vlan, (ushort)(0x6000 | 100)), (received[0].Last.Flags, received[0].Last.VlanTag));
        Assert.Equal((NetFlags.None, (ushort)0), (received[2].Last.Flags, received[2].Last.VlanTag));

        bench.Client.Send(Packets.Plain(76, 5), new NetBuffer { Flags = NetFlags.Vlan, VlanTag = 0x6000 | 100 });
        bench.Client.Send(Packets.Plain(1514, 8), new NetBuffer { Flags = NetFlags.Vlan, VlanTag = 7 }, pieces: 400);
        bench.Client.Send(Packets.Plain(76, 9));
        bench.Poll();
        Assert.Equal([Packets.Tagged(0x6000 | 100, 80, 5), Packets.Tagged(7, 1518, 8), Packets.Plain(76, 9)], bench.Model.Sent);
        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void Dual_vlan_an_inner_tag_stays_in_the_frame()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started(post: 16);
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.VlanStrip });
        byte[] inner = Packets.Tagged(200, 96, 1);
        byte[] outer = [.. inner[..12], 0x81, 0x00, 0x00, 0x64, .. inner[12..]];
        Assert.True(bench.Model.Receive(outer));
        bench.Poll();
        (NetBuffer last, byte[] frame) = Assert.Single(bench.Client.TakeReceived());
        Assert.Equal(inner, frame);
        Assert.Equal(100, last.VlanTag);
    }

    [Fact]
    public void Tags_stay_in_the_frame_without_vlan_strip()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574).Started(post: 16);
        byte[] frame = Packets.Tagged(5, 80);
        Assert.True(bench.Model.Receive(frame));
        bench.Client.Send(frame);
        bench.Poll();
        Assert.Equal(frame, Assert.Single(bench.Client.TakeReceived()).Frame);
        Assert.Equal(frame, Assert.Single(bench.Model.Sent));
    }

    [Theory]
    [MemberData(nameof(Kinds.All), MemberType = typeof(Kinds))]
    public void Flow_control_sets_address_thresholds_and_switches(E1000ModelKind kind)
    {
        using E1000Bench bench = new E1000Bench(kind).Started();
        const uint both = (1u << 27) | (1u << 28);
        Assert.Equal(0u, bench.Model.Peek(0) & both);
        Assert.Equal(0u, bench.Model.Peek(0x2168));
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.FlowControl });
        Assert.Equal(both, bench.Model.Peek(0) & both);
        Assert.Equal(0x00c28001u, bench.Model.Peek(0x28));
        Assert.Equal(0x0100u, bench.Model.Peek(0x2c));
        Assert.Equal(0x8808u, bench.Model.Peek(0x30));
        Assert.Equal(0xffffu, bench.Model.Peek(0x170));
        uint buffer = (bench.Model.Peek(0x1000) & 0xffff) << 10;
        Assert.InRange(bench.Model.Peek(0x2168), bench.Model.Peek(0x2160) & 0xfff8, buffer - 1518);
        bool xon = kind is E1000ModelKind.I82544 or E1000ModelKind.I82574;
        Assert.Equal(xon, (bench.Model.Peek(0x2160) & (1u << 31)) != 0);
        bench.Driver.SetFilters(default);
        Assert.Equal(0u, bench.Model.Peek(0) & both);
    }

    [Fact]
    public void What_the_device_cannot_do_is_refused_with_the_reason()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started();
        Assert.Contains("9018", Refusal(new NetworkFilters { MaxFrame = 9019 }));
        Assert.Contains("64", Refusal(new NetworkFilters { MaxFrame = 63 }));
        Assert.Contains("15", Refusal(new NetworkFilters { UnicastCount = 16 }));
        Assert.Contains("64", Refusal(new NetworkFilters { MulticastCount = 65 }));
        Assert.Contains("0x3f", Refusal(new NetworkFilters { Flags = (NetworkFilterFlags)0x80 }));
        NetworkFilters group = new() { UnicastCount = 1 };
        group.Unicast[0] = MacAddress.From(Group(1));
        Assert.Contains("group address", Refusal(group));
        NetworkFilters single = new() { MulticastCount = 1 };
        single.Multicast[0] = MacAddress.From(Packets.Peer);
        Assert.Contains("not a group", Refusal(single));

        string Refusal(NetworkFilters filters) => Assert.Throws<ArgumentException>(() => bench.Driver.SetFilters(filters)).Message;
    }

    [Fact]
    public void Filters_that_are_set_before_the_start_hold_after_it()
    {
        using E1000Bench bench = new(E1000ModelKind.I82540);
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.Promiscuous });
        Assert.Equal(0, bench.Model.Writes);
        bench.Started(post: 4);
        Assert.True(bench.Model.Receive(Packets.Plain(60, to: Packets.Peer)));
        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void The_same_filters_again_leave_the_receiver_alone()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started(post: 4);
        bench.Model.Poke(0x0100, bench.Model.Peek(0x0100) | (1u << 30));
        bench.Driver.SetFilters(default);
        Assert.NotEqual(0u, bench.Model.Peek(0x0100) & (1u << 30));
    }

    private static byte[] Unicast(int n) => [0x02, 0x11, 0x22, 0x33, 0x44, (byte)n];

    private static byte[] Group(int n)
    {
        byte[] address = [0x01, 0x00, 0x5e, 0, 0, 0];
        BinaryPrimitives.WriteUInt16BigEndian(address.AsSpan(4), (ushort)(n * 251));
        return address;
    }
}
