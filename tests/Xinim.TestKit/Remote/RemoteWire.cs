using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using Xinim.Ipc;
using Xinim.Ipc.Native;
using static Tmds.Linux.LibC;

namespace Xinim.TestKit.Remote;

/// <summary>The model's end of the socket: whole messages in, bytes out. Written apart from the driver's end, so that one checks the other.</summary>
internal sealed unsafe class RemoteWire(SafeFileHandle socket) : IDisposable
{
    private const int HeaderBytes = 16;
    private const int MaxPayload = 192;
    private const int MaxDescriptors = 8;

    public static byte[] Reply(ulong value)
    {
        byte[] bytes = new byte[HeaderBytes + 8];
        bytes[0] = 1;
        bytes[8] = 8;
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(HeaderBytes), value);
        return bytes;
    }

    /// <summary>What QEMU sends for DEVICE_RESET: no value.</summary>
    public static byte[] EmptyReply() => [1, .. new byte[HeaderBytes - 1]];

    /// <summary>Waits for a request, and tells of resampling meanwhile.</summary>
    /// <returns>True: <see cref="Receive"/> will not wait.</returns>
    public bool WaitForRequest(SafeFileHandle? resample, Action onResample)
    {
        while (true)
        {
            uint ready = resample is null ? Descriptor.Poll(-1, socket) : Descriptor.Poll(-1, socket, resample);
            if ((ready & 2) != 0 && Descriptor.Drain(resample!) != 0) onResample();
            if ((ready & 1) != 0) return true;
        }
    }

    /// <summary>Receives a message; false at the end of the connection.</summary>
    public bool Receive(out int command, out byte[] payload, out SafeFileHandle[] descriptors)
    {
        byte[] header = new byte[HeaderBytes];
        payload = [];
        command = 0;
        if (!Fill(header, out descriptors)) return false;
        command = BinaryPrimitives.ReadInt32LittleEndian(header);
        ulong size = BinaryPrimitives.ReadUInt64LittleEndian(header.AsSpan(8));
        if (size > MaxPayload) throw new InvalidDataException($"a payload of {size} bytes");
        payload = new byte[size];
        return size == 0 || Fill(payload, out _);
    }

    public void Send(ReadOnlySpan<byte> bytes)
    {
        fixed (byte* first = bytes)
        {
            if (!bytes.IsEmpty && (long)send(Descriptor.Number(socket), first, bytes.Length, MSG_NOSIGNAL) < 0 && Marshal.GetLastPInvokeError() != EPIPE)
                throw LinuxException.Last("cannot send a reply");
        }
    }

    /// <summary>Ends the connection; whoever waits sees it.</summary>
    public void Shutdown() => _ = shutdown(Descriptor.Number(socket), SHUT_RDWR);

    public void Dispose() => socket.Dispose();

    private bool Fill(Span<byte> buffer, out SafeFileHandle[] descriptors)
    {
        descriptors = [];
        byte* control = stackalloc byte[64];
        fixed (byte* first = buffer)
        {
            for (int held = 0; held < buffer.Length;)
            {
                iovec part = new() { iov_base = first + held, iov_len = buffer.Length - held };
                msghdr message = new() { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = 64 };
                long count = (long)recvmsg(Descriptor.Number(socket), &message, MSG_CMSG_CLOEXEC);
                if (count < 0 && Marshal.GetLastPInvokeError() == EINTR) continue;
                if (count <= 0) return false;
                if (descriptors.Length == 0) descriptors = Take(&message);
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
        for (int i = 0; i < count; i++) taken[i] = new SafeFileHandle(((int*)(ancillary + 1))[i], true);
        return taken;
    }
}
