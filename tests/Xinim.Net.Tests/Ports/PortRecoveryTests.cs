using CsCheck;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;
using Xinim.TestKit.Net;

namespace Xinim.Net.Tests.Ports;

/// <summary>What a client sees of its driver's death: nothing but time.</summary>
public sealed class PortRecoveryTests
{
    [Fact]
    public void Posts_again_what_the_dead_driver_held_in_order()
    {
        using PortFixture fixture = new();
        for (byte i = 0; i < 5; i++) fixture.Send(i);
        fixture.Nic.Take();
        fixture.Nic.Complete(2);
        fixture.Reincarnate();
        Assert.Equal([[2], [3], [4]], fixture.Nic.Frames);
        Assert.Equal(8, fixture.Nic.Free.Count);
        fixture.Nic.Complete();
        fixture.Port.Collect();
        Assert.True(fixture.Port.TxIdle);
        Assert.Equal(5u, fixture.Port.SentFrames);
        Assert.Equal(2u, fixture.Port.Generation);
    }

    [Fact]
    public void Frames_sent_while_no_driver_is_there_go_to_the_next()
    {
        using PortFixture fixture = new();
        fixture.Send(1);
        fixture.Daemon.Kill();
        fixture.Send(2);
        fixture.Send(3);
        fixture.Daemon.Revive();
        fixture.WaitFor(() => fixture.Port.Recoveries == 1);
        fixture.Nic.Take();
        Assert.Equal([[1], [2], [3]], fixture.Nic.Frames);
    }

    [Fact]
    public void Two_generations_in_quick_succession_keep_the_order()
    {
        using PortFixture fixture = new();
        fixture.Send(1);
        fixture.Send(2);
        fixture.Daemon.Kill();
        fixture.Daemon.Revive();
        fixture.Daemon.Kill();
        fixture.Daemon.Revive();
        fixture.WaitFor(() => fixture.Port.Generation == 3);
        fixture.Send(3);
        fixture.Nic.Take();
        Assert.Equal([[1], [2], [3]], fixture.Nic.Frames);
        fixture.Nic.Complete(1);
        fixture.Send(4);
        fixture.Reincarnate();
        Assert.Equal([[2], [3], [4]], fixture.Nic.Frames);
    }

    [Fact]
    public void A_half_acknowledged_frame_was_sent_and_is_not_sent_as_a_stump()
    {
        using PortFixture fixture = new();
        fixture.SendPieces(1, 2, 3);
        fixture.SendPieces(4, 5);
        fixture.Nic.Take();
        fixture.Nic.Complete(1);
        fixture.Reincarnate();
        Assert.Equal([[4, 5]], fixture.Nic.Frames);
        fixture.Nic.Complete();
        fixture.Port.Collect();
        Assert.True(fixture.Port.TxIdle);
        Assert.Equal(2u, fixture.Port.SentFrames);
    }

    [Fact]
    public void A_frame_that_is_still_being_built_survives_too()
    {
        using PortFixture fixture = new();
        Assert.True(fixture.Port.TryRent(out uint first));
        fixture.Port.TxMemory(first)[0] = 1;
        fixture.Port.Send(first, new NetBuffer { Length = 1, Flags = NetFlags.More });
        fixture.Reincarnate();
        Assert.Empty(fixture.Nic.Taken);
        Assert.True(fixture.Port.TryRent(out uint second));
        fixture.Port.TxMemory(second)[0] = 2;
        fixture.Port.Send(second, 1);
        fixture.Port.Flush();
        fixture.Nic.Take();
        Assert.Equal([[1, 2]], fixture.Nic.Frames);
    }

