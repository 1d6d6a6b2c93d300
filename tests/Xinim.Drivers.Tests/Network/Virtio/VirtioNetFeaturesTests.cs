using Xinim.Drivers.Network.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>What is accepted of what is offered, each feature on and off, and what depends on what [V §5.1.3.1].</summary>
public sealed class VirtioNetFeaturesTests
{
    public static TheoryData<int> Bits => [0, 1, 2, 3, 5, 11, 12, 16, 17, 18, 19, 21, 22, 23, 28, 29, 34, 35, 36, 40, 53, 56, 63];

    private static readonly VirtioNetOptions s_all = new() { Indirect = true, VlanFilter = true, CoalesceMicroseconds = 50 };

    [Theory]
    [MemberData(nameof(Bits))]
    public void Each_feature_is_taken_where_it_is_offered_and_only_there(int bit)
    {
        VirtioFeatures feature = (VirtioFeatures)(1ul << bit);
        Assert.Equal(feature, Accepted((VirtioFeatures)ulong.MaxValue, s_all) & feature);
        Assert.Equal(VirtioFeatures.None, Accepted((VirtioFeatures)ulong.MaxValue & ~feature, s_all) & feature);
    }

    [Fact]
    public void Nothing_else_is_taken()
    {
        VirtioFeatures known = VirtioNetBench.Bus;
        foreach (TheoryDataRow<int> bit in Bits) known |= (VirtioFeatures)(1ul << bit.Data);
        Assert.Equal(known, Accepted((VirtioFeatures)ulong.MaxValue, s_all));
    }

    [Theory]
    [InlineData(17, new[] { 2, 1, 18, 19, 21, 22, 23, 53 })] // CTRL_VQ
    [InlineData(0, new[] { 11, 12, 56 })] // CSUM
    [InlineData(2, new[] { 1 })] // CTRL_GUEST_OFFLOADS
    [InlineData(1, new[] { 2 })] // GUEST_CSUM
    [InlineData(16, new[] { 21 })] // STATUS
    public void What_depends_on_a_missing_feature_is_not_taken(int missing, int[] dependent)
    {
        VirtioFeatures accepted = Accepted((VirtioFeatures)(ulong.MaxValue & ~(1ul << missing)), s_all);
        Assert.All(dependent, bit => Assert.Equal(VirtioFeatures.None, accepted & (VirtioFeatures)(1ul << bit)));
        Assert.Equal(VirtioNetBench.Bus, accepted & VirtioNetBench.Bus);
    }

    [Fact]
    public void Options_leave_queue_features_and_the_vlan_filter_out()
    {
        VirtioNetOptions none = new() { Packed = false, Indirect = false, EventIndex = false, InOrder = false, VlanFilter = false };
        const VirtioFeatures gone = VirtioFeatures.RingPacked | VirtioFeatures.IndirectDescriptors | VirtioFeatures.EventIndex | VirtioFeatures.InOrder | VirtioNetFeatures.ControlVlan;
        Assert.Equal(VirtioFeatures.None, Accepted((VirtioFeatures)ulong.MaxValue, none) & gone);
        Assert.Equal(gone, Accepted((VirtioFeatures)ulong.MaxValue, s_all) & gone);
    }

    [Fact]
    public void Receive_checksums_are_left_out_where_the_user_says_so()
    {
        const VirtioFeatures both = VirtioNetFeatures.GuestChecksum | VirtioNetFeatures.ControlOffloads;
        Assert.Equal(VirtioFeatures.None, Accepted((VirtioFeatures)ulong.MaxValue, new VirtioNetOptions { RxChecksum = false }) & both);
        Assert.Equal(both, Accepted((VirtioFeatures)ulong.MaxValue, new VirtioNetOptions()) & (both | VirtioNetFeatures.Coalescing));
    }

