using Xinim.Ipc.Channels;
using Xinim.Ipc.Native;

namespace Xinim.TestPeer;

/// <summary>Says that it runs, and then does nothing until the test ends it.</summary>
internal static class HangPeer
{
    public static int Run(Channel channel)
    {
        channel.Send(new MessageHeader((uint)PeerMessage.Ready, 0, 0));
        Descriptor.Poll((int)PeerProcess.Limit.TotalMilliseconds, channel.Handle);
        return 0;
    }
}
