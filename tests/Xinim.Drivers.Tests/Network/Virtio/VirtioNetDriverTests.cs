using Xinim.Drivers.Network.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>Start, link, announcements, interrupts, and the ways to an end; devices that lie.</summary>
public sealed class VirtioNetDriverTests
{
    [Fact]
    public void The_device_says_what_it_is()
    {
        using VirtioNetBench bench = new(VirtioNetBench.Everything | VirtioNetFeatures.Mtu);
        NetworkDeviceInfo info = bench.Driver.Start();
        Assert.Equal("52:54:00:12:34:56", info.Mac.ToString());
        Assert.Equal(new LinkState(1, 10_000, 1), info.Link);
        Assert.Equal((9018u, 256u, 256u, 3, 1u), (info.MaxFrame, info.TxDescriptors, info.RxDescriptors, info.VectorsUsed, info.SumWithLength));
        Assert.Contains("packed", Assert.Single(bench.Log), StringComparison.Ordinal);
        bench.AssertClean();
    }

    [Fact]
    public void Speed_and_duplex_that_are_not_known_are_not_told()
    {
        byte[] config = VirtioNetBench.UsualConfig;
        (config[15], config[16]) = (0x80, 7);
        using VirtioNetBench bench = new(device: options => options with { Config = config });
        Assert.Equal(new LinkState(1, 0, 0), bench.Driver.Start().Link); // [V §5.1.4.2]
    }

    [Fact]
    public void An_address_of_ones_own_is_the_same_for_every_driver_of_a_device_and_local()
    {
        const VirtioFeatures without = VirtioNetBench.Everything & ~VirtioNetFeatures.Mac;
        using VirtioNetBench first = new(without);
        using VirtioNetBench second = new(without);
        MacAddress mac = first.Driver.Start().Mac;
        Assert.Equal(mac.ToString(), second.Driver.Start().Mac.ToString());
        Assert.Equal(2, ((ReadOnlySpan<byte>)mac)[0] & 3); // [V §5.1.4.2]
        using VirtioNetBench told = new(without, new VirtioNetOptions { Mac = MacAddress.From([2, 3, 4, 5, 6, 7]) });
        Assert.Equal("02:03:04:05:06:07", told.Driver.Start().Mac.ToString());
    }

    [Theory]
    [InlineData(3)]
    [InlineData(1)]
    [InlineData(0)]
    public void A_change_of_the_link_is_seen_by_interrupt_whatever_the_vectors_are(int vectors)
    {
        using VirtioNetBench bench = new VirtioNetBench(device: options => options with { Vectors = vectors }).Started();
        bench.Model.Interrupt = vector => bench.Driver.OnInterrupt(vector);
        Assert.Equal(1u, bench.Driver.Link.Up);
        Change(0);
        Assert.Equal(LinkState.Down, bench.Driver.Link);
        Change(1);
        Assert.Equal(new LinkState(1, 10_000, 1), bench.Driver.Link);
        Assert.Equal(2ul, bench.Driver.Statistics.Interrupts);

        void Change(byte status)
        {
            bench.Model.ChangeConfig(6, [status, 0]);
            if (vectors == 0) bench.Driver.OnInterrupt(0);
        }
    }

