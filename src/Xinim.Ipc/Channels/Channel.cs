using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using Xinim.Ipc.Native;
using static Tmds.Linux.LibC;

namespace Xinim.Ipc.Channels;

/// <summary>
/// The control path between two processes: a Unix socket of type SOCK_SEQPACKET that keeps message borders and carries file descriptors
/// (unix(7)). Sending never waits: a peer that does not read is a broken peer. Not thread-safe.
/// </summary>
public sealed unsafe class Channel : IDisposable
{
    /// <summary>Bytes of payload at the most.</summary>
    public const int MaxPayload = 64 << 10;

    /// <summary>Descriptors a message at the most.</summary>
    public const int MaxHandles = 16;

    // struct cmsghdr {size_t cmsg_len; int cmsg_level; int cmsg_type;}, data aligned to 8 (cmsg(3), x86-64).
    private const int ControlHeader = 16;
    private const int ControlBytes = ControlHeader + (MaxHandles * sizeof(int));

    /// <summary>One for all channels of a thread: what was received is copied out at once.</summary>
    [ThreadStatic]
    private static byte[]? t_buffer;

    /// <param name="handle">A connected SOCK_SEQPACKET socket; owned from now on.</param>
    public Channel(SafeFileHandle handle) => Handle = handle;

    /// <summary>The socket, to wait for.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>Two connected ends.</summary>
    public static (Channel, Channel) CreatePair()
    {
        int* ends = stackalloc int[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) throw LinuxException.Last("cannot make a socket pair");
        return (new Channel(new SafeFileHandle(ends[0], true)), new Channel(new SafeFileHandle(ends[1], true)));
    }

    /// <summary>Sends a message without payload.</summary>
    public void Send(MessageHeader header, params ReadOnlySpan<SafeFileHandle> handles) => SendBytes(header, default, handles);