    [Theory]
    [InlineData(0ul, NetFlags.None)]
    [InlineData(1ul, NetFlags.TcpChecksum | NetFlags.UdpChecksum | NetFlags.Ipv6)]
    [InlineData(1ul | 1ul << 11, NetFlags.TcpChecksum | NetFlags.UdpChecksum | NetFlags.Ipv6)]
    [InlineData(1ul | 1ul << 11 | 1ul << 12, NetFlags.TcpChecksum | NetFlags.UdpChecksum | NetFlags.Ipv6 | NetFlags.Segment)]
    [InlineData(1ul << 1, NetFlags.None)]
    [InlineData(1ul << 1 | 1ul << 2 | 1ul << 17, NetFlags.TransportChecksum | NetFlags.PartialChecksum)]
    public void Offloads_follow_from_features(ulong features, NetFlags offloads)
    {
        using VirtioNetBench bench = new(VirtioNetBench.Bus | (VirtioFeatures)features);
        Assert.Equal(offloads, bench.Driver.Start().Offloads);
        bench.AssertClean();
    }

    [Fact]
    public void A_device_of_nothing_but_the_bus_features_works()
    {
        using VirtioNetBench bench = new(VirtioNetBench.Bus, device: options => options with { Config = [], Queues = 2 });
        NetworkDeviceInfo info = bench.Driver.Start();
        Assert.Equal(2, ((ReadOnlySpan<byte>)info.Mac)[0] & 3);
        Assert.Equal(new LinkState(1, 0, 1), info.Link);
        Assert.Equal(VirtioNetFilters.MostFrame, info.MaxFrame);
        bench.AssertClean();
    }

    [Fact]
    public void A_device_that_offers_everything_there_is_gets_what_is_known()
    {
        using VirtioNetBench bench = new(device: options => options with { Misbehaviour = VirtioMisbehaviour.OffersEverything });
        _ = bench.Driver.Start();
        Assert.Equal(VirtioFeatures.None, bench.Model.Accepted & (VirtioFeatures)(1ul << 15 | 1ul << 30 | 1ul << 38 | 1ul << 39 | 1ul << 57 | 1ul << 60 | 1ul << 62));
        bench.AssertClean();
    }

    [Theory]
    [InlineData(VirtioMisbehaviour.RefusesFeatures, "does not accept the features")]
    [InlineData(VirtioMisbehaviour.StuckReset, "device_status")]
    [InlineData(VirtioMisbehaviour.NoQueues, "queue 0")]
    [InlineData(VirtioMisbehaviour.HugeQueueSize, "65536")]
    [InlineData(VirtioMisbehaviour.RestlessConfig, "config_generation")]
    [InlineData(VirtioMisbehaviour.RefusesVectors, "vector")]
    [InlineData(VirtioMisbehaviour.NeedsReset, "DEVICE_NEEDS_RESET")]
    public void A_device_that_breaks_the_bring_up_ends_the_start(VirtioMisbehaviour misbehaviour, string named)
    {
        using VirtioNetBench bench = new(device: options => options with { Misbehaviour = misbehaviour });
        Assert.Contains(named, Assert.Throws<DeviceFaultException>(() => bench.Driver.Start()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_split_queue_of_an_odd_size_is_a_fault_and_a_packed_one_is_rounded_down()
    {
        using VirtioNetBench split = new(VirtioNetBench.Bus, device: options => options with { Misbehaviour = VirtioMisbehaviour.OddQueueSize });
        Assert.Contains("255", Assert.Throws<DeviceFaultException>(() => split.Driver.Start()).Message, StringComparison.Ordinal);
        using VirtioNetBench packed = new(device: options => options with { Misbehaviour = VirtioMisbehaviour.OddQueueSize });
        Assert.Equal(128u, packed.Driver.Start().TxDescriptors);
    }

    [Fact]
    public void Another_type_of_device_is_refused()
    {
        using VirtioModel disk = new(new VirtioModelOptions(Drivers.Virtio.Transports.VirtioDeviceType.Block));
        using VirtioNetBench bench = new();
        Assert.Contains("type 2", Assert.Throws<DeviceFaultException>(() => new VirtioNetDriver(disk, bench.Arena, bench.Log.Add, new VirtioNetOptions())).Message, StringComparison.Ordinal);
    }

    private static VirtioFeatures Accepted(VirtioFeatures offered, VirtioNetOptions options)
    {
        using VirtioNetBench bench = new(offered, options);
        _ = bench.Driver.Start();
        bench.AssertClean();
        return bench.Model.Accepted;
    }
}
