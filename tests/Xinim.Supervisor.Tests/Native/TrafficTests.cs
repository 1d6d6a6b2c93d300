using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>Every kind of NIC of the family, from the client's memory to the wire and back, through every process of the product.</summary>
[Trait("needs", "qemu")]
public sealed class TrafficTests
{
    private const uint Frames4096 = 4096;

    /// <summary>Frames under way at a time: as many as the wire's buffer holds for sure.</summary>
    private const uint Window = 32;

    public static TheoryData<string> Models => ["e1000", "e1000-82545em", "e1000-82544gc", "e1000e"];

    [Theory]
    [MemberData(nameof(Models))]
    public void A_nic_comes_up_with_its_address_and_its_link(string model)
    {
        using Machine machine = new(model);
        using NetworkPort port = machine.Open();

        Assert.Equal("52:54:00:12:34:56", port.Info.Mac.ToString());
        Assert.Equal(new LinkState(1, 1000, 1), port.Link);
        Assert.Equal(1u, port.Generation);
        Assert.True(port.Info.MaxFrame >= 9018);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Thousands_of_frames_leave_byte_for_byte_and_in_order(string model)
    {
        using Machine machine = new(model);
        using NetworkPort port = machine.Open();
        for (uint first = 0; first < Frames4096; first += Window)
        {
            for (uint number = first; number < first + Window; number++) Frames.Send(port, Frames.Make(number, Frames.LengthOf(number)));
            port.Flush();
            for (uint number = first; number < first + Window; number++) AssertArrives(machine, number, Frames.LengthOf(number));
        }

        Machine.Until(port, () => port.TxIdle, "every buffer has come back");
        Assert.Equal(Frames4096, port.SentFrames);
        Assert.Equal(0ul, port.RejectedFrames);
        Assert.Equal(Frames4096, port.GetStatistics().TxFrames);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Thousands_of_frames_arrive_byte_for_byte_and_in_order(string model)
    {
        using Machine machine = new(model);
        using NetworkPort port = machine.Open();
        for (uint first = 0; first < Frames4096; first += Window)
        {
            for (uint number = first; number < first + Window; number++) machine.Wire.Send(Frames.Make(number, Frames.LengthOf(number)));
            for (uint number = first; number < first + Window; number++) Assert.Equal(Frames.Make(number, Frames.LengthOf(number)), Frames.Receive(port));
        }

        NetworkStatistics counters = port.GetStatistics();
        Assert.Equal((Frames4096, 0ul, 0ul), (counters.RxFrames, counters.RxMissed, counters.RxDropped));
        Assert.InRange(counters.Interrupts, 1ul, ulong.MaxValue);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Jumbo_frames_pass_in_several_pieces_both_ways(string model)
    {
        using Machine machine = new(model);
        using NetworkPort port = machine.Open();
        port.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        for (uint number = 0; number < 64; number++)
        {
            byte[] frame = Frames.Make(number, 9000 - (int)number);
            Frames.Send(port, frame);
            port.Flush();
            AssertArrives(machine, number, frame.Length);
            machine.Wire.Send(frame);
            Assert.Equal(frame, Frames.Receive(port));
        }
    }

    private static void AssertArrives(Machine machine, uint number, int length)
    {
        ReadOnlySpan<byte> frame = machine.Wire.Receive(Machine.Limit);
        Assert.True(frame.Length >= 18, $"frame {number} did not arrive; the log:\n{string.Join('\n', machine.Log.Lines)}");
        Assert.Equal(number, Frames.NumberOf(frame));
        Assert.True(frame.SequenceEqual(Frames.Make(number, length)), $"frame {number} arrived with other bytes");
    }
}
