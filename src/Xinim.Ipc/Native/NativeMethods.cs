using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Xinim.Ipc.Native;

/// <summary>System calls that Tmds.LibC lacks; the only LibraryImport file of the project.</summary>
internal static unsafe partial class NativeMethods
{
    private const string LibC = "libc";

    [LibraryImport(LibC, EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int MemfdCreate(string name, uint flags);

    [LibraryImport(LibC, EntryPoint = "fcntl", SetLastError = true)]
    public static partial int Fcntl(SafeFileHandle file, int command, int argument);

    [LibraryImport(LibC, EntryPoint = "posix_fallocate")]
    private static partial int PosixFallocate(SafeFileHandle file, long offset, long length);

    /// <summary>Sets the size of a file and takes its pages; 0, or -1 with the error in errno.</summary>
    public static int Fallocate(SafeFileHandle file, long length)
    {
        int error = PosixFallocate(file, 0, length);
        Marshal.SetLastPInvokeError(error);
        return error == 0 ? 0 : -1;
    }

    public static long SizeOf(SafeFileHandle file) => Stat(file).st_size;

    public static int BlockSizeOf(SafeFileHandle file) => (int)(long)Stat(file).st_blksize;

    /// <summary>The descriptor's number, for calls that take one; the handle must outlive the call.</summary>
    public static int Number(SafeFileHandle file) => (int)file.DangerousGetHandle();

    private static Tmds.Linux.stat Stat(SafeFileHandle file)
    {
        Tmds.Linux.stat status;
        return Tmds.Linux.LibC.fstat(Number(file), &status) == 0 ? status : throw LinuxException.Last("cannot stat a descriptor");
    }
}
