using Xinim.Drivers.Network.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>Frames both ways, over each layout of the queues with each of their features on and off.</summary>
public sealed class VirtioNetDataTests
{
    /// <summary>Packed, event index, indirect, in order, headroom.</summary>
    public static TheoryData<int> Layouts => [.. Enumerable.Range(0, 32)];

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Frames_of_one_buffer_and_of_many_arrive_as_they_were_sent(int layout)
    {
        using VirtioNetBench bench = New(layout).Started(post: 256);
        const int batch = 32;
        for (int done = 0; done < 1024; done += batch)
        {
            for (int i = 0; i < batch; i++)
            {
                int bytes = 14 + ((done + (i * 47)) % 1505);
                bench.Client.Send(Packets.Plain(bytes, i), pieces: i % 3 == 0 ? 33 : 2048);
                Assert.True(bench.Receive(Packets.Plain(bytes, i + 1)));
            }

            bench.Poll();
            bench.Poll();
            List<(NetBuffer Last, byte[] Frame)> received = Frames(bench);
            Assert.Equal(batch, received.Count);
            Assert.Equal(batch, bench.Sent.Count);
            for (int i = 0; i < batch; i++)
            {
                int bytes = 14 + ((done + (i * 47)) % 1505);
                Assert.Equal(Packets.Plain(bytes, i), bench.Sent[i].Frame);
                Assert.Equal(new byte[VirtioNetBench.HeaderBytes], bench.Sent[i].Header);
                Assert.Equal(Packets.Plain(bytes, i + 1), received[i].Frame);
            }

            bench.Sent.Clear();
            Assert.All(bench.Client.TakeCompleted(), buffer => Assert.Equal(NetFlags.None, buffer.Flags));
        }

        Assert.Equal(0, bench.Client.TxOutstanding);
        Assert.False(bench.Driver.TxBusy);
        NetworkStatistics statistics = bench.Driver.Statistics;
        Assert.Equal((1024ul, 1024ul, 0ul, 0ul), (statistics.TxFrames, statistics.RxFrames, statistics.RxDropped, statistics.TxRejected));
        Assert.Equal(statistics.TxBytes, statistics.RxBytes);
        bench.AssertClean();
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Jumbo_frames_go_over_several_buffers_both_ways(int layout)
    {
        using VirtioNetBench bench = New(layout);
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        _ = bench.Started(post: 256);
        foreach (int bytes in (int[])[60, 2048, 2049, 4096, 9018])
        {
            bench.Client.Send(Packets.Plain(bytes, bytes));
            Assert.True(bench.Receive(Packets.Plain(bytes, bytes)));
            bench.Poll();
            bench.Poll();
            Assert.Equal(Packets.Plain(bytes, bytes), bench.Sent[^1].Frame);
            Assert.Equal(Packets.Plain(bytes, bytes), Assert.Single(Frames(bench)).Frame);
        }

        bench.AssertClean();
    }

    [Fact]
    public void An_ordinary_frame_takes_one_buffer()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started(post: 8);
        for (int i = 0; i < 8; i++) Assert.True(bench.Receive(Packets.Tagged(5, 1518, i)));
        bench.Poll();
        Assert.Equal(8, bench.Client.TakeReceived().Count(frame => (frame.Last.Flags & NetFlags.Unused) == 0));
    }

    [Fact]
    public void A_batch_costs_one_doorbell_and_one_that_nobody_wants_none()
    {
        using VirtioNetBench bench = new VirtioNetBench(VirtioNetBench.Everything & ~VirtioFeatures.EventIndex).Started();
        int before = bench.Model.Notified[VirtioNetBench.Tx];
        for (int i = 0; i < 32; i++) bench.Client.Send(Packets.Plain(60, i));
        bench.Poll();
        Assert.Equal(before + 1, bench.Model.Notified[VirtioNetBench.Tx]);
        Assert.Equal(32, bench.Sent.Count);
        bench.Model.Queue(VirtioNetBench.Tx)!.WantNotifications(false);
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        Assert.Equal(before + 1, bench.Model.Notified[VirtioNetBench.Tx]);
        bench.Transmit();
        Assert.Equal(33, bench.Sent.Count);
    }

    [Fact]
    public void A_full_queue_takes_the_rest_when_there_is_room()
    {
        using VirtioNetBench bench = new VirtioNetBench(options: new VirtioNetOptions { TxDescriptors = 16, RxDescriptors = 16 }) { TransmitAtOnce = false }.Started(post: 64);
        for (int i = 0; i < 100; i++) bench.Client.Send(Packets.Plain(60, i), pieces: i % 2 == 0 ? 20 : 2048);
        for (int rounds = 0; bench.Sent.Count < 100 && rounds < 100; rounds++)
        {
            bench.Poll();
            bench.Transmit();
        }

        bench.Poll();
        Assert.Equal(Enumerable.Range(0, 100).Select(i => Packets.Plain(60, i)), bench.Sent.Select(sent => sent.Frame));
        Assert.Equal(200, bench.Client.TakeCompleted().Count);
        bench.AssertClean();
    }

