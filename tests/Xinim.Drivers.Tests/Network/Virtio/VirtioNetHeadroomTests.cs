using Xinim.Drivers.Network.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.Fakes;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>Headers that lie before the frame, in the client's memory.</summary>
public sealed class VirtioNetHeadroomTests
{
    private const NetFlags Sum = NetFlags.TcpChecksum;
    private static readonly VirtioNetOptions s_noChecksum = new() { RxChecksum = false };

    [Theory]
    [InlineData(true, true, 12, 12)]
    [InlineData(true, false, 12, 0)] // the header says whether the checksum is right
    [InlineData(false, true, 0, 0)]
    public void The_driver_says_what_it_wants(bool headroom, bool noChecksum, int tx, int rx)
    {
        using VirtioNetBench bench = new(options: new VirtioNetOptions { Headroom = headroom, RxChecksum = !noChecksum });
        NetworkDeviceInfo info = bench.Driver.Start();
        Assert.Equal((tx, rx), (info.TxHeadroom, info.RxHeadroom));
        using VirtioNetBench lacks = new(VirtioNetBench.Everything & ~VirtioNetFeatures.GuestChecksum);
        Assert.Equal(12, lacks.Driver.Start().RxHeadroom);
    }

    [Theory]
    [InlineData(VirtioFeatures.None)]
    [InlineData(VirtioFeatures.RingPacked)]
    [InlineData(VirtioFeatures.RingPacked | VirtioFeatures.IndirectDescriptors)]
    public void A_frame_goes_with_its_header_in_one_part_and_each_further_buffer_is_one_more(VirtioFeatures layout)
    {
        using VirtioNetBench bench = Started(new VirtioNetOptions { Indirect = true }, VirtioNetBench.Bus | layout);
        bench.Client.Send(Packets.Plain(60, 1));
        bench.Client.Send(Packets.Plain(60, 2), pieces: 20);
        bench.Client.Headroom = NetFlags.None;
        bench.Client.Send(Packets.Plain(60, 3));
        bench.Client.Send(Packets.Plain(60, 4), pieces: 20);
        bench.Poll();
        Assert.Equal([1, 3, 2, 4], bench.SentParts);
        Assert.Equal([1, 2, 3, 4], bench.Sent.Select(sent => Enumerable.Range(1, 4).Single(i => Packets.Plain(60, i).SequenceEqual(sent.Frame))));
        Assert.All(bench.Sent, sent => Assert.Equal(new byte[12], sent.Header));
        Assert.All(bench.Client.TakeCompleted(), buffer => Assert.Equal(NetFlags.None, buffer.Flags));
        bench.AssertClean();
    }

    [Fact]
    public void A_frame_that_asks_for_something_has_a_header_of_the_drivers()
    {
        using VirtioNetBench bench = Started(new VirtioNetOptions());
        bench.Client.Send(Packets.Ip(100), new NetBuffer { Flags = Sum, LinkHeader = 14, NetworkHeader = 20 });
        bench.Poll();
        Assert.Equal([2], bench.SentParts);
        Assert.Equal(1, bench.Sent[0].Header[0]);
        Assert.Equal(Packets.Ip(100), bench.Sent[0].Frame);
        bench.AssertClean();
    }

    [Fact]
    public void What_a_client_writes_before_its_frame_goes_with_that_frame_and_with_no_other()
    {
        using VirtioNetBench bench = Started(new VirtioNetOptions());
        for (uint i = 0; i < 3; i++) bench.Client.Send(Packets.Plain(60, (int)i));
        bench.Client.TxPool.Memory!.Slice(FakeNetworkClient.OffsetOf(1) - 12, 12).Fill(0xee);
        bench.Poll();
        Assert.Equal([0, 0xee, 0], bench.Sent.Select(sent => (int)sent.Header[0]));
        bench.Client.Send(Packets.Ip(100), new NetBuffer { Flags = Sum, LinkHeader = 14, NetworkHeader = 20 });
        bench.Client.Headroom = NetFlags.None;
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        Assert.Equal((1, 0), (bench.Sent[3].Header[0], bench.Sent[4].Header[0]));
    }

    [Fact]
    public void Wrong_requests_come_back_and_good_ones_go_on()
    {
        using VirtioNetBench bench = Started(new VirtioNetOptions());
        NetBuffer good = new() { Grant = bench.Client.TxGrant.Handle, Offset = 12, Length = 60, Flags = NetFlags.Headroom };
        bench.Client.SendRaw(
            good with { Offset = 11, Cookie = 1 },
            good with { Offset = 0, Cookie = 2 },
            good with { Offset = (uint)bench.Client.TxPool.Size - 59, Cookie = 3 },
            good with { Offset = uint.MaxValue, Cookie = 4 },
            good with { Length = uint.MaxValue, Cookie = 5 },
            good with { Length = 13, Cookie = 6 },
            good with { Length = 1519, Cookie = 7 },
            good with { Grant = 77, Cookie = 8 },
            good with { Grant = bench.Client.RxGrant.Handle, Cookie = 9 },
            good with { Offset = 0, Flags = NetFlags.Headroom | NetFlags.More, Cookie = 10 },
            good with { Flags = NetFlags.None, Cookie = 11 },
            good with { Flags = NetFlags.More, Cookie = 12 },
            good with { Cookie = 13 }, // only the first buffer has a header
            good with { Offset = (uint)bench.Client.TxPool.Size - 60, Cookie = 14 },
            good with { Cookie = 15 });
        bench.Poll();
        Dictionary<ulong, NetFlags> back = bench.Client.TakeCompleted().ToDictionary(buffer => buffer.Cookie, buffer => buffer.Flags);
        Assert.Equal(15, back.Count);
        Assert.All(back, buffer => Assert.Equal(buffer.Key < 14 ? NetFlags.Rejected : NetFlags.None, buffer.Value));
        Assert.Equal([60, 60], bench.Sent.Select(sent => sent.Frame.Length));
        bench.AssertClean();
    }

