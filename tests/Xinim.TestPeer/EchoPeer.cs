using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Rings;

namespace Xinim.TestPeer;

/// <summary>Copies every element of one ring to another, in batches of changing size, until the test kills it or closes the channel.</summary>
internal static class EchoPeer
{
    public static int Run(Channel channel)
    {
        using ChannelMessage message = channel.Receive(PeerProcess.Limit);
        EchoRequest request = message.Get<EchoRequest>();
        using SharedRegion region = SharedRegion.Open(message.TakeHandle(0), request.RegionBytes, RegionAccess.ReadWrite);
        using SafeFileHandle mine = message.TakeHandle(1), theirs = message.TakeHandle(2);
        RingConsumer<Element64> source = new(region, request.ToPeer, request.Generation);
        RingProducer<Element64> target = new(region, request.FromPeer, request.Generation);
        Doorbell sleep = new(region, request.PeerWake, mine);
        Doorbell wake = new(region, request.TestWake, theirs);
        for (uint batch = 1; ; batch = (batch % 7) + 1)
        {
            if (Copy(source, target, batch) > 0)
            {
                wake.Ring();
                continue;
            }

            sleep.PrepareToSleep();
            bool idle = source.Peek(1) == 0 || target.Reserve(1) == 0;
            if (idle && (Descriptor.Poll((int)PeerProcess.Limit.TotalMilliseconds, sleep.Handle, channel.Handle) & 1) == 0) return 0;
            sleep.Awake();
            sleep.TakeSignal();
        }
    }

    private static uint Copy(RingConsumer<Element64> source, RingProducer<Element64> target, uint batch)
    {
        uint count = Math.Min(source.Peek(batch), target.Reserve(batch));
        for (uint i = 0; i < count; i++) target[i] = source.Read(i);
        if (count == 0) return 0;
        target.Publish(count);
        source.Release(count);
        return count;
    }
}
