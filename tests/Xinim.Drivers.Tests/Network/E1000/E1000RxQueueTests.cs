using Xinim.Drivers.Network.E1000;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xinim.TestKit.Fakes;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>The receive ring: frames of all sizes, doorbells, refusals, want of buffers.</summary>
public sealed class E1000RxQueueTests
{
    private static readonly E1000Options s_small = new() { TxDescriptors = 64, RxDescriptors = 64 };

    [Theory]
    [MemberData(nameof(Kinds.AllAndQemu), MemberType = typeof(Kinds))]
    public void Frames_of_every_size_arrive_whole(E1000ModelKind kind, E1000Misbehaviour misbehaviour)
    {
        using E1000Bench bench = new E1000Bench(kind, misbehaviour: misbehaviour).Started(post: 512);
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        foreach (int bytes in (int[])[60, 61, 1514, 1518, 2047, 2048, 2049, 4095, 4096, 4097, 8192, 9017, 9018])
        {
            byte[] frame = Packets.Plain(bytes, bytes);
            Assert.True(bench.Model.Receive(frame));
            bench.Poll();
            Assert.Equal(frame, Assert.Single(bench.Client.TakeReceived()).Frame);
        }

        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }

    [Fact]
    public void Mtu_frames_above_the_largest_are_dropped_by_the_device_or_by_the_driver()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574).Started(post: 64);
        Assert.False(bench.Model.Receive(Packets.Plain(1519)));
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 4000 });
        Assert.True(bench.Model.Receive(Packets.Plain(4000)));
        Assert.True(bench.Model.Receive(Packets.Plain(4001)));
        bench.Poll();
        List<(NetBuffer Last, byte[] Frame)> received = bench.Client.TakeReceived();
        Assert.Equal(Packets.Plain(4000), received[0].Frame);
        Assert.All(received.Skip(1), part => Assert.Equal((NetFlags.Unused, 0u), (part.Last.Flags, part.Last.Length)));
        Assert.Equal(3, received.Count);
        Assert.Equal(1ul, bench.Driver.Statistics.RxDropped);
        bench.Driver.OnTimer();
        Assert.Equal(1ul, bench.Driver.Statistics.RxLengthErrors);
    }

    [Fact]
    public void Doorbells_are_saved_up_while_the_device_has_plenty()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, buffers: 1024).Started(post: 1024);
        bench.Model.ForgetAccesses();
        for (int i = 0; i < 64; i++)
        {
            Assert.True(bench.Model.Receive(Packets.Plain(60, i)));
            bench.Poll();
            Assert.Single(bench.Client.TakeReceived());
        }

        bench.Poll();
        Assert.Equal(1, bench.Model.Doorbells);
        Assert.Equal(0, bench.Model.Reads);
        Assert.Equal(1, bench.Model.Writes);
    }

    [Fact]
    public void The_last_buffers_reach_the_device_before_the_loop_sleeps()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started(post: 100);
        Assert.Equal(100u, bench.Model.ReceiveAvailable);
        Assert.True(bench.Model.Receive(Packets.Plain(60)));
        bench.Poll();
        Assert.Single(bench.Client.TakeReceived());
        bench.Poll();
        Assert.Equal(99u, bench.Model.ReceiveAvailable);
        bench.Driver.ArmInterrupts();
        Assert.Equal(100u, bench.Model.ReceiveAvailable);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(7)]
    public void A_client_with_few_buffers_is_never_starved(uint buffers)
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82545).Started(post: buffers);
        for (int i = 0; i < 500; i++)
        {
            Assert.True(bench.Model.Receive(Packets.Plain(60, i)), $"frame {i}");
            bench.Poll();
            Assert.Equal(Packets.Plain(60, i), Assert.Single(bench.Client.TakeReceived()).Frame);
            bench.Poll();
        }
    }

    [Fact]
    public void Want_of_buffers_is_counted_and_ends_when_buffers_come()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, s_small).Started(post: 4);
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        Assert.False(bench.Model.Receive(Packets.Plain(9018)));
        bench.Driver.OnTimer();
        Assert.Equal(1ul, bench.Driver.Statistics.RxMissed);
        bench.Client.Post(1, 4);
        bench.Driver.OnInterrupt(0);
        bench.Poll();
        Assert.True(bench.Model.Receive(Packets.Plain(9018)));
        bench.Poll();
        Assert.Equal(9018, Assert.Single(bench.Client.TakeReceived()).Frame.Length);
    }

    [Fact]
    public void A_frame_that_does_not_fit_the_clients_ring_waits_as_a_whole()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574, buffers: 16).Started(post: 16);
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        for (int i = 0; i < 3; i++) Assert.True(bench.Model.Receive(Packets.Plain(9018, i)));
        Assert.Equal(15u, bench.Driver.RxReturn(bench.Client.Driver.Received));
        for (int i = 0; i < 3; i++) bench.Client.PostRaw(new NetBuffer { Grant = bench.Client.RxGrant.Handle, Offset = (uint)i * 2048, Length = 2048, Cookie = (uint)i });
        bench.Driver.RxProvide(bench.Client.Driver.Free);
        bench.Driver.ArmInterrupts();
        Assert.True(bench.Model.Receive(Packets.Plain(4000, 9)));
        Assert.Equal(0u, bench.Driver.RxReturn(bench.Client.Driver.Received));
        Assert.Equal(3, bench.Client.TakeReceived(repost: false).Count);
        Assert.Equal(2u, bench.Driver.RxReturn(bench.Client.Driver.Received));
        Assert.Equal(Packets.Plain(4000, 9), Assert.Single(bench.Client.TakeReceived(repost: false)).Frame);
    }

    [Fact]
    public void Wrong_buffers_come_back_rejected_and_good_ones_still_work()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started();
        NetBuffer good = new() { Grant = bench.Client.RxGrant.Handle, Length = 2048, Cookie = 1 };
        bench.Client.PostRaw(
            good,
            good with { Grant = 7, Cookie = 2 },
            good with { Length = 2047, Cookie = 3 },
            good with { Grant = bench.Client.TxGrant.Handle, Cookie = 4 },
            good with { Offset = (1024 * FakeNetworkClient.Stride) - 2047, Cookie = 5 },
            good with { Offset = uint.MaxValue, Length = uint.MaxValue, Cookie = 6 });
        bench.Poll();
        bench.Poll();
        List<(NetBuffer Last, byte[] Frame)> refused = bench.Client.TakeReceived(repost: false);
        Assert.Equal([2ul, 3ul, 4ul, 5ul, 6ul], refused.Select(entry => entry.Last.Cookie));
        Assert.All(refused, entry => Assert.Equal(NetFlags.Rejected, entry.Last.Flags));
        Assert.True(bench.Model.Receive(Packets.Plain(60)));
        bench.Poll();
        Assert.Equal(1ul, Assert.Single(bench.Client.TakeReceived(repost: false)).Last.Cookie);
        Assert.Empty(bench.Model.Dma.Faults);
    }

    [Fact]
    public void Damaged_frames_come_back_unused()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, misbehaviour: E1000Misbehaviour.DamagedFrames).Started(post: 8);
        Assert.True(bench.Model.Receive(Packets.Plain(60)));
        bench.Poll();
        (NetBuffer last, byte[] frame) = Assert.Single(bench.Client.TakeReceived());
        Assert.Equal(NetFlags.Unused, last.Flags);
        Assert.Empty(frame);
        Assert.Equal(1ul, bench.Driver.Statistics.RxDropped);
    }

    [Fact]
    public void Polling_finds_all_that_came_not_only_the_newest()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574).Started(post: 512);
        for (int i = 0; i < 300; i++) Assert.True(bench.Model.Receive(Packets.Plain(60, i)));
        bench.Poll();
        Assert.Equal(Enumerable.Range(0, 300).Select(i => Packets.Plain(60, i)), bench.Client.TakeReceived().Select(entry => entry.Frame));
    }
}
