using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Net.Ports;
using Xinim.TestKit.Net;

namespace Xinim.Net.Tests.Ports;

/// <summary>A driver gone mad can end a client with one line; it can make it touch no memory that is not its own.</summary>
public sealed class HostileDriverTests
{
    private readonly ReceivedBuffer[] _into = new ReceivedBuffer[4];

    [Fact]
    public void Returns_a_receive_buffer_that_it_does_not_hold()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        fixture.Nic.Deliver([1]);
        Assert.Equal(1u, fixture.Port.Receive(_into));
        FakeNic.Put(fixture.Nic.Rings.Received, new NetBuffer { Cookie = _into[0].Slot, Length = 1 });
        Assert.Throws<NetworkPortException>(() => fixture.Port.Receive(_into));
    }

    [Theory]
    [InlineData(8)]
    [InlineData(1UL << 32)]
    [InlineData(ulong.MaxValue)]
    public void Returns_a_buffer_that_does_not_exist(ulong cookie)
    {
        using PortFixture fixture = new();
        FakeNic.Put(fixture.Nic.Rings.Received, new NetBuffer { Cookie = cookie });
        Assert.Throws<NetworkPortException>(() => fixture.Port.Receive(_into));
        FakeNic.Put(fixture.Nic.Rings.Completed, new NetBuffer { Cookie = cookie });
        Assert.Throws<NetworkPortException>(() => fixture.Port.Collect());
    }

    [Theory]
    [InlineData(257u)]
    [InlineData(uint.MaxValue)]
    public void Returns_more_bytes_than_the_buffer_has(uint length)
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Length = length });
        Assert.Throws<NetworkPortException>(() => fixture.Port.Receive(_into));
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
        Assert.Throws<NetworkPortException>(() => fixture.Port.Collect());

        NetBuffer free = fixture.Nic.Free.Dequeue();
        FakeNic.Put(fixture.Nic.Rings.Received, free);
        FakeNic.Put(fixture.Nic.Rings.Received, free);
        Assert.Throws<NetworkPortException>(() => fixture.Port.Receive(_into));
    }

    [Fact]
    public void Never_ends_a_frame()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        for (int i = 0; i < 4; i++) FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Flags = NetFlags.More });
        Assert.Contains("more than 4 pieces", Assert.Throws<NetworkPortException>(() => fixture.Port.Receive(_into)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Publishes_more_than_the_ring_holds()
    {
        using PortFixture fixture = new();
        fixture.Nic.Rings.Received.Publish(9);
        Assert.Throws<RingException>(() => fixture.Port.Receive(_into));
    }

    [Fact]
    public void Completes_without_taking_off_the_ring()
    {
        using PortFixture fixture = new();
        for (int i = 0; i < 8; i++) fixture.Send(1);
        NetBuffer buffer = fixture.Nic.Rings.Submit.Read(0);
        FakeNic.Put(fixture.Nic.Rings.Completed, buffer);
        Assert.True(fixture.Port.TryRent(out uint slot));
        Assert.Throws<NetworkPortException>(() => fixture.Port.Send(slot, 1));
    }
}
