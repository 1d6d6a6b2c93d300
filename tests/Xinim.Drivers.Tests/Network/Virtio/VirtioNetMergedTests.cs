using Xinim.Drivers.Network.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>Received frames that go over several buffers of the queue [V §5.1.6.4], and that nobody has cut.</summary>
public sealed class VirtioNetMergedTests
{
    private const VirtioFeatures Large = VirtioNetBench.Everything | VirtioFeatures.IndirectDescriptors | VirtioNetFeatures.MergeBuffers | VirtioNetFeatures.GuestOffloads;
    private const byte NeedsChecksum = 1;

    /// <summary>Packed, event index, indirect, in order.</summary>
    public static TheoryData<int> Layouts => [.. Enumerable.Range(0, 16)];

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Frames_of_any_size_arrive_whole_over_as_many_buffers_as_they_need(int layout)
    {
        VirtioNetOptions options = new() { Packed = (layout & 1) != 0, EventIndex = (layout & 2) != 0, Indirect = (layout & 4) != 0, InOrder = (layout & 8) != 0 };
        using VirtioNetBench bench = New(options);
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        _ = bench.Started(post: 256);
        for (int round = 0; round < 40; round++)
        {
            int[] lengths = [14, 60, 2036, 2048, 2049, 2060, 4096, 9018, 1 + (round * 97 % 4000) + 14];
            foreach (int bytes in lengths) Assert.Equal((bytes + 12 + 2059) / 2060, bench.ReceiveMerged(Packets.Plain(bytes, bytes + round)));
            bench.Poll();
            Assert.Equal(lengths.Select(bytes => Packets.Plain(bytes, bytes + round)), bench.Client.TakeReceived().Select(frame => frame.Frame));
            bench.Poll();
        }

        Assert.Equal((360ul, 0ul), (bench.Driver.Statistics.RxFrames, bench.Driver.Statistics.RxDropped));
        bench.AssertClean();
    }

    [Theory]
    [InlineData(1, NetFlags.Segment | NetFlags.TcpChecksum)]
    [InlineData(4, NetFlags.Segment | NetFlags.TcpChecksum | NetFlags.Ipv6)]
    [InlineData(0x81, NetFlags.Segment | NetFlags.TcpChecksum | NetFlags.Congestion)]
    [InlineData(0x84, NetFlags.Segment | NetFlags.TcpChecksum | NetFlags.Ipv6 | NetFlags.Congestion)]
    [InlineData(3, NetFlags.Segment | NetFlags.UdpChecksum | NetFlags.Fragments)]
    [InlineData(5, NetFlags.Segment | NetFlags.UdpChecksum)]
    public void A_frame_that_nobody_has_cut_says_how_to_cut_it(byte kind, NetFlags told)
    {
        using VirtioNetBench bench = New().Started(post: 256);
        byte[] frame = Packets.Plain((int)NetBuffer.MaxSegmentedFrame, kind);
        Assert.Equal(32, bench.ReceiveMerged(frame, Segmented(kind)));
        bench.Poll();
        (NetBuffer last, byte[] received) = Assert.Single(bench.Client.TakeReceived());
        Assert.Equal(frame, received);
        NetBuffer first = bench.Client.FirstOfFrames[0];
        Assert.Equal((told | NetFlags.More, (ushort)1448, 54u), (first.Flags, first.SegmentSize, first.HeaderHint));
        Assert.Equal(NetFlags.Lead | NetFlags.PartialChecksum, last.Flags);
        bench.AssertClean();
    }

    [Fact]
    public void A_frame_of_one_buffer_says_both_in_it()
    {
        using VirtioNetBench bench = New().Started(post: 8);
        Assert.Equal(1, bench.ReceiveMerged(Packets.Plain(1600), Segmented(1)));
        bench.Poll();
        Assert.Equal(NetFlags.Segment | NetFlags.TcpChecksum | NetFlags.PartialChecksum, Assert.Single(bench.Client.TakeReceived()).Last.Flags);
    }

