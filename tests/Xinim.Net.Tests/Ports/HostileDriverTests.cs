using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;
using Xinim.TestKit.Net;

namespace Xinim.Net.Tests.Ports;

/// <summary>
/// A driver gone mad makes a client touch no memory that is not its own, and does not end it: the client reports it, and its successor
/// gets everything that it held.
/// </summary>
public sealed class HostileDriverTests
{
    private readonly ReceivedBuffer[] _into = new ReceivedBuffer[16];

    [Fact]
    public void Returns_a_receive_buffer_that_it_does_not_hold()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        fixture.Nic.Deliver([1]);
        Assert.Equal(1u, fixture.Port.Receive(_into));
        FakeNic.Put(fixture.Nic.Rings.Received, new NetBuffer { Cookie = _into[0].Slot, Length = 1 });
        AssertReportedAndReplaced(fixture, () => Assert.Equal(0u, fixture.Port.Receive(_into)), "does not hold");
    }

    [Theory]
    [InlineData(8)]
    [InlineData(1UL << 32)]
    [InlineData(ulong.MaxValue)]
    public void Returns_a_buffer_that_does_not_exist(ulong cookie)
    {
        using PortFixture fixture = new();
        FakeNic.Put(fixture.Nic.Rings.Received, new NetBuffer { Cookie = cookie });
        AssertReportedAndReplaced(fixture, () => Assert.Equal(0u, fixture.Port.Receive(_into)), $"buffer {cookie}");
        FakeNic.Put(fixture.Nic.Rings.Completed, new NetBuffer { Cookie = cookie });
        AssertReportedAndReplaced(fixture, () => Assert.Equal(0u, fixture.Port.Collect()), $"buffer {cookie}");
    }

    [Theory]
    [InlineData(HashKind.UdpIpv6Ex, HashKind.UdpIpv6Ex)]
    [InlineData(HashKind.UdpIpv6Ex + 1, HashKind.None)]
    [InlineData((HashKind)255, HashKind.None)]
    public void Tells_hashes_unasked_and_of_what_does_not_exist(HashKind said, HashKind believed)
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        fixture.Nic.Deliver([1], (0x1234_5678, said));
        Assert.Equal(1u, fixture.Port.Receive(_into));
        Assert.Equal(new FrameHash(0x1234_5678, believed), fixture.Port.HashOf(_into[0]));
        fixture.Port.Recycle(_into[0].Slot);
        fixture.Nic.Take();
        while (fixture.Nic.Deliver([2])) { }

        uint count = fixture.Port.Receive(_into);
        Assert.NotEqual(0u, count);
        Assert.All(_into[..(int)count], plain => Assert.Equal(default, fixture.Port.HashOf(plain)));
    }

    [Theory]
    [InlineData(257u)]
    [InlineData(uint.MaxValue)]
    public void Returns_more_bytes_than_the_buffer_has(uint length)
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Length = length });
        AssertReportedAndReplaced(fixture, () => Assert.Equal(0u, fixture.Port.Receive(_into)), $"with {length} bytes");
    }

    [Fact]
    public void Returns_a_buffer_twice()
    {
        using PortFixture fixture = new();
        fixture.Send(1);
        fixture.Nic.Take();
        NetBuffer sent = fixture.Nic.Taken.Peek();
        fixture.Nic.Complete();
        FakeNic.Put(fixture.Nic.Rings.Completed, sent);
        AssertReportedAndReplaced(fixture, () => fixture.Port.Collect(), "does not hold");

        NetBuffer free = fixture.Nic.Free.Dequeue();
        FakeNic.Put(fixture.Nic.Rings.Received, free);
        FakeNic.Put(fixture.Nic.Rings.Received, free);
        Assert.Equal(1u, fixture.Port.Receive(_into));
        AssertReportedAndReplaced(fixture, () => Assert.Equal(0u, fixture.Port.Receive(_into)), "does not hold");
    }

    [Fact]
    public void Frames_before_the_nonsense_are_delivered()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        fixture.Nic.Deliver([1]);
        fixture.Nic.Deliver([2]);
        FakeNic.Put(fixture.Nic.Rings.Received, new NetBuffer { Cookie = 99 });

        Assert.Equal(2u, fixture.Port.Receive(_into));
        Assert.Equal([1, 2], [fixture.Port.Data(_into[0])[0], fixture.Port.Data(_into[1])[0]]);
        AssertReportedAndReplaced(fixture, () => Assert.Equal(0u, fixture.Port.Receive(_into)), "buffer 99");
    }

    [Fact]
    public void Never_ends_a_frame()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        for (int i = 0; i < 4; i++) FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Flags = NetFlags.More });

        // Too little room for the longest frame of this device: the caller's fault.
        Assert.Contains("more than 4 pieces", Assert.Throws<NetworkPortException>(() => fixture.Port.Receive(_into.AsSpan(0, 4))).Message, StringComparison.Ordinal);

        for (int i = 0; i < 4; i++) FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Flags = NetFlags.More });
        AssertReportedAndReplaced(fixture, () => Assert.Equal(0u, fixture.Port.Receive(_into.AsSpan(0, 8))), "more than 8 pieces");
    }

    [Fact]
    public void Publishes_more_than_the_ring_holds()
    {
        using PortFixture fixture = new();
        fixture.Nic.Rings.Received.Publish(9);
        AssertReportedAndReplaced(fixture, () => Assert.Equal(0u, fixture.Port.Receive(_into)), "is impossible");
    }

    [Fact]
    public void Publishes_nonsense_while_the_client_sleeps()
    {
        using PortFixture fixture = new();
        fixture.Nic.Rings.Completed.Publish(9);
        AssertReportedAndReplaced(fixture, () => fixture.Port.Wait(TimeSpan.Zero), "is impossible");
    }

    [Fact]
    public void Completes_without_taking_off_the_ring()
    {
        using PortFixture fixture = new();
        for (int i = 0; i < 8; i++) fixture.Send((byte)i);
        NetBuffer buffer = fixture.Nic.Rings.Submit.Read(0);
        FakeNic.Put(fixture.Nic.Rings.Completed, buffer);
        Assert.True(fixture.Port.TryRent(out uint slot));
        AssertReportedAndReplaced(fixture, () => fixture.Port.Send(slot, 1), "keeps more buffers");
    }

    /// <summary>The daemon hears of this generation once; nothing of it is looked at again; the next one serves, and a frame sent meanwhile reaches it.</summary>
    private static void AssertReportedAndReplaced(PortFixture fixture, Action look, string reason)
    {
        // One report for each replacement so far; this one may be under way already.
        int before = (int)fixture.Port.Recoveries;
        uint mad = fixture.Port.Generation;
        look();
        fixture.WaitFor(() => fixture.Daemon.DriverReports.Count == before + 1);
        Assert.Equal(mad, fixture.Daemon.DriverReports[before].Generation);
        Assert.Contains(reason, fixture.Daemon.DriverReports[before].Reason, StringComparison.Ordinal);
        bool queued = fixture.Port.TryRent(out uint slot);
        if (queued)
        {
            fixture.Port.TxMemory(slot)[0] = 42;
            fixture.Port.Send(slot, 1);
        }

        fixture.Reincarnate();

        Assert.Equal(before + 1, fixture.Daemon.DriverReports.Count);
        if (queued) Assert.Contains(fixture.Nic.Frames, frame => frame is [42]);
        Assert.NotEmpty(fixture.Nic.Free);
        fixture.Nic.Complete();
        fixture.WaitFor(() => fixture.Port.TxIdle || fixture.Port.Collect() != 0);
    }
}