    /// <summary>Sends a struct.</summary>
    public void Send<T>(MessageHeader header, in T payload, params ReadOnlySpan<SafeFileHandle> handles)
        where T : unmanaged
        => SendBytes(header, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), handles);

    /// <summary>Sends text as UTF-8.</summary>
    public void SendText(MessageHeader header, string text) => SendBytes(header, Encoding.UTF8.GetBytes(text), default);

    /// <summary>Sends bytes and descriptors. The descriptors stay the caller's.</summary>
    /// <exception cref="ChannelException">The peer is gone, or its queue is full because it does not read.</exception>
    public void SendBytes(MessageHeader header, ReadOnlySpan<byte> payload, ReadOnlySpan<SafeFileHandle> handles)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(payload.Length, MaxPayload);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(handles.Length, MaxHandles);
        byte* control = stackalloc byte[ControlBytes];
        fixed (byte* bytes = payload)
        {
            iovec* parts = stackalloc iovec[2];
            parts[0] = new iovec { iov_base = &header, iov_len = sizeof(MessageHeader) };
            parts[1] = new iovec { iov_base = bytes, iov_len = payload.Length };
            msghdr message = new() { msg_iov = parts, msg_iovlen = 2 };
            if (handles.Length > 0) Attach(ref message, control, handles);
            while (sendmsg(Descriptor.Number(Handle), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            {
                int error = Marshal.GetLastPInvokeError();
                if (error == EINTR) continue;
                string reason = error == EAGAIN ? "the peer does not read"
                    : error == EPIPE || error == ECONNRESET ? "the peer is gone"
                    : Marshal.GetPInvokeErrorMessage(error);
                throw new ChannelException($"message {header.Type} cannot be sent: {reason}");
            }
        }
    }

    /// <summary>Takes the next message if there is one.</summary>
    /// <param name="message">Owned by the caller; null where none is waiting.</param>
    /// <returns>False when the peer has closed its end and everything was read.</returns>
    /// <exception cref="ChannelException">The message is longer than allowed, shorter than a header, or carries too many descriptors; they are closed.</exception>
    public bool TryReceive(out ChannelMessage? message)
    {
        message = null;
        byte* control = stackalloc byte[ControlBytes];
        byte[] buffer = t_buffer ??= GC.AllocateUninitializedArray<byte>(sizeof(MessageHeader) + MaxPayload);
        fixed (byte* bytes = buffer)
        {
            iovec part = new() { iov_base = bytes, iov_len = buffer.Length };
            msghdr received = new() { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = ControlBytes };
            long length = Receive(&received);
            if (length < 0) return true;
            SafeFileHandle?[] handles = Detach(received, control);
            if (length == 0 && handles.Length == 0) return false;
            message = Accept(buffer.AsSpan(0, (int)length), handles, received.msg_flags);
            return true;
        }
    }

    /// <summary>Waits for the next message.</summary>
    /// <param name="timeout">After this the peer counts as broken; infinite for one that may well have nothing to say.</param>
    /// <exception cref="ChannelException">Nothing came in time, or the peer closed the channel.</exception>
    public ChannelMessage Receive(TimeSpan timeout)
    {
        bool forever = timeout == Timeout.InfiniteTimeSpan;
        long deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        while (true)
        {
            if (!TryReceive(out ChannelMessage? message)) throw new ChannelException("the peer closed the channel");
            if (message is not null) return message;
            long left = forever ? Timeout.Infinite : deadline - Environment.TickCount64;
            if (left <= 0 && !forever) throw new ChannelException($"the peer did not answer within {timeout.TotalMilliseconds:0} ms");
            Descriptor.Poll((int)left, Handle);
        }
    }

    public void Dispose() => Handle.Dispose();

    private long Receive(msghdr* received)
    {
        while (true)
        {
            long length = (long)recvmsg(Descriptor.Number(Handle), received, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
            if (length >= 0) return length;
            int error = Marshal.GetLastPInvokeError();
            if (error == EAGAIN) return -1;
            if (error == ECONNRESET) return 0;
            if (error != EINTR) throw new ChannelException($"cannot receive: {Marshal.GetPInvokeErrorMessage(error)}");
        }
    }

    private static ChannelMessage Accept(ReadOnlySpan<byte> bytes, SafeFileHandle?[] handles, int flags)
    {
        string? wrong = (flags & MSG_CTRUNC) != 0 ? $"carries more than {MaxHandles} descriptors"
            : (flags & MSG_TRUNC) != 0 ? $"is longer than {MaxPayload} bytes"
            : bytes.Length < sizeof(MessageHeader) ? $"has {bytes.Length} bytes, less than its header"
            : null;
        if (wrong is null) return new ChannelMessage(MemoryMarshal.Read<MessageHeader>(bytes), bytes[sizeof(MessageHeader)..].ToArray(), handles);
        foreach (SafeFileHandle? handle in handles) handle?.Dispose();
        throw new ChannelException($"a received message {wrong}");
    }

    private static void Attach(ref msghdr message, byte* control, ReadOnlySpan<SafeFileHandle> handles)
    {
        int length = ControlHeader + (handles.Length * sizeof(int));
        Unsafe.WriteUnaligned(control, (long)length);
        Unsafe.WriteUnaligned(control + 8, SOL_SOCKET);
        Unsafe.WriteUnaligned(control + 12, SCM_RIGHTS);
        for (int i = 0; i < handles.Length; i++) Unsafe.WriteUnaligned(control + ControlHeader + (i * sizeof(int)), Descriptor.Number(handles[i]));
        message.msg_control = control;
        message.msg_controllen = length;
    }

    private static SafeFileHandle?[] Detach(in msghdr message, byte* control)
    {
        if ((uint)message.msg_controllen < ControlHeader) return [];
        long length = Unsafe.ReadUnaligned<long>(control);
        bool rights = Unsafe.ReadUnaligned<int>(control + 8) == SOL_SOCKET && Unsafe.ReadUnaligned<int>(control + 12) == SCM_RIGHTS;
        if (!rights || length is < ControlHeader or > ControlBytes) return [];
        SafeFileHandle?[] handles = new SafeFileHandle?[(length - ControlHeader) / sizeof(int)];
        for (int i = 0; i < handles.Length; i++) handles[i] = new SafeFileHandle(Unsafe.ReadUnaligned<int>(control + ControlHeader + (i * sizeof(int))), ownsHandle: true);
        return handles;
    }
}
