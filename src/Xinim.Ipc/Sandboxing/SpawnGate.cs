using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Ipc.Processes;

namespace Xinim.Ipc.Sandboxing;

/// <summary>
/// Lets one process be made and one program be executed, once. The filter of a sandbox hands both calls to whoever holds its listener
/// (seccomp_unotify(2)); this end says "continue" to each a single time and closes the listener, and from then on both fail with ENOSYS for
/// whoever has the filter. So the filter can stand before posix_spawn, and the child can never fork or execute anything again.
/// </summary>
internal sealed unsafe class SpawnGate : IDisposable
{
    // _IOWR('!', 0, struct seccomp_notif) and _IOWR('!', 1, struct seccomp_notif_resp), linux/seccomp.h.
    private const uint SECCOMP_IOCTL_NOTIF_RECV = 0xC050_2100;
    private const uint SECCOMP_IOCTL_NOTIF_SEND = 0xC018_2101;
    private const uint SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;
    private const int EINTR = 4;
    private const int ENOENT = 2;

    /// <summary>The calls follow each other within a millisecond; reached only when something is broken.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private readonly SafeFileHandle _opened = Descriptor.CreateEvent();
    private readonly SafeFileHandle _closed = Descriptor.CreateEvent();
    private int _listener = -1;

    /// <summary>From the spawning thread: the filter holds.</summary>
    public void Open(int listener)
    {
        _listener = listener;
        Signal(_opened);
    }

    /// <summary>From the spawning thread: nothing more comes.</summary>
    public void Close()
    {
        Signal(_closed);
        Signal(_opened);
    }

    /// <summary>Answers for the spawning thread, until its child is about to execute the program.</summary>
    /// <param name="request">Its limits are set for the child before that.</param>
    /// <returns>The child; null where it did not come to that.</returns>
    public ChildProcess? LetOneThrough(LaunchRequest request)
    {
        Descriptor.Poll(Limit, _opened);
        if (_listener < 0) return null;
        using SafeFileHandle listener = new(_listener, ownsHandle: true);
        while ((Descriptor.Poll(Limit, listener, _closed) & 1) != 0)
        {
            Notification asked = default;
            if (NativeMethods.Syscall(SystemCall.Ioctl, Descriptor.Number(listener), SECCOMP_IOCTL_NOTIF_RECV, (long)&asked) < 0)
            {
                if (Marshal.GetLastPInvokeError() is EINTR or ENOENT) continue;
                throw LinuxException.Last("cannot hear what the spawning thread asks");
            }

            if (asked.Number == SystemCall.Execve) return Release(listener, asked, request);
            Continue(listener, asked);
        }

        return null;
    }

    public void Dispose()
    {
        _opened.Dispose();
        _closed.Dispose();
    }

    /// <summary>The child is about to execute the program: what is to hold for it is set now.</summary>
    private static ChildProcess Release(SafeFileHandle listener, in Notification asked, LaunchRequest request)
    {
        ChildProcess child = new((int)asked.Pid);
        try
        {
            request.Limits?.Apply(child.Pid, request.User);
            Continue(listener, asked);
            return child;
        }
        catch
        {
            child.Dispose();
            throw;
        }
    }

    private static void Continue(SafeFileHandle listener, in Notification asked)
    {
        Response go = new() { Id = asked.Id, Flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
        if (NativeMethods.Syscall(SystemCall.Ioctl, Descriptor.Number(listener), SECCOMP_IOCTL_NOTIF_SEND, (long)&go) < 0)
            throw LinuxException.Last("cannot let the spawning thread go on");
    }

    private static void Signal(SafeFileHandle handle)
    {
        ulong one = 1;
        _ = NativeMethods.Syscall(SystemCall.Write, (int)handle.DangerousGetHandle(), (long)&one, sizeof(ulong));
    }

    // struct seccomp_notif {__u64 id; __u32 pid; __u32 flags; struct seccomp_data {int nr; __u32 arch; __u64 ip, args[6];} data;}
    [StructLayout(LayoutKind.Sequential)]
    private struct Notification
    {
        public ulong Id;
        public uint Pid;
        public uint Flags;
        public int Number;
        public uint Architecture;
        public ulong InstructionPointer;
        public SixArguments Arguments;
    }

    [InlineArray(6)]
    private struct SixArguments
    {
        private ulong _first;
    }

    // struct seccomp_notif_resp {__u64 id; __s64 val; __s32 error; __u32 flags;}
    [StructLayout(LayoutKind.Sequential)]
    private struct Response
    {
        public ulong Id;
        public long Value;
        public int Error;
        public uint Flags;
    }
}
