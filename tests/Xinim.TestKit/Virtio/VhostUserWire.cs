using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using Xinim.Ipc;
using Xinim.Ipc.Native;
using static Tmds.Linux.LibC;

namespace Xinim.TestKit.Virtio;

/// <summary>The back end's end of a vhost-user socket: whole messages in, bytes out. Written apart from the front end's, so that one checks the other.</summary>
internal sealed unsafe class VhostUserWire(SafeHandle socket)
{
    private const int HeaderBytes = 12;
    private const int MaxPayload = 4096;
    private const int MaxDescriptors = 8;

    private int Number => (int)socket.DangerousGetHandle();

    /// <summary>A message with version 1 and the reply flag.</summary>
    public static byte[] Reply(uint request, ReadOnlySpan<byte> payload) => Message(request, 5, payload);

    public static byte[] Message(uint request, uint flags, ReadOnlySpan<byte> payload)
        => [.. BitConverter.GetBytes(request), .. BitConverter.GetBytes(flags), .. BitConverter.GetBytes((uint)payload.Length), .. payload];

    /// <summary>The next message; null at the end of the connection.</summary>
    public (uint Request, uint Flags, byte[] Payload, SafeFileHandle[] Handles)? Receive()
    {
        byte[] header = new byte[HeaderBytes];
        if (!Fill(header, out SafeFileHandle[] handles)) return null;
        uint size = BitConverter.ToUInt32(header, 8);
        if (size > MaxPayload) throw new InvalidDataException($"a payload of {size} bytes");
        byte[] payload = new byte[size];
        if (size > 0 && !Fill(payload, out _)) return null;
        return (BitConverter.ToUInt32(header, 0), BitConverter.ToUInt32(header, 4), payload, handles);
    }

    public void Send(ReadOnlySpan<byte> bytes, params ReadOnlySpan<SafeFileHandle> handles)
    {
        byte* control = stackalloc byte[CMSG_SPACE(MaxDescriptors * sizeof(int))];
        fixed (byte* first = bytes)
        {
            iovec part = new() { iov_base = first, iov_len = bytes.Length };
            msghdr message = new() { msg_iov = &part, msg_iovlen = 1 };
            if (handles.Length > 0)
            {
                message.msg_control = control;
                message.msg_controllen = CMSG_SPACE(handles.Length * sizeof(int));
                cmsghdr* ancillary = CMSG_FIRSTHDR(&message);
                ancillary->cmsg_level = SOL_SOCKET;
                ancillary->cmsg_type = SCM_RIGHTS;
                ancillary->cmsg_len = sizeof(cmsghdr) + (handles.Length * sizeof(int));
                for (int i = 0; i < handles.Length; i++) ((int*)CMSG_DATA(ancillary))[i] = Descriptor.Number(handles[i]);
            }

            if (!bytes.IsEmpty && (long)sendmsg(Number, &message, MSG_NOSIGNAL) < 0 && Marshal.GetLastPInvokeError() is not (EPIPE or ECONNRESET))
                throw LinuxException.Last("cannot send");
        }
    }

    private const int EPIPE = 32;
    private const int ECONNRESET = 104;

    private bool Fill(Span<byte> buffer, out SafeFileHandle[] handles)
    {
        handles = [];
        byte* control = stackalloc byte[CMSG_SPACE(MaxDescriptors * sizeof(int))];
        fixed (byte* first = buffer)
        {
            for (int held = 0; held < buffer.Length;)
            {
                iovec part = new() { iov_base = first + held, iov_len = buffer.Length - held };
                msghdr message = new() { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = CMSG_SPACE(MaxDescriptors * sizeof(int)) };
                long count = (long)recvmsg(Number, &message, MSG_CMSG_CLOEXEC);
                if (count < 0 && Marshal.GetLastPInvokeError() == EINTR) continue;
                if (count <= 0) return false;
                if (handles.Length == 0) handles = Take(&message);
                held += (int)count;
            }
        }

        return true;
    }

    private static SafeFileHandle[] Take(msghdr* message)
    {
        cmsghdr* ancillary = CMSG_FIRSTHDR(message);
        if (ancillary == null || ancillary->cmsg_type != SCM_RIGHTS) return [];
        int count = Math.Min(MaxDescriptors, ((int)(ulong)ancillary->cmsg_len - sizeof(cmsghdr)) / sizeof(int));
        SafeFileHandle[] taken = new SafeFileHandle[count];
        for (int i = 0; i < count; i++) taken[i] = new SafeFileHandle(((int*)CMSG_DATA(ancillary))[i], true);
        return taken;
    }
}
