using Xinim.Ipc;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;
using Xinim.TestKit.Net;

namespace Xinim.Net.Tests.Ports;

public sealed class NetworkPortTests
{
    [Fact]
    public void Opens_with_every_receive_buffer_at_the_driver()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        Assert.Equal(8, fixture.Nic.Free.Count);
        Assert.Equal(Enumerable.Range(0, 8).Select(i => (i * (64 + 256)) + 64), fixture.Nic.Free.Select(buffer => (int)buffer.Offset).Order());
        Assert.All(fixture.Nic.Free, buffer => Assert.Equal(256u, buffer.Length));
        Assert.Equal("52:54:00:00:00:01", fixture.Port.Info.Mac.ToString());
        Assert.Equal(1u, fixture.Port.Generation);
    }

    [Fact]
    public void Sends_frames_and_collects_them()
    {
        using PortFixture fixture = new();
        fixture.Send(1, 2, 3);
        fixture.Send(4);
        fixture.Nic.Take();
        Assert.Equal([[1, 2, 3], [4]], fixture.Nic.Frames);
        Assert.False(fixture.Port.TxIdle);
        fixture.Nic.Complete();
        Assert.Equal(2u, fixture.Port.Collect());
        Assert.True(fixture.Port.TxIdle);
        Assert.Equal(2u, fixture.Port.SentFrames);
    }

    [Fact]
    public void Runs_out_of_buffers_until_some_are_collected()
    {
        using PortFixture fixture = new();
        for (byte i = 0; i < 8; i++) fixture.Send(i);
        Assert.False(fixture.Port.TryRent(out _));
        fixture.Nic.Take();
        fixture.Nic.Complete(1);
        Assert.True(fixture.Port.TryRent(out uint slot));
        fixture.Port.Unrent(slot);
    }

    [Fact]
    public void Receives_frames_of_one_piece_and_of_several()
    {
        using PortFixture fixture = new();
        byte[] large = [.. Enumerable.Range(0, 600).Select(i => (byte)i)];
        fixture.Nic.Take();
        fixture.Nic.Deliver([1, 2]);
        fixture.Nic.Deliver(large);
        Assert.Equal([[1, 2], large], fixture.Receive());
        fixture.Nic.Take();
        Assert.Equal(8, fixture.Nic.Free.Count);
    }

    [Fact]
    public void A_frame_is_received_whole_or_not_yet()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        NetBuffer first = fixture.Nic.Free.Dequeue() with { Flags = NetFlags.More };
        FakeNic.Put(fixture.Nic.Rings.Received, first);
        Assert.Empty(fixture.Receive());
        Assert.False(fixture.Port.Wait(TimeSpan.FromMilliseconds(1)));
        FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Length = 1 });
        Assert.True(fixture.Port.Wait(PortFixture.Limit));
        Assert.Equal(257, Assert.Single(fixture.Receive()).Length);
    }

    [Fact]
    public void Buffers_that_come_back_unused_are_provided_again()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Flags = NetFlags.More });
        FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Flags = NetFlags.Unused });
        FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Length = 5 });
        Assert.Equal(5, Assert.Single(fixture.Receive()).Length);
        fixture.Nic.Take();
        Assert.Equal(8, fixture.Nic.Free.Count);
    }

    [Fact]
    public void Hands_over_whole_frames_only()
    {
        using PortFixture fixture = new();
        Assert.True(fixture.Port.TryRent(out uint slot));
        fixture.Port.Send(slot, new NetBuffer { Length = 1, Flags = NetFlags.More });
        fixture.Port.Flush();
        fixture.Nic.Take();
        Assert.Empty(fixture.Nic.Taken);
        Assert.True(fixture.Port.TryRent(out slot));
        fixture.Port.Send(slot, 1);
        fixture.Port.Flush();
        fixture.Nic.Take();
        Assert.Equal(2, fixture.Nic.Taken.Count);
    }

    [Fact]
    public void Counts_frames_that_the_driver_refuses()
    {
        using PortFixture fixture = new();
        fixture.Send(1);
        fixture.Nic.Take();
        fixture.Nic.Complete(1, NetFlags.Rejected);
        fixture.Port.Collect();
        Assert.Equal((1u, 0u), (fixture.Port.RejectedFrames, fixture.Port.SentFrames));
    }

    [Fact]
    public void A_short_wait_is_over_in_time_and_a_negative_one_at_once()
    {
        using PortFixture fixture = new();
        Assert.False(fixture.Port.Wait(TimeSpan.FromMilliseconds(0.5)));
        Assert.False(fixture.Port.Wait(TimeSpan.FromSeconds(-5)));
    }

    [Fact]
    public void Follows_the_link_and_sets_filters()
    {
        using PortFixture fixture = new();
        fixture.Daemon.SendLink(LinkState.Down);
        fixture.WaitFor(() => fixture.Port.Link.Up == 0);
        fixture.Daemon.SendLink(new LinkState(1, 10, 0));
        fixture.Port.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.Promiscuous });
        Assert.Equal(NetworkFilterFlags.Promiscuous, fixture.Daemon.Filters?.Flags);
        fixture.WaitFor(() => fixture.Port.Link.MegabitsPerSecond == 10);
        fixture.Daemon.Statistics = new NetworkStatistics { RxMissed = 7 };
        Assert.Equal(7u, fixture.Port.GetStatistics().RxMissed);
    }

    [Fact]
    public void News_before_the_answer_do_not_disturb_opening()
    {
        using FakeDaemon daemon = new() { LinkNewsFirst = true };
        using NetworkPort port = NetworkPort.Open("net0", new NetworkPortOptions { TxBuffers = 2, RxBuffers = 2 }, daemon.Socket);
        Assert.Equal(1u, port.Link.Up);
    }

    [Fact]
    public void Says_why_a_device_cannot_be_opened()
    {
        using FakeDaemon daemon = new();
        NetworkPortException unknown = Assert.Throws<NetworkPortException>(() => NetworkPort.Open("net7", null, daemon.Socket));
        Assert.Equal("there is no device 'net7'; the daemon has net0", unknown.Message);
        Assert.Throws<NetworkPortException>(() => NetworkPort.Open(new string('x', 65), null, daemon.Socket));
        LinuxException nobody = Assert.Throws<LinuxException>(() => NetworkPort.Open("net0", null, "/nonexistent/socket"));
        Assert.Contains("xinim daemon", nobody.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ends_when_the_daemon_takes_the_device_away()
    {
        using PortFixture fixture = new();
        fixture.Daemon.CloseDevice("pulled out");
        Assert.Equal("pulled out", Assert.Throws<NetworkPortException>(() => fixture.WaitFor(() => false)).Message);
    }

    [Fact]
    public void Ends_when_the_daemon_dies()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Dispose();
        Assert.Contains("closed the connection", Assert.Throws<NetworkPortException>(() => fixture.WaitFor(() => false)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_disposed_port_throws_and_touches_no_memory()
    {
        using PortFixture fixture = new();
        fixture.Port.Dispose();
        Assert.Throws<ObjectDisposedException>(() => fixture.Port.Receive(new ReceivedBuffer[1]));
        Assert.Throws<ObjectDisposedException>(fixture.Port.Flush);
    }
}
