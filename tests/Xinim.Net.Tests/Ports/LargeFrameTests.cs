using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;
using Xinim.TestKit.Net;

namespace Xinim.Net.Tests.Ports;

/// <summary>Frames that nobody has cut, for a client that asked for them.</summary>
public sealed class LargeFrameTests
{
    private static readonly NetworkPortOptions s_large = new() { TxBuffers = 8, RxBuffers = 64, BufferBytes = 256, LargeReceive = true };
    private readonly ReceivedBuffer[] _into = new ReceivedBuffer[64];

    [Fact]
    public void Bytes_that_came_in_the_element_stand_before_those_of_the_buffer()
    {
        using PortFixture fixture = new(s_large);
        fixture.Nic.Take();
        FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Length = 256, Flags = NetFlags.More | NetFlags.Segment | NetFlags.TcpChecksum, SegmentSize = 1448, HeaderHint = 54 });
        Put(fixture, 268, NetFlags.Lead | NetFlags.More);
        Put(fixture, 5, NetFlags.Lead | NetFlags.PartialChecksum);
        Assert.Equal(3u, fixture.Port.Receive(_into));
        Assert.Equal(new FrameSegments(1448, 54), fixture.Port.SegmentsOf(_into[0]));
        Assert.Equal(default, fixture.Port.SegmentsOf(_into[1]));
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], fixture.Port.Data(_into[1])[..12].ToArray());
        Assert.Equal(268, fixture.Port.Data(_into[1]).Length);
        Assert.Equal([1, 2, 3, 4, 5], fixture.Port.Data(_into[2]).ToArray());
        Assert.Equal(NetFlags.Lead | NetFlags.PartialChecksum, _into[2].Flags);
    }

    [Theory]
    [InlineData(269u, NetFlags.Lead)]
    [InlineData(257u, NetFlags.None)]
    [InlineData(uint.MaxValue, NetFlags.Lead)]
    public void More_bytes_than_there_is_room_for_are_nonsense(uint length, NetFlags flags)
    {
        using PortFixture fixture = new(s_large);
        fixture.Nic.Take();
        FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Length = length, Flags = flags });
        Assert.Equal(0u, fixture.Port.Receive(_into));
        fixture.WaitFor(() => fixture.Daemon.DriverReports.Count == 1);
        Assert.Contains("does not hold", fixture.Daemon.DriverReports[0].Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Too_few_buffers_for_the_largest_frame_are_refused_with_how_many_it_takes()
    {
        NetworkPortException refused = Assert.Throws<NetworkPortException>(() => new PortFixture(s_large with { RxBuffers = 32 }));
        Assert.Contains("need 64", refused.Message, StringComparison.Ordinal);
    }

    private static void Put(PortFixture fixture, uint length, NetFlags flags)
    {
        NetBuffer buffer = fixture.Nic.Free.Dequeue() with { Length = length, Flags = flags };
        buffer.PutLead([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        FakeNic.Put(fixture.Nic.Rings.Received, buffer);
    }
}
