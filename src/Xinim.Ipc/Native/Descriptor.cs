using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace Xinim.Ipc.Native;

/// <summary>What is done with file descriptors as such. Every descriptor is close-on-exec: a child gets what its launcher names.</summary>
public static unsafe class Descriptor
{
    /// <summary>A non-blocking eventfd with counter 0.</summary>
    public static SafeFileHandle CreateEvent() => Own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "cannot make an eventfd");

    /// <summary>Adds one to an eventfd. A counter at its limit is as good as one more.</summary>
    public static void Signal(SafeFileHandle handle)
    {
        ulong one = 1;
        if (write(Number(handle), &one, sizeof(ulong)) < 0 && Marshal.GetLastPInvokeError() != EAGAIN) throw LinuxException.Last("cannot signal an eventfd");
    }

    /// <summary>Takes the counter of an eventfd; 0 where nothing was signalled.</summary>
    public static ulong Drain(SafeFileHandle handle)
    {
        ulong count;
        return read(Number(handle), &count, sizeof(ulong)) == sizeof(ulong) ? count : 0;
    }

    /// <summary>A second descriptor of the same open file, numbered <paramref name="least"/> or above.</summary>
    public static SafeFileHandle Duplicate(SafeFileHandle handle, int least = 3)
        => Own(NativeMethods.Fcntl(handle, NativeConstants.F_DUPFD_CLOEXEC, least), "cannot duplicate a descriptor");

    /// <summary>Waits until one of the descriptors is readable or closed by its peer.</summary>
    /// <param name="timeout">Milliseconds; -1 for ever is for callers that are woken by one of the descriptors in any case.</param>
    /// <returns>A bit for each ready descriptor; 0 when the time is over or a signal came.</returns>
    public static uint Poll(int timeout, params ReadOnlySpan<SafeFileHandle> handles)
    {
        pollfd* entries = stackalloc pollfd[handles.Length];
        for (int i = 0; i < handles.Length; i++) entries[i] = new pollfd { fd = Number(handles[i]), events = POLLIN };
        int ready = PollEntries(entries, handles.Length, timeout);
        uint mask = 0;
        for (int i = 0; ready > 0 && i < handles.Length; i++) mask |= entries[i].revents != 0 ? 1u << i : 0;
        return mask;
    }

    /// <summary>Waits like <see cref="Poll(int, ReadOnlySpan{SafeFileHandle})"/>; a fraction of a millisecond counts as a whole one, and less than nothing as nothing.</summary>
    public static uint Poll(TimeSpan timeout, params ReadOnlySpan<SafeFileHandle> handles) => Poll(
        timeout == Timeout.InfiniteTimeSpan ? -1 : (int)Math.Clamp(Math.Ceiling(timeout.TotalMilliseconds), 0, int.MaxValue), handles);

    /// <summary>Waits for the events of poll(2) on one descriptor.</summary>
    /// <returns>False when the time is over or a signal came.</returns>
    public static bool PollFor(int descriptor, short events, int timeout)
    {
        pollfd entry = new() { fd = descriptor, events = events };
        return PollEntries(&entry, 1, timeout) > 0;
    }

    /// <summary>The descriptor's number, for calls that take one; the handle must outlive the call.</summary>
    public static int Number(SafeFileHandle handle)
    {
        ObjectDisposedException.ThrowIf(handle.IsClosed, handle);
        return (int)handle.DangerousGetHandle();
    }

    private static int PollEntries(pollfd* entries, int count, int timeout)
    {
        int ready = NativeMethods.Poll(entries, (uint)count, timeout);
        if (ready < 0 && Marshal.GetLastPInvokeError() != EINTR) throw LinuxException.Last("cannot poll");
        return ready;
    }

    public static SafeFileHandle Own(int descriptor, string failure)
        => descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : throw LinuxException.Last(failure);
}