    [Fact]
    public void A_queues_interrupt_does_not_look_at_the_configuration_and_the_timer_does()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        bench.Model.ChangeConfig(6, [0, 0]);
        bench.Driver.OnInterrupt(1);
        Assert.Equal(1u, bench.Driver.Link.Up);
        bench.Driver.OnTimer();
        Assert.Equal(0u, bench.Driver.Link.Up);
    }

    [Theory]
    [InlineData(VirtioFeatures.None)]
    [InlineData(VirtioFeatures.EventIndex)]
    [InlineData(VirtioFeatures.RingPacked)]
    [InlineData(VirtioFeatures.RingPacked | VirtioFeatures.EventIndex)]
    public void Interrupts_come_when_they_are_armed_and_not_otherwise(VirtioFeatures queues)
    {
        using VirtioNetBench bench = new VirtioNetBench(VirtioNetBench.Bus | queues, device: options => options with { Queues = 2 }).Started(post: 64);
        for (int i = 0; i < 5; i++)
        {
            int before = bench.Model.Raised[1];
            Assert.True(bench.Receive(Packets.Plain(60)));
            Assert.Equal(before, bench.Model.Raised[1]);
            bench.Poll();
            bench.Driver.ArmInterrupts();
            Assert.True(bench.Receive(Packets.Plain(60)));
            Assert.Equal(before + 1, bench.Model.Raised[1]);
            bench.Driver.OnInterrupt(1);
            Assert.True(bench.Receive(Packets.Plain(60)));
            Assert.Equal(before + 1, bench.Model.Raised[1]);
            bench.Poll();
            _ = bench.Client.TakeReceived();
        }

        bench.TransmitAtOnce = false;
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        bench.Driver.ArmInterrupts();
        bench.Transmit();
        Assert.Equal(1, bench.Model.Raised[2]);
        bench.AssertClean();
    }

    [Fact]
    public void An_announcement_is_sent_and_acknowledged()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        bench.Model.Interrupt = vector => bench.Driver.OnInterrupt(vector);
        bench.Commands.Clear();
        bench.Answer = (kind, _) =>
        {
            if (kind == 3) bench.Model.Interrupt = null;
            return 0;
        };
        bench.Model.ChangeConfig(6, [3, 0]);
        byte[] frame = Assert.Single(bench.Sent).Frame;
        Assert.Equal("ffffffffffff525400123456" + "8035" + "00010800060400" + "03" + "52540012345600000000" + "52540012345600000000", Convert.ToHexStringLower(frame)[..84]);
        Assert.Equal(60, frame.Length);
        Assert.Equal((3, 0), (Assert.Single(bench.Commands).Class, bench.Commands[0].Command));
        bench.AssertClean();
    }

    [Fact]
    public void An_announcement_that_was_sent_is_no_stall()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        bench.Model.ChangeConfig(6, [3, 0]);
        bench.Driver.OnTimer();
        Assert.Single(bench.Sent);
        bench.Model.ChangeConfig(6, [1, 0]);
        for (int i = 0; i < 20; i++)
        {
            bench.Poll();
            bench.Driver.OnTimer();
        }

        Assert.False(bench.Driver.TxBusy);
        Assert.Empty(bench.Client.TakeCompleted());
    }

    [Fact]
    public void Without_the_features_nobody_announces()
    {
        using VirtioNetBench bench = new VirtioNetBench(VirtioNetBench.Everything & ~VirtioNetFeatures.Announce).Started();
        bench.Model.ChangeConfig(6, [3, 0]);
        bench.Driver.OnTimer();
        Assert.Empty(bench.Sent);
    }

    [Fact]
    public void Frames_that_are_too_long_or_too_short_are_dropped_and_counted()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started(post: 64);
        Assert.True(bench.Receive(new byte[13]));
        Assert.True(bench.Receive(Packets.Plain(1519)));
        Assert.True(bench.Receive([]));
        Assert.True(bench.Receive(Packets.Plain(14)));
        bench.Poll();
        List<(NetBuffer Last, byte[] Frame)> back = bench.Client.TakeReceived();
        Assert.Equal([14], back.Where(frame => frame.Last.Flags == NetFlags.None).Select(frame => frame.Frame.Length));
        Assert.All(back.Where(frame => frame.Last.Flags != NetFlags.None), frame => Assert.Equal((NetFlags.Unused, 0u), (frame.Last.Flags, frame.Last.Length)));
        Assert.Equal((3ul, 1ul), (bench.Driver.Statistics.RxDropped, bench.Driver.Statistics.RxFrames));
    }

    [Theory]
    [InlineData(0u, "0 bytes")]
    [InlineData(11u, "11 bytes")]
    [InlineData(1u << 30, "has room for")]
    public void A_length_that_cannot_be_is_a_fault(uint written, string named)
    {
        using VirtioNetBench bench = new VirtioNetBench().Started(post: 8);
        Assert.True(bench.Receive(Packets.Plain(60), written: written));
        Assert.Contains(named, Assert.Throws<DeviceFaultException>(bench.Poll).Message, StringComparison.Ordinal);
        Assert.Empty(bench.Client.TakeReceived());
    }

    [Theory]
    [InlineData(VirtioNetBench.Rx)]
    [InlineData(VirtioNetBench.Tx)]
    public void A_buffer_that_the_device_does_not_have_is_a_fault(ushort queue)
    {
        using VirtioNetBench bench = new VirtioNetBench(VirtioNetBench.Everything & ~VirtioFeatures.InOrder) { TransmitAtOnce = false }.Started(post: 4);
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        bench.Model.Queue(queue)!.Forge(200, 0);
        Assert.Contains("buffer 200", Assert.Throws<DeviceFaultException>(bench.Poll).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Receive_buffers_that_are_wrong_come_back_and_good_ones_go_on()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        NetBuffer good = new() { Grant = bench.Client.RxGrant.Handle, Length = 2048, Cookie = 5 };
        bench.Client.PostRaw(
            good with { Grant = 99, Cookie = 1 },
            good with { Grant = bench.Client.TxGrant.Handle, Cookie = 2 },
            good with { Length = VirtioNetRx.MinBuffer - 1, Cookie = 3 },
            good with { Offset = uint.MaxValue, Cookie = 4 },
            good);
        bench.Poll();
        Assert.True(bench.Receive(Packets.Plain(60)));
        bench.Poll();
        uint count = bench.Client.Client.Received.Peek(100);
        NetBuffer[] back = [.. Enumerable.Range(0, (int)count).Select(i => bench.Client.Client.Received.Read((uint)i))];
        Assert.Equal([(1ul, NetFlags.Rejected), (2ul, NetFlags.Rejected), (3ul, NetFlags.Rejected), (4ul, NetFlags.Rejected), (5ul, NetFlags.None)], back.Select(buffer => (buffer.Cookie, buffer.Flags)));
        bench.AssertClean();
    }

    [Fact]
    public void A_transmitter_that_finishes_nothing_is_a_fault_after_five_looks_and_none_without_a_link()
    {
        using VirtioNetBench bench = new VirtioNetBench { TransmitAtOnce = false }.Started();
        for (int i = 0; i < 20; i++) bench.Driver.OnTimer();
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        bench.Model.ChangeConfig(6, [0, 0]);
        for (int i = 0; i < 20; i++) bench.Driver.OnTimer();
        bench.Model.ChangeConfig(6, [1, 0]);
        for (int i = 0; i < 4; i++) bench.Driver.OnTimer();
        Assert.Contains("5 s", Assert.Throws<DeviceFaultException>(bench.Driver.OnTimer).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_fails_or_was_reset_is_seen_by_the_timer()
    {
        using VirtioNetBench fails = new VirtioNetBench().Started();
        fails.Model.FailNow();
        Assert.Contains("DEVICE_NEEDS_RESET", Assert.Throws<DeviceFaultException>(fails.Driver.OnTimer).Message, StringComparison.Ordinal);
        using VirtioNetBench reset = new VirtioNetBench().Started();
        reset.Model.Reset();
        Assert.Contains("somebody else", Assert.Throws<DeviceFaultException>(reset.Driver.OnTimer).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void After_stop_receiving_no_buffer_is_given()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started(post: 2);
        bench.Driver.StopReceiving();
        bench.Client.Post(4, first: 10);
        bench.Poll();
        Assert.True(bench.Receive(Packets.Plain(60, 1)));
        Assert.True(bench.Receive(Packets.Plain(60, 2)));
        Assert.False(bench.Receive(Packets.Plain(60, 3)));
        bench.Poll();
        Assert.Equal(2, bench.Client.TakeReceived(repost: false).Count);
    }

    [Theory]
    [InlineData(VirtioFeatures.None, 1)]
    [InlineData(VirtioFeatures.RingReset, 0)] // of its queues alone
    public void Detach_leaves_nothing_with_the_device_and_a_new_client_works(VirtioFeatures also, int wholeResets)
    {
        using VirtioNetBench bench = new VirtioNetBench(VirtioNetBench.Everything | also) { TransmitAtOnce = false }.Started(post: 64);
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        Assert.True(bench.Driver.TxBusy);
        DeviceQueue former = bench.Model.Queue(VirtioNetBench.Rx)!;
        int resets = bench.Model.Resets;
        bench.Driver.Detach();
        Assert.Equal(resets + wholeResets, bench.Model.Resets);
        Assert.NotSame(former, bench.Model.Queue(VirtioNetBench.Rx));
        Assert.False(bench.Driver.TxBusy);
        Assert.False(bench.Receive(Packets.Plain(60)));
        bench.Poll();
        Assert.Empty(bench.Client.TakeCompleted());
        Assert.Equal(1ul, bench.Driver.Statistics.TxFrames);

        using TestKit.Fakes.FakeNetworkClient next = new(bench.Model.Dma, 64, 64);
        bench.TransmitAtOnce = true;
        bench.Driver.Attach(next.Buffers);
        next.Post(8);
        next.Send(Packets.Plain(60, 5));
        _ = bench.Driver.TxProvide(next.Driver.Submit);
        _ = bench.Driver.RxProvide(next.Driver.Free);
        Assert.True(bench.Receive(Packets.Plain(60, 6)));
        _ = bench.Driver.RxReturn(next.Driver.Received);
        Assert.Equal(Packets.Plain(60, 6), Assert.Single(next.TakeReceived()).Frame);
        Assert.Equal(Packets.Plain(60, 5), Assert.Single(bench.Sent).Frame);
        Assert.Equal(2, bench.Model.Synchronized);
        bench.AssertClean();
    }

    [Fact]
    public void Clients_that_come_and_go_take_no_memory_and_filters_work_on()
    {
        using VirtioNetBench bench = new VirtioNetBench(VirtioNetBench.Everything | VirtioFeatures.RingReset).Started();
        long used = bench.Arena.Used;
        for (int i = 0; i < 100; i++)
        {
            bench.Driver.Detach();
            bench.Driver.Attach(bench.Client.Buffers);
        }

        Assert.Equal(used, bench.Arena.Used);
        bench.Commands.Clear();
        bench.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.Promiscuous, MaxFrame = 3000 });
        Assert.Equal(1, bench.Commands[0].Data[0]);
        bench.Driver.Detach();
        bench.Driver.Attach(bench.Client.Buffers);
        bench.Client.Send(Packets.Plain(3000));
        bench.Poll();
        Assert.Equal(Packets.Plain(3000), Assert.Single(bench.Sent).Frame);
        bench.AssertClean();
    }

    [Fact]
    public void A_queue_that_is_never_reset_is_a_fault()
    {
        using VirtioNetBench bench = new VirtioNetBench(VirtioNetBench.Everything | VirtioFeatures.RingReset).Started();
        bench.Model.Misbehaviour |= VirtioMisbehaviour.StuckReset;
        Assert.Contains("queue 0", Assert.Throws<DeviceFaultException>(bench.Driver.Detach).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Stop_and_dispose_reset_the_device_and_a_stuck_one_is_logged()
    {
        using VirtioNetBench bench = new VirtioNetBench().Started();
        bench.Driver.Stop();
        Assert.Equal(VirtioStatus.None, bench.Model.Status);
        using VirtioNetBench other = new VirtioNetBench().Started();
        int resets = other.Model.Resets;
        other.Driver.Dispose();
        Assert.Equal(resets + 1, other.Model.Resets);
        other.Driver.Dispose();
        Assert.Equal(resets + 1, other.Model.Resets);
    }
}
