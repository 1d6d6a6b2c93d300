using Xinim.Ipc.Channels;
using Xinim.Ipc.Native;

namespace Xinim.TestPeer;

/// <summary>
/// A driver without a will of its own: it lends its supervisor's channel to the test, which speaks for it, and does nothing but exist
/// until it is told to end. So a test decides each of a driver's words, and the process is a real one.
/// </summary>
internal static class LendPeer
{
    public static int Run(Channel supervisor, string socket)
    {
        using Channel test = ChannelListener.Connect(socket);
        test.Send(new MessageHeader((uint)PeerMessage.Lend, 0, 0), Environment.ProcessId, supervisor.Handle);
        while (true)
        {
            Descriptor.Poll(Timeout.Infinite, test.Handle);
            if (!test.TryReceive(out ChannelMessage? message)) return 0;
            using (message)
            {
                if (message?.Header.Type == (uint)PeerMessage.Exit) return message.Get<int>();
                if (message?.Header.Type == (uint)PeerMessage.Close) supervisor.Dispose();
            }
        }
    }
}