    [Fact]
    public void Completions_wait_for_room_in_the_clients_ring()
    {
        using VirtioNetBench bench = new VirtioNetBench(buffers: 16).Started();
        for (int i = 0; i < 16; i++) bench.Client.Send(Packets.Plain(60, i));
        bench.Poll();
        Assert.Equal(16u, bench.Client.Client.Completed.Peek(100));
        bench.Client.SendRaw(
            new NetBuffer { Grant = bench.Client.TxGrant.Handle, Length = 30, Cookie = 100, Flags = NetFlags.More },
            new NetBuffer { Grant = bench.Client.TxGrant.Handle, Length = 30, Cookie = 101 },
            new NetBuffer { Grant = 77, Length = 60, Cookie = 102 });
        bench.Poll();
        Assert.Equal(16u, bench.Client.Client.Completed.Peek(100));
        Assert.Equal(16, bench.Client.TakeCompleted().Count);
        bench.Poll();
        Assert.Equal([100ul, 101ul, 102ul], bench.Client.TakeCompleted().Select(buffer => buffer.Cookie).Order());
    }

    [Fact]
    public void Received_frames_wait_for_room_and_are_never_cut()
    {
        using VirtioNetBench bench = new(buffers: 16);
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        _ = bench.Started(post: 16);
        Assert.True(bench.Receive(Packets.Plain(9018, 1)));
        Assert.True(bench.Receive(Packets.Plain(9018, 2)));
        bench.Poll();
        bench.Poll();
        Assert.Equal([Packets.Plain(9018, 1), Packets.Plain(9018, 2)], Frames(bench).Select(frame => frame.Frame));
        bench.AssertClean();
    }

    [Fact]
    public void Checksum_results_are_told_only_where_they_are_asked_for()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started(post: 64);
        Assert.Equal(NetFlags.None, Told(0));
        Assert.Equal(NetFlags.None, Told(2));
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.RxChecksum });
        Assert.Equal(NetFlags.None, Told(0));
        Assert.Equal(NetFlags.PartialChecksum, Told(1));
        Assert.Equal(NetFlags.TransportChecksum, Told(2));
        Assert.Equal(NetFlags.None, Told(0xfc)); // bits that nobody knows are ignored [V §5.1.6.4.2]

        NetFlags Told(byte flags)
        {
            Assert.True(bench.Receive(Packets.Ip(100), flags));
            bench.Poll();
            return Assert.Single(Frames(bench)).Last.Flags;
        }
    }

    [Theory]
    [InlineData(4u)]
    [InlineData(8u)]
    public void Small_queues_limit_the_frame_and_work(uint entries)
    {
        using VirtioNetBench bench = new(options: new VirtioNetOptions { TxDescriptors = entries, RxDescriptors = entries });
        uint most = bench.Driver.Start().MaxFrame;
        Assert.InRange(most, 1518u, (entries - 1) * 2048);
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = most });
        Assert.Throws<ArgumentException>(() => bench.Driver.SetFilters(new NetworkFilters { MaxFrame = most + 1 }));
        bench.Driver.Attach(bench.Client.Buffers);
        bench.Client.Post(64);
        bench.Poll();
        for (int i = 0; i < 10; i++)
        {
            Assert.True(bench.Receive(Packets.Plain((int)most, i)));
            bench.Poll();
            Assert.Equal(Packets.Plain((int)most, i), Assert.Single(Frames(bench)).Frame);
            bench.Poll();
        }

        bench.AssertClean();
    }

    [Fact]
    public void A_queue_of_one_entry_is_a_fault_and_one_of_two_works()
    {
        using VirtioNetBench one = new(device: options => options with { QueueSize = 1 });
        Assert.Contains("1 entries", Assert.Throws<DeviceFaultException>(() => one.Driver.Start()).Message, StringComparison.Ordinal);
        using VirtioNetBench two = new VirtioNetBench(device: options => options with { QueueSize = 2 }).Started(post: 4);
        two.Client.Send(Packets.Plain(1518));
        Assert.True(two.Receive(Packets.Plain(1518)));
        two.Poll();
        Assert.Single(two.Sent);
        Assert.Single(Frames(two));
        two.AssertClean();
    }

    private static VirtioNetBench New(int layout)
    {
        VirtioNetOptions options = new() { Packed = (layout & 1) != 0, EventIndex = (layout & 2) != 0, Indirect = (layout & 4) != 0, InOrder = (layout & 8) != 0 };
        bool headroom = (layout & 16) != 0;
        return new VirtioNetBench(VirtioNetBench.Everything | VirtioFeatures.IndirectDescriptors, options with { RxChecksum = !headroom })
        {
            Client = { Headroom = headroom ? NetFlags.Headroom : NetFlags.None },
        };
    }

    /// <summary>Buffers that a place had beyond its frame come back unused.</summary>
    private static List<(NetBuffer Last, byte[] Frame)> Frames(VirtioNetBench bench) => [.. bench.Client.TakeReceived().Where(frame => (frame.Last.Flags & NetFlags.Unused) == 0)];
}