    [Fact]
    public void Delivered_frames_are_received_after_their_driver_died()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        fixture.Nic.Deliver([1]);
        fixture.Nic.Deliver([2]);
        fixture.Reincarnate();
        Assert.Equal(6, fixture.Nic.Free.Count);
        fixture.Nic.Deliver([3]);
        Assert.Equal([[1], [2], [3]], fixture.Receive());
        fixture.Nic.Take();
        Assert.Equal(8, fixture.Nic.Free.Count);
    }

    /// <summary>A client that only sends must not wait for its own receiving.</summary>
    [Fact]
    public void Recovers_without_anybody_receiving()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        fixture.Nic.Deliver([1]);
        fixture.Send(9);
        fixture.Daemon.Kill();
        fixture.Daemon.Revive();
        fixture.Port.Flush();
        fixture.Nic.Take();
        Assert.Equal([[9]], fixture.Nic.Frames);
        Assert.Equal(1u, fixture.Port.Recoveries);
    }

    [Fact]
    public void A_frame_cut_off_by_death_is_not_received()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        fixture.Nic.Deliver([1]);
        FakeNic.Put(fixture.Nic.Rings.Received, fixture.Nic.Free.Dequeue() with { Flags = NetFlags.More });
        fixture.Reincarnate();
        Assert.Equal(7, fixture.Nic.Free.Count);
        fixture.Nic.Deliver([2]);
        Assert.Equal([[1], [2]], fixture.Receive());
    }

    [Fact]
    public void Late_frames_are_handed_out_whole()
    {
        using PortFixture fixture = new();
        fixture.Nic.Take();
        fixture.Nic.Deliver([1]);
        fixture.Nic.Deliver(new byte[300]);
        fixture.Reincarnate();
        ReceivedBuffer[] two = new ReceivedBuffer[2];
        Assert.Equal(1u, fixture.Port.Receive(two));
        Assert.Equal(2u, fixture.Port.Receive(two));
        Assert.Equal(0u, fixture.Port.Receive(two));
    }

    [Fact]
    public void Nonsense_that_a_dead_driver_left_does_not_end_the_client()
    {
        using PortFixture fixture = new();
        fixture.Send(7);
        fixture.Nic.Take();
        fixture.Nic.Deliver([1]);
        FakeNic.Put(fixture.Nic.Rings.Received, new NetBuffer { Cookie = 1000 });
        FakeNic.Put(fixture.Nic.Rings.Completed, new NetBuffer { Cookie = ulong.MaxValue });
        fixture.Reincarnate();
        Assert.Equal([[7]], fixture.Nic.Frames);
        Assert.Equal(8, fixture.Nic.Free.Count);
    }

    /// <summary>
    /// Any mixture of sending, completing, delivering and dying: every frame reaches the wire at least once and in order (but for repeats),
    /// everything delivered is received once and in order, and no buffer is lost.
    /// </summary>
    [Fact]
    public void Nothing_is_lost_over_any_sequence_of_deaths() => Gen.Int[0, 9].Array[1, 80].Sample(steps =>
    {
        using PortFixture fixture = new();
        List<byte> wire = [], delivered = [], received = [];
        byte nextTx = 0, nextRx = 0;
        foreach (int step in steps)
        {
            if (step <= 3 && fixture.Port.TryRent(out uint slot))
            {
                fixture.Port.TxMemory(slot)[0] = nextTx++;
                fixture.Port.Send(slot, 1);
                fixture.Port.Flush();
            }
            else if (step == 4) fixture.Nic.Take();
            else if (step == 5) fixture.Nic.Complete(2);
            else if (step is 6 or 7 && fixture.Nic.Deliver([nextRx])) delivered.Add(nextRx++);
            else if (step == 8) received.AddRange(fixture.Receive().Select(frame => frame[0]));
            else if (step == 9)
            {
                wire.AddRange(fixture.Nic.Frames.Select(frame => frame[0]));
                fixture.Reincarnate();
            }
        }

        fixture.Nic.Take();
        wire.AddRange(fixture.Nic.Frames.Select(frame => frame[0]));
        fixture.Nic.Complete();
        received.AddRange(fixture.Receive().Select(frame => frame[0]));
        fixture.Port.Collect();
        fixture.Nic.Take();
        Assert.Equal(delivered, received);
        Assert.Equal(Enumerable.Range(0, nextTx).Select(i => (byte)i), wire.Distinct());
        Assert.True(fixture.Port.TxIdle);
        Assert.Equal((ulong)nextTx, fixture.Port.SentFrames);
        Assert.Equal(8, fixture.Nic.Free.Count);
    }, iter: 200, threads: 1);
}
