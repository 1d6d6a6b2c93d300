using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using Xinim.Ipc;
using Xinim.Ipc.Native;
using static Tmds.Linux.LibC;

namespace Xinim.Vfio.Sockets;

/// <summary>
/// Bytes and descriptors over a stream socket that other processes hold too, with bounded waits: what is under a device that is in another
/// process. Nothing here relies on the socket's own flags or timeouts, because any holder can change those.
/// </summary>
internal sealed unsafe class StreamSocket(SafeFileHandle handle) : IDisposable
{
    /// <summary>Descriptors a message at the most.</summary>
    public const int MaxDescriptors = 8;

    /// <summary>Bytes of a path at the most (unix(7)).</summary>
    public const int MaxPath = 107;

    private const int DescriptorSize = sizeof(int);

    /// <summary>The descriptor. Owned by this object.</summary>
    public SafeFileHandle Handle => handle;

    private int Number => Descriptor.Number(handle);

    /// <summary>What became of a transfer.</summary>
    public enum Outcome
    {
        Done,
        TimedOut,
        Closed,
    }

    /// <summary>Connects to who listens at a path; does not wait.</summary>
    /// <param name="error">Why not; EAGAIN where many wait there to be accepted already.</param>
    /// <returns>Null where nobody can be reached.</returns>
    public static SafeFileHandle? TryConnect(string path, out int error)
    {
        sockaddr_un address = new() { sun_family = AF_UNIX };
        // The rest stays zero, which ends the path.
        if (!Encoding.UTF8.TryGetBytes(path, new Span<byte>(address.sun_path, MaxPath), out _)) throw new LinuxException($"the socket path {path} is longer than {MaxPath} bytes");
        SafeFileHandle made = Descriptor.Own(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "cannot make a socket");
        error = connect(Descriptor.Number(made), (sockaddr*)&address, sizeof(sockaddr_un)) == 0 ? 0 : Marshal.GetLastPInvokeError();
        if (error == 0) return made;
        made.Dispose();
        return null;
    }

    /// <summary>A connected pair. Both ends are closed by exec.</summary>
    public static (SafeFileHandle Mine, SafeFileHandle Peer) CreatePair(string purpose)
    {
        int* ends = stackalloc int[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) throw LinuxException.Last($"cannot make a socket pair for {purpose}");
        return (new SafeFileHandle(ends[0], true), new SafeFileHandle(ends[1], true));
    }

    /// <summary>
    /// Sends everything in one sendmsg. The kernel queues up to some 100 KiB of a UNIX stream write as one unit (unix_stream_sendmsg), so
    /// messages of two processes that share the socket never mix, and a process that is killed leaves a whole message or none.
    /// </summary>
    public Outcome Send(void* header, int headerLength, void* payload, int payloadLength, ReadOnlySpan<int> descriptors, Deadline deadline)
    {
        iovec* parts = stackalloc iovec[2];
        parts[0] = new iovec { iov_base = header, iov_len = headerLength };
        parts[1] = new iovec { iov_base = payload, iov_len = payloadLength };
        byte* control = stackalloc byte[CMSG_SPACE(MaxDescriptors * DescriptorSize)];
        msghdr message = new() { msg_iov = parts, msg_iovlen = 2 };
        if (!descriptors.IsEmpty) Attach(&message, control, descriptors);
        while (true)
        {
            long sent = (long)sendmsg(Number, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent == headerLength + payloadLength) return Outcome.Done;
            if (sent >= 0) throw new LinuxException($"{sent} of {headerLength + payloadLength} bytes were sent: the descriptor is not a UNIX stream socket");
            int error = Marshal.GetLastPInvokeError();
            if (error == EINTR) continue;
            if (error == EPIPE || error == ECONNRESET) return Outcome.Closed;
            if (error != EAGAIN) throw new LinuxException("cannot send to the device's process", error);
            if (!WaitFor(POLLOUT, deadline)) return Outcome.TimedOut;
        }
    }

    /// <summary>
    /// Receives what is there, 1 to <paramref name="length"/> bytes, waiting for the first. Descriptors that a peer attaches are closed by the
    /// kernel, because no room is given for them.
    /// </summary>
    public Outcome Receive(byte* buffer, int length, Deadline deadline, out int received)
    {
        received = 0;
        while (true)
        {
            if (!WaitFor(POLLIN, deadline)) return Outcome.TimedOut;
            long count = (long)recv(Number, buffer, length, MSG_DONTWAIT);
            if (count > 0)
            {
                received = (int)count;
                return Outcome.Done;
            }
            int error = count == 0 ? ECONNRESET : Marshal.GetLastPInvokeError();
            if (error == ECONNRESET) return Outcome.Closed;
            if (error != EINTR && error != EAGAIN) throw new LinuxException("cannot receive from the device's process", error);
        }
    }

    /// <summary>True when bytes lie in the socket now.</summary>
    public bool HasBytes() => WaitFor(POLLIN, Deadline.In(TimeSpan.Zero));

    /// <summary>Ends the connection for all who hold it.</summary>
    public void Shutdown() => _ = shutdown(Number, SHUT_RDWR);

    public void Dispose() => handle.Dispose();

    private static void Attach(msghdr* message, byte* control, ReadOnlySpan<int> descriptors)
    {
        message->msg_control = control;
        message->msg_controllen = CMSG_SPACE(descriptors.Length * DescriptorSize);
        cmsghdr* ancillary = CMSG_FIRSTHDR(message);
        ancillary->cmsg_level = SOL_SOCKET;
        ancillary->cmsg_type = SCM_RIGHTS;
        // Exactly header and descriptors: Tmds.LibC's CMSG_LEN rounds up, and an odd number would carry one more, descriptor 0.
        ancillary->cmsg_len = sizeof(cmsghdr) + (descriptors.Length * DescriptorSize);
        descriptors.CopyTo(new Span<int>(CMSG_DATA(ancillary), descriptors.Length));
    }

    /// <summary>Waits until the socket is ready or broken (both are seen by the next call); false when the deadline passed.</summary>
    private bool WaitFor(short events, Deadline deadline)
    {
        while (true)
        {
            if (Descriptor.PollFor(Number, events, deadline.Milliseconds)) return true;
            if (deadline.Milliseconds == 0) return false;
        }
    }

    /// <summary>A point in time up to which a transfer may take, so that a peer that trickles bytes cannot stretch it.</summary>
    internal readonly struct Deadline
    {
        private readonly long _end;

        private Deadline(long end) => _end = end;

        /// <summary>What is left, rounded up; 0 when it has passed.</summary>
        public int Milliseconds
        {
            get
            {
                long left = _end - Stopwatch.GetTimestamp();
                return left <= 0 ? 0 : (int)Math.Min(int.MaxValue, (left * 1000 / Stopwatch.Frequency) + 1);
            }
        }

        public static Deadline In(TimeSpan time) => new(Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency));
    }
}
