using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;

namespace Xinim.TestPeer;

/// <summary>Maps a region for reading and writes to it: the write must kill the process.</summary>
internal static class ReadOnlyPeer
{
    public static int Run(Channel channel)
    {
        using ChannelMessage message = channel.Receive(PeerProcess.Limit);
        using SharedRegion region = SharedRegion.Open(message.TakeHandle(0), message.Get<long>(), RegionAccess.Read);
        channel.SendText(new MessageHeader((uint)PeerMessage.Report, 0, 0), $"read {region.At<uint>(0)}");
        // The runtime's report of the crash to come is of no use to who runs the tests.
        new SafeFileHandle(2, ownsHandle: true).Dispose();
        region.At<uint>(0) = 0xbad;
        return 0;
    }
}
