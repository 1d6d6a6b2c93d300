using Xinim.Ipc.Protocols;

namespace Xinim.Net.Tests.Ports;

/// <summary>The bytes before a buffer, which belong to the device where its driver asks for them.</summary>
public sealed class HeadroomTests
{
    [Fact]
    public void Where_the_driver_asks_for_none_no_buffer_has_any()
    {
        using PortFixture fixture = new();
        fixture.Send(1);
        fixture.Nic.Take();
        Assert.All(fixture.Nic.Taken.Concat(fixture.Nic.Free), buffer => Assert.Equal(NetFlags.None, buffer.Flags));
    }

    [Fact]
    public void Where_it_asks_for_some_every_frame_begins_behind_zeroes_that_the_caller_cannot_reach()
    {
        using PortFixture fixture = new(headroom: 12);
        for (int round = 0; round < 20; round++)
        {
            Assert.True(fixture.Port.TryRent(out uint slot));
            fixture.Port.TxMemory(slot).Fill(0xff);
            fixture.Port.Send(slot, 256);
            fixture.Port.Flush();
            fixture.Nic.Take();
            NetBuffer sent = fixture.Nic.Taken.Peek();
            Assert.Equal(NetFlags.Headroom, sent.Flags);
            Assert.Equal(new byte[64], fixture.Nic.TxPool.Slice(sent.Offset - 64, 64));
            fixture.Nic.Complete();
        }

        Assert.All(fixture.Nic.Free, buffer => Assert.True(buffer is { Flags: NetFlags.Headroom, Offset: >= 64 }));
    }

    [Fact]
    public void A_frame_behind_bytes_of_the_callers_has_none_and_of_several_pieces_the_first_one_has()
    {
        using PortFixture fixture = new(headroom: 12);
        Assert.True(fixture.Port.TryRent(out uint slot));
        fixture.Port.Send(slot, new NetBuffer { Offset = 14, Length = 20 });
        fixture.SendPieces(1, 2, 3);
        fixture.Nic.Take();
        Assert.Equal([NetFlags.None, NetFlags.Headroom | NetFlags.More, NetFlags.More, NetFlags.None], fixture.Nic.Taken.Select(buffer => buffer.Flags));
    }

    [Fact]
    public void More_than_a_buffer_has_is_not_given()
    {
        using PortFixture fixture = new(headroom: 65);
        fixture.Send(1);
        fixture.Nic.Take();
        Assert.All(fixture.Nic.Taken.Concat(fixture.Nic.Free), buffer => Assert.Equal(NetFlags.None, buffer.Flags));
    }

    [Theory]
    [InlineData(12, 0, NetFlags.None)]
    [InlineData(12, 20, NetFlags.Headroom)]
    public void What_a_driver_held_comes_to_its_successor_as_that_one_wants_it(ushort former, ushort latter, NetFlags expected)
    {
        using PortFixture fixture = new(headroom: former);
        fixture.Send(1, 2);
        fixture.SetHeadroom(latter);
        fixture.Reincarnate();
        Assert.Equal([[1, 2]], fixture.Nic.Frames);
        Assert.Equal(9, fixture.Nic.Taken.Concat(fixture.Nic.Free).Count(buffer => buffer.Flags == expected));
        fixture.Send(3);
        fixture.Nic.Take();
        Assert.Equal(expected, fixture.Nic.Taken.Last().Flags);
    }

    [Fact]
    public void A_frame_that_was_sent_without_stays_so_and_receive_buffers_do_not()
    {
        using PortFixture fixture = new();
        fixture.Send(1);
        fixture.SetHeadroom(12);
        fixture.Reincarnate();
        Assert.Equal(NetFlags.None, fixture.Nic.Taken.Single().Flags);
        Assert.All(fixture.Nic.Free, buffer => Assert.Equal(NetFlags.Headroom, buffer.Flags));
    }
}
