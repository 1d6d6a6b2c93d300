using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Xinim.Vfio.Native;

/// <summary>System calls on safe handles, each with its error in <see cref="Marshal.GetLastPInvokeError"/>; the only LibraryImport file of the project.</summary>
internal static unsafe partial class NativeMethods
{
    private const string LibC = "libc.so.6";
    private const int EINTR = 4;

    /// <summary>ioctl(2) with a pointer argument.</summary>
    [LibraryImport(LibC, EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Ioctl(SafeFileHandle file, nuint request, void* argument);

    /// <summary>ioctl(2) with a number as its argument.</summary>
    [LibraryImport(LibC, EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Ioctl(SafeFileHandle file, nuint request, nint argument);

    /// <summary>pread(2).</summary>
    [LibraryImport(LibC, EntryPoint = "pread", SetLastError = true)]
    public static partial nint Pread(SafeFileHandle file, void* buffer, nuint count, long offset);

    /// <summary>pwrite(2).</summary>
    [LibraryImport(LibC, EntryPoint = "pwrite", SetLastError = true)]
    public static partial nint Pwrite(SafeFileHandle file, void* buffer, nuint count, long offset);

    /// <summary>read(2).</summary>
    [LibraryImport(LibC, EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(SafeFileHandle file, void* buffer, nuint count);

    /// <summary>write(2).</summary>
    [LibraryImport(LibC, EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(SafeFileHandle file, void* buffer, nuint count);

    /// <summary>mmap(2); -1 on failure.</summary>
    [LibraryImport(LibC, EntryPoint = "mmap", SetLastError = true)]
    public static partial nint Mmap(nint address, nuint length, int protection, int flags, SafeFileHandle file, long offset);

    /// <summary>munmap(2).</summary>
    [LibraryImport(LibC, EntryPoint = "munmap", SetLastError = true)]
    public static partial int Munmap(nint address, nuint length);

    /// <summary>eventfd(2), non-blocking and closed on exec; an invalid handle on failure.</summary>
    public static SafeFileHandle EventFd()
    {
        const int cloexec = 0x80000, nonblock = 0x800;
        return new SafeFileHandle(EventFdNumber(0, cloexec | nonblock), ownsHandle: true);
    }

    /// <summary>open(2), closed on exec; an invalid handle on failure.</summary>
    public static SafeFileHandle Open(string path, int flags)
    {
        const int cloexec = 0x80000;
        int number;
        do number = OpenNumber(path, flags | cloexec, 0);
        while (number < 0 && Marshal.GetLastPInvokeError() == EINTR);
        return new SafeFileHandle(number, ownsHandle: true);
    }

    [LibraryImport(LibC, EntryPoint = "eventfd", SetLastError = true)]
    private static partial int EventFdNumber(uint initial, int flags);

    [LibraryImport(LibC, EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenNumber(string path, int flags, uint mode);
}
