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

    /// <summary>Descriptors that this process has open, the directory's own included.</summary>
    public static int CountDescriptors() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    [DllImport("libc", BestFitMapping = false)]
    private static extern int memfd_create([MarshalAs(UnmanagedType.LPUTF8Str)] string name, uint flags);

    [DllImport("libc")]
    private static extern int ftruncate(SafeFileHandle file, long size);

    [DllImport("libc")]
    private static extern int fcntl(SafeFileHandle file, int command, int argument);
}