    [Fact]
    public void Where_the_driver_wants_no_headroom_a_frame_with_it_comes_back_and_receive_goes_on()
    {
        using VirtioNetBench bench = Started(new VirtioNetOptions { Headroom = false }, post: 4);
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        Assert.Equal(NetFlags.Rejected, Assert.Single(bench.Client.TakeCompleted()).Flags);
        Assert.Empty(bench.Sent);
        Assert.True(bench.Receive(Packets.Plain(60, 5)));
        bench.Poll();
        Assert.Equal(Packets.Plain(60, 5), Assert.Single(bench.Client.TakeReceived()).Frame);
        Assert.Equal(new byte[12], Before(bench, 0));
        bench.AssertClean();
    }

    [Theory]
    [InlineData(1518u, 1)]
    [InlineData(3000u, 2)]
    public void A_received_header_lies_before_the_first_buffer_of_a_place(uint largest, int parts)
    {
        using VirtioNetBench bench = new(options: s_noChecksum) { Client = { Headroom = NetFlags.Headroom } };
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = largest });
        _ = bench.Started(post: 4);
        DevicePlace(bench, out int count, out uint room);
        Assert.Equal((parts, (uint)((2048 * parts) + 12)), (count, room));
        Assert.True(bench.Receive(Packets.Plain(1500, 7), flags: 2));
        bench.Poll();
        (NetBuffer last, byte[] frame) = bench.Client.TakeReceived().First(back => back.Last.Flags == NetFlags.None);
        Assert.Equal(Packets.Plain(1500, 7), frame);
        Assert.Equal(NetFlags.None, last.Flags);
        bench.AssertClean();
    }

    [Fact]
    public void Buffers_without_headroom_and_with_it_may_be_mixed()
    {
        using VirtioNetBench bench = new VirtioNetBench(options: s_noChecksum).Started();
        for (uint i = 0; i < 8; i++)
        {
            bench.Client.Headroom = i % 2 == 0 ? NetFlags.Headroom : NetFlags.None;
            bench.Client.Post(1, i);
        }

        bench.Poll();
        for (int i = 0; i < 8; i++) Assert.True(bench.Receive(Packets.Plain(100, i)));
        bench.Poll();
        Assert.Equal(Enumerable.Range(0, 8).Select(i => Packets.Plain(100, i)), bench.Client.TakeReceived().Select(back => back.Frame));
        // num_buffers of the header that the device wrote.
        for (uint i = 0; i < 8; i++) Assert.Equal(i % 2 == 0 ? 1 : 0, Before(bench, i)[10]);
        bench.AssertClean();
    }

    [Fact]
    public void Receive_buffers_that_are_wrong_come_back_and_good_ones_go_on()
    {
        using VirtioNetBench bench = new VirtioNetBench(options: s_noChecksum).Started();
        NetBuffer good = new() { Grant = bench.Client.RxGrant.Handle, Offset = 12, Length = 2048, Flags = NetFlags.Headroom };
        bench.Client.PostRaw(
            good with { Offset = 11, Cookie = 1 },
            good with { Grant = 99, Cookie = 2 },
            good with { Grant = bench.Client.TxGrant.Handle, Cookie = 3 },
            good with { Length = VirtioNetRx.MinBuffer - 1, Cookie = 4 },
            good with { Length = uint.MaxValue, Cookie = 5 },
            good with { Offset = (uint)bench.Client.RxPool.Size - 2047, Cookie = 6 },
            good with { Cookie = 7 });
        bench.Poll();
        Assert.True(bench.Receive(Packets.Plain(60)));
        Assert.False(bench.Receive(Packets.Plain(60)));
        bench.Poll();
        List<(NetBuffer Last, byte[] Frame)> back = bench.Client.TakeReceived(repost: false);
        Assert.Equal([1, 2, 3, 4, 5, 6, 7], back.Select(buffer => (int)buffer.Last.Cookie));
        Assert.All(back, buffer => Assert.Equal(buffer.Last.Cookie < 7 ? NetFlags.Rejected : NetFlags.None, buffer.Last.Flags));
        bench.AssertClean();
    }

    private static VirtioNetBench Started(VirtioNetOptions options, VirtioFeatures features = VirtioNetBench.Everything, uint post = 0)
        => new VirtioNetBench(features, options) { Client = { Headroom = NetFlags.Headroom } }.Started(post);

    private static byte[] Before(VirtioNetBench bench, uint buffer) => bench.Client.RxPool.Memory!.Slice(FakeNetworkClient.OffsetOf(buffer) - 12, 12).ToArray();

    /// <summary>What the device finds for a frame; used as one that is dropped.</summary>
    private static void DevicePlace(VirtioNetBench bench, out int parts, out uint room)
    {
        TestKit.Virtio.DeviceChain chain = bench.Model.Queue(VirtioNetBench.Rx)!.Pop()!;
        (parts, room) = (chain.Writable.Count, chain.WritableBytes);
        bench.Model.Queue(VirtioNetBench.Rx)!.Use(chain, 12);
    }
}
