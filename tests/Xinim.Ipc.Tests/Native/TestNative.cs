using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Xinim.Ipc.Tests.Native;

/// <summary>System calls by which a test plays a hostile peer.</summary>
internal static class TestNative
{
    public const int SealSeal = 1, SealShrink = 2, SealGrow = 4;
    private const uint CloseOnExec = 1, AllowSealing = 2;
    private const int AddSeals = 1033;

    /// <summary>A memfd of that size with those seals.</summary>
    public static SafeFileHandle MakeMemoryFile(long size, int seals)
    {
        SafeFileHandle file = new(memfd_create("hostile", CloseOnExec | AllowSealing), ownsHandle: true);
        if (!Resize(file, size) || fcntl(file, AddSeals, seals) != 0) throw new IOException("the test's own memfd failed");
        return file;
    }

    /// <summary>False where the kernel refuses.</summary>
    public static bool Resize(SafeFileHandle file, long size) => ftruncate(file, size) == 0;

    /// <summary>False where the kernel refuses.</summary>
    public static bool Seal(SafeFileHandle file, int seals) => fcntl(file, AddSeals, seals) == 0;

    /// <summary>Sends raw bytes and any number of descriptors over a socket: what no <c>Channel</c> would send.</summary>
    public static void SendDescriptors(SafeFileHandle socket, byte[] bytes, SafeFileHandle[] handles)
    {
        // struct cmsghdr {size_t len; int level = SOL_SOCKET; int type = SCM_RIGHTS;} and the descriptors (cmsg(3), x86-64).
        int[] rights = [16 + (handles.Length * sizeof(int)), 0, 1, 1, .. handles.Select(handle => (int)handle.DangerousGetHandle()), 0];
        GCHandle data = GCHandle.Alloc(bytes, GCHandleType.Pinned), control = GCHandle.Alloc(rights, GCHandleType.Pinned);
        GCHandle vector = GCHandle.Alloc(new nint[] { data.AddrOfPinnedObject(), bytes.Length }, GCHandleType.Pinned);
        try
        {
            // struct msghdr {void *name; socklen_t namelen; struct iovec *iov; size_t iovlen; void *control; size_t controllen; int flags;}
            nint[] message = [0, 0, vector.AddrOfPinnedObject(), 1, handles.Length > 0 ? control.AddrOfPinnedObject() : 0, handles.Length > 0 ? rights[0] : 0, 0];
            if (sendmsg(socket, message, 0) != bytes.Length) throw new IOException("the test's own sendmsg failed");
        }
        finally
        {
            vector.Free();
            control.Free();
            data.Free();
        }
    }

    /// <summary>Descriptors that this process has open, the directory's own included.</summary>
    public static int CountDescriptors() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    /// <summary>The calling thread, for <see cref="SignalThread"/>.</summary>
    public static int ThisThread() => gettid();

    /// <summary>Sends a signal to a thread of this process, if it has not ended.</summary>
    public static void SignalThread(int thread, int signal) => _ = tgkill(Environment.ProcessId, thread, signal);

    [DllImport("libc")]
    private static extern int gettid();

    [DllImport("libc")]
    private static extern int tgkill(int process, int thread, int signal);

    [DllImport("libc", BestFitMapping = false)]
    private static extern int memfd_create([MarshalAs(UnmanagedType.LPUTF8Str)] string name, uint flags);

    [DllImport("libc")]
    private static extern nint sendmsg(SafeFileHandle socket, nint[] message, int flags);

    [DllImport("libc")]
    private static extern int ftruncate(SafeFileHandle file, long size);

    [DllImport("libc")]
    private static extern int fcntl(SafeFileHandle file, int command, int argument);
}
