using System.Diagnostics;
using System.Net.Sockets;

namespace Xinim.TestKit.Remote;

/// <summary>The other side of a device model's serial port.</summary>
public static class PortSocket
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Connects, and waits until the model has accepted: what reaches a console port before that, QEMU throws away (hw/char/virtio-console.c), and connect(2) is content with a place
    /// in the queue.
    /// </summary>
    /// <param name="path">Where the model listens.</param>
    /// <exception cref="TimeoutException">It does not accept.</exception>
    public static Socket Connect(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        long start = Stopwatch.GetTimestamp();
        while (IsQueued(path))
        {
            if (Stopwatch.GetElapsedTime(start) > s_limit) throw new TimeoutException($"nobody accepts what connects to {path}");
            Thread.Yield();
        }

        return socket;
    }

    /// <summary>A connection that nobody has accepted has no inode yet [proc_pid_net(5), /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path].</summary>
    private static bool IsQueued(string path)
        => File.ReadLines("/proc/net/unix").Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Any(words => words.Length == 8 && words[7] == path && words[6] == "0");
}