    public static TheoryData<string> Inconsistencies => ["kind", "size", "sum", "long", "short", "gsoTooLong"];

    [Theory]
    [MemberData(nameof(Inconsistencies))]
    public void What_is_not_consistent_comes_back_unused_is_counted_and_leaves_the_next_frame_alone(string what)
    {
        using VirtioNetBench bench = New().Started(post: 256);
        int length = what switch { "long" => 1519, "short" => 13, "gsoTooLong" => (int)NetBuffer.MaxSegmentedFrame + 1, _ => 6000 };
        int buffers = bench.ReceiveMerged(length < 14 ? new byte[length] : Packets.Plain(length), header =>
        {
            if (what is "kind" or "size" or "sum" or "gsoTooLong") Segmented(1)(header);
            if (what == "kind") header[1] = 2;
            if (what == "size") (header[4], header[5]) = (0, 0);
            if (what == "sum") header[0] = 0;
        });
        bench.ReceiveMerged(Packets.Plain(100));
        bench.Poll();
        List<(NetBuffer Last, byte[] Frame)> frames = bench.Client.TakeReceived();
        Assert.Equal(buffers + 1, frames.Count);
        Assert.All(frames.Take(buffers), frame => Assert.Equal((NetFlags.Unused, 0), (frame.Last.Flags, frame.Frame.Length)));
        Assert.Equal(Packets.Plain(100), frames[^1].Frame);
        Assert.Equal((1ul, 1ul), (bench.Driver.Statistics.RxFrames, bench.Driver.Statistics.RxDropped));
        bench.AssertClean();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(9)]
    [InlineData(255)]
    [InlineData(65535)]
    public void A_number_of_buffers_that_cannot_be_is_a_fault(int number)
    {
        using VirtioNetBench bench = New().Started(post: 8);
        bench.ReceiveMerged(Packets.Plain(60), header => (header[10], header[11]) = ((byte)number, (byte)(number >> 8)));
        Assert.Contains("num_buffers", Assert.Throws<DeviceFaultException>(bench.Poll).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void More_buffers_than_the_largest_frame_fills_are_a_fault()
    {
        using VirtioNetBench bench = New().Started(post: 256);
        bench.ReceiveMerged(Packets.Plain(60), header => header[10] = (byte)(VirtioNetRx.MaxPieces + 1));
        Assert.Throws<DeviceFaultException>(bench.Poll);
    }

    [Fact]
    public void A_frame_that_is_shorter_than_its_header_is_a_fault()
    {
        using VirtioNetBench bench = New().Started(post: 8);
        DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() =>
        {
            Assert.True(bench.Receive([], written: 11));
            bench.Poll();
        });
        Assert.Contains("11 bytes", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Of_a_frame_that_does_not_end_nothing_is_shown_and_the_device_is_given_up()
    {
        using VirtioNetBench bench = New().Started(post: 8);
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        bench.ReceiveMerged(Packets.Plain(9018), used: 4);
        bench.Poll();
        Assert.Empty(bench.Client.TakeReceived());
        for (int second = 1; second < 5; second++) bench.Driver.OnTimer();
        Assert.Contains("4 were used", Assert.Throws<DeviceFaultException>(bench.Driver.OnTimer).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_piece_of_no_bytes_is_not_consistent()
    {
        using VirtioNetBench bench = New().Started(post: 8);
        // The first buffer takes nothing but the header.
        Assert.Equal(7, bench.ReceiveMerged(Packets.Plain(72), room: 12));
        bench.Poll();
        Assert.All(bench.Client.TakeReceived(), frame => Assert.Equal(NetFlags.Unused, frame.Last.Flags));
        Assert.Equal(1ul, bench.Driver.Statistics.RxDropped);
    }

    [Fact]
    public void Pieces_may_be_of_any_size_and_end_within_their_lead()
    {
        using VirtioNetBench bench = New().Started(post: 64);
        for (int room = 13; room < 40; room++)
        {
            bench.ReceiveMerged(Packets.Plain(60 + (room % 3), room), room: room);
            bench.Poll();
            Assert.Equal(Packets.Plain(60 + (room % 3), room), Assert.Single(bench.Client.TakeReceived()).Frame);
            bench.Poll();
        }

        bench.AssertClean();
    }

    [Fact]
    public void A_whole_frame_waits_for_room_and_is_never_cut()
    {
        using VirtioNetBench bench = New(buffers: 16);
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        _ = bench.Started(post: 16);
        // More buffers than the ring to the client has room for; those that are posted twice are the first frame's.
        Assert.Equal(3, bench.ReceiveMerged(Packets.Plain(6000, 1)));
        bench.Poll();
        bench.Client.Post(3);
        bench.Poll();
        for (int i = 0; i < 3; i++) Assert.Equal(5, bench.ReceiveMerged(Packets.Plain(9000, i)));
        bench.Poll();
        Assert.Equal(13u, bench.Client.Client.Received.Peek(100));
        Assert.Equal([Packets.Plain(9000, 0), Packets.Plain(9000, 1)], bench.Client.TakeReceived(repost: false).Skip(1).Select(frame => frame.Frame));
        bench.Poll();
        Assert.Equal(Packets.Plain(9000, 2), Assert.Single(bench.Client.TakeReceived(repost: false)).Frame);
    }

    [Fact]
    public void Wrong_receive_buffers_come_back_and_good_ones_go_on()
    {
        using VirtioNetBench bench = New().Started();
        bench.Client.PostRaw(
            new NetBuffer { Grant = 77, Length = 2048, Cookie = 100 },
            new NetBuffer { Grant = bench.Client.RxGrant.Handle, Offset = 64, Length = 1517, Cookie = 101 },
            new NetBuffer { Grant = bench.Client.RxGrant.Handle, Offset = 64, Length = 2048, Cookie = 102 });
        bench.Poll();
        bench.ReceiveMerged(Packets.Plain(60));
        bench.Poll();
        Assert.Equal([NetFlags.Rejected, NetFlags.Rejected, NetFlags.None], bench.Client.TakeReceived(repost: false).Select(frame => frame.Last.Flags));
        bench.AssertClean();
    }

    [Fact]
    public void A_client_that_does_not_ask_gets_plain_frames_and_the_next_one_that_does_gets_large_ones()
    {
        using VirtioNetBench bench = new(Large);
        _ = bench.Started(post: 8);
        Assert.Equal(VirtioFeatures.None, bench.Model.Accepted & (VirtioNetFeatures.MergeBuffers | (VirtioNetFeatures.GuestOffloads & ~VirtioNetFeatures.GuestChecksum)));
        Assert.True(bench.Receive(Packets.Plain(60)));
        bench.Poll();
        Assert.Single(bench.Client.TakeReceived());
        bench.Driver.Detach();
        int resets = bench.Model.Resets;
        bench.Driver.Prepare(1, NetworkWishes.LargeReceive);
        bench.Driver.Prepare(1, NetworkWishes.LargeReceive);
        Assert.Equal(resets + 1, bench.Model.Resets);
        bench.Driver.Attach(bench.Client.Buffers);
        bench.Client.Post(8, first: 100);
        bench.Poll();
        Assert.Equal(2, bench.ReceiveMerged(Packets.Plain(3000), Segmented(1)));
        bench.Poll();
        Assert.Equal(Packets.Plain(3000), bench.Client.TakeReceived()[^1].Frame);
        Assert.Equal(2ul, bench.Driver.Statistics.RxFrames);
        // What the control queue switches is all that was agreed on.
        ulong switched = BitConverter.ToUInt64(bench.Commands.Last(command => command.Class == 5).Data);
        Assert.Equal((ulong)VirtioNetFeatures.GuestOffloads, switched);
        bench.Driver.Detach();
        bench.Driver.Prepare(1, NetworkWishes.None);
        Assert.Equal(VirtioFeatures.None, bench.Model.Accepted & VirtioNetFeatures.MergeBuffers);
        bench.AssertClean();
    }

    [Theory]
    [InlineData(1ul << 15, 1ul << 15)] // MRG_RXBUF alone
    [InlineData(1ul << 7 | 1ul << 1, 0ul)] // GUEST_TSO4 without
    [InlineData(1ul << 15 | 1ul << 7, 1ul << 15)] // without GUEST_CSUM
    [InlineData(1ul << 15 | 1ul << 1 | 1ul << 9, 1ul << 15 | 1ul << 1)] // GUEST_ECN without TSO
    [InlineData(1ul << 15 | 1ul << 1 | 1ul << 9 | 1ul << 8, 1ul << 15 | 1ul << 1 | 1ul << 9 | 1ul << 8)]
    public void Nothing_is_taken_without_what_it_depends_on(ulong offered, ulong taken)
    {
        using VirtioNetBench bench = new(VirtioNetBench.Bus | (VirtioFeatures)offered, device: options => options with { Queues = 2 }) { Wishes = NetworkWishes.LargeReceive };
        _ = bench.Started();
        Assert.Equal(taken, (ulong)(bench.Model.Accepted & ~VirtioNetBench.Bus));
        bench.AssertClean();
    }

    [Fact]
    public void A_queue_that_cannot_hold_the_largest_frame_is_not_asked_for_it()
    {
        using VirtioNetBench bench = New(new VirtioNetOptions { RxDescriptors = 64 });
        Assert.Equal(NetworkWishes.None, bench.Driver.Start().Able);
        bench.Driver.Prepare(1, NetworkWishes.LargeReceive);
        Assert.Equal(VirtioFeatures.None, bench.Model.Accepted & VirtioNetFeatures.MergeBuffers);
        using VirtioNetBench able = New();
        Assert.Equal(NetworkWishes.LargeReceive, able.Driver.Start().Able);
    }

    [Fact]
    public void A_hundred_thousand_frames_allocate_nothing()
    {
        using VirtioNetBench bench = New(new VirtioNetOptions { InOrder = false }).Started(post: 256);
        byte[] frame = Packets.Plain(60);
        Exchange(bench, frame, 3200);
        long[] allocated = [.. Enumerable.Range(0, 3).Select(_ => Exchange(bench, frame, 100_000))];
        Assert.Contains(0, allocated);
        Assert.Equal(303_200ul, bench.Driver.Statistics.RxFrames);
    }

    private static long Exchange(VirtioNetBench bench, byte[] frame, int frames)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int done = 0; done < frames; done += 32)
        {
            for (int i = 0; i < 32; i++)
                if (!bench.Receive(frame)) throw new InvalidOperationException("no room for a frame");
            bench.Poll();
            uint received = bench.Client.Client.Received.Peek(512);
            _ = bench.Client.Client.Free.Reserve(received);
            for (uint i = 0; i < received; i++)
            {
                ulong cookie = bench.Client.Client.Received.Read(i).Cookie;
                bench.Client.Client.Free[i] = new NetBuffer { Grant = bench.Client.RxGrant.Handle, Offset = FakeNetworkClient.OffsetOf((uint)cookie), Length = FakeNetworkClient.BufferBytes, Cookie = cookie };
            }

            bench.Client.Client.Received.Release(received);
            bench.Client.Client.Free.Publish(received);
        }

        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private static VirtioNetBench New(VirtioNetOptions? options = null, uint buffers = 512) => new(Large, options, buffers: buffers) { Wishes = NetworkWishes.LargeReceive };

    /// <summary>A header that says: segments of 1,448 bytes behind headers of 54 [V §5.1.6].</summary>
    private static Action<byte[]> Segmented(byte kind) => header => (header[0], header[1], header[2], header[4], header[5]) = (NeedsChecksum, kind, 54, 0xa8, 5);
}
