using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>A queue full of frames: who is woken when, and how often buffers come back.</summary>
public sealed class VirtioNetBacklogTests
{
    public static TheoryData<VirtioFeatures> Layouts => [VirtioFeatures.None, VirtioFeatures.RingPacked];

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Buffers_come_back_when_they_are_a_quarter_of_what_is_out(VirtioFeatures layout)
    {
        using VirtioNetBench bench = Full(VirtioNetBench.Bus | VirtioFeatures.EventIndex | layout, frames: 100);
        _ = bench.Transmit(10);
        bench.Poll();
        Assert.Empty(bench.Client.TakeCompleted());
        _ = bench.Transmit(10);
        bench.Poll();
        Assert.Equal(20, bench.Client.TakeCompleted().Count);
        bench.Transmit();
        bench.Poll();
        Assert.Equal(80, bench.Client.TakeCompleted().Count);
        bench.AssertClean();
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Fewer_come_back_when_the_loop_sleeps_or_has_looked_often_enough(VirtioFeatures layout)
    {
        using VirtioNetBench bench = Full(VirtioNetBench.Bus | VirtioFeatures.EventIndex | layout, frames: 100);
        _ = bench.Transmit(1);
        bench.Poll();
        Assert.Empty(bench.Client.TakeCompleted());
        bench.Driver.ArmInterrupts();
        bench.Poll();
        Assert.Single(bench.Client.TakeCompleted());
        bench.Driver.MaskInterrupts();
        _ = bench.Transmit(1);
        int polls = 0;
        for (; bench.Client.TakeCompleted().Count == 0; polls++)
        {
            Assert.True(polls < 10_000, "a finished buffer is kept for ever");
            bench.Poll();
        }

        Assert.True(polls > 1);
        bench.AssertClean();
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void A_sleeping_loop_is_woken_in_the_middle_of_a_backlog_and_at_the_end_of_a_frame(VirtioFeatures layout)
    {
        using VirtioNetBench bench = Full(VirtioNetBench.Bus | VirtioFeatures.EventIndex | layout, frames: 600);
        Assert.True(bench.Driver.TxBacklog);
        bench.Driver.ArmInterrupts();
        Assert.False(bench.Transmit(300));
        Assert.True(bench.Transmit(1));
        bench.Driver.OnInterrupt(2);
        bench.Poll();
        Assert.Equal(301, bench.Client.TakeCompleted().Count);
        bench.Transmit();
        bench.Poll();
        Assert.False(bench.Driver.TxBacklog);
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        bench.Driver.ArmInterrupts();
        Assert.True(bench.Transmit(1));
        bench.AssertClean();
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Without_EVENT_IDX_the_next_frame_wakes_it_and_nothing_is_a_backlog(VirtioFeatures layout)
    {
        using VirtioNetBench bench = Full(VirtioNetBench.Bus | layout, frames: 600);
        Assert.False(bench.Driver.TxBacklog);
        bench.Driver.ArmInterrupts();
        Assert.True(bench.Transmit(1));
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void A_driver_that_has_frames_waiting_for_room_does_not_sleep_over_them(VirtioFeatures layout)
    {
        using VirtioNetBench bench = Full(VirtioNetBench.Bus | VirtioFeatures.EventIndex | layout, frames: 1020, entries: 512);
        Assert.False(bench.Driver.TxBacklog);
        _ = bench.Transmit(508);
        bench.Poll();
        bench.Poll();
        Assert.True(bench.Driver.TxBacklog);
    }

    private static VirtioNetBench Full(VirtioFeatures features, int frames, ushort entries = 1024)
    {
        VirtioNetBench bench = new(features, device: options => options with { Queues = 2, QueueSize = entries }, buffers: 1024)
        {
            TransmitAtOnce = false, Client = { Headroom = NetFlags.Headroom },
        };
        _ = bench.Started();
        for (int i = 0; i < frames; i++) bench.Client.Send(Packets.Plain(60, i));
        for (int i = 0; i < 8; i++) bench.Poll();
        return bench;
    }
}
