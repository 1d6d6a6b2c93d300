using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Xinim.Ipc.Native;

/// <summary>System calls that Tmds.LibC lacks; the only LibraryImport file of the project.</summary>
internal static unsafe partial class NativeMethods
{
    // The name by which the C library is loaded already: any other costs .NET a search of sixty paths at the start.
    private const string LibC = "libc.so.6";

    [LibraryImport(LibC, EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int MemfdCreate(string name, uint flags);

    /// <summary>Tmds.LibC has poll, but does not keep its errno.</summary>
    [LibraryImport(LibC, EntryPoint = "poll", SetLastError = true)]
    public static partial int Poll(Tmds.Linux.pollfd* entries, ulong count, int timeout);

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

    [LibraryImport(LibC, EntryPoint = "tcgetattr", SetLastError = true)]
    public static partial int TcGetAttributes(SafeFileHandle terminal, TerminalAttributes* attributes);

    [LibraryImport(LibC, EntryPoint = "tcsetattr", SetLastError = true)]
    public static partial int TcSetAttributes(SafeFileHandle terminal, int when, TerminalAttributes* attributes);

    [LibraryImport(LibC, EntryPoint = "cfmakeraw")]
    public static partial void MakeRaw(TerminalAttributes* attributes);

    [LibraryImport(LibC, EntryPoint = "posix_openpt", SetLastError = true)]
    public static partial int OpenPseudoTerminal(int flags);

    [LibraryImport(LibC, EntryPoint = "unlockpt", SetLastError = true)]
    public static partial int UnlockPseudoTerminal(SafeFileHandle master);

    [LibraryImport(LibC, EntryPoint = "ptsname_r", SetLastError = true)]
    public static partial int NamePseudoTerminal(SafeFileHandle master, byte* name, ulong room);

    [LibraryImport(LibC, EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Ioctl(SafeFileHandle file, ulong request, ushort* argument);

    public static long SizeOf(SafeFileHandle file) => Stat(file).st_size;

    public static int BlockSizeOf(SafeFileHandle file) => (int)(long)Stat(file).st_blksize;

    [LibraryImport(LibC, EntryPoint = "syscall", SetLastError = true)]
    public static partial long Syscall(long number, long first = 0, long second = 0, long third = 0, long fourth = 0, long fifth = 0);

    [LibraryImport(LibC, EntryPoint = "dl_iterate_phdr")]
    public static partial int IterateProgramHeaders(delegate* unmanaged[Cdecl]<Memory.ProgramPages.LoadedObject*, nuint, void*, int> visit, void* data);

    [LibraryImport(LibC, EntryPoint = "prctl", SetLastError = true)]
    public static partial int Prctl(int option, ulong second = 0, ulong third = 0, ulong fourth = 0, ulong fifth = 0);

    [LibraryImport(LibC, EntryPoint = "posix_spawn")]
    public static partial int PosixSpawn(out int pid, byte* path, void* fileActions, void* attributes, byte** arguments, byte** environment);

    [LibraryImport(LibC, EntryPoint = "posix_spawn_file_actions_init")]
    public static partial int SpawnActionsInit(void* actions);

    [LibraryImport(LibC, EntryPoint = "posix_spawn_file_actions_destroy")]
    public static partial int SpawnActionsDestroy(void* actions);

    [LibraryImport(LibC, EntryPoint = "posix_spawn_file_actions_adddup2")]
    public static partial int SpawnActionsDuplicate(void* actions, int from, int to);

    [LibraryImport(LibC, EntryPoint = "posix_spawn_file_actions_addclosefrom_np")]
    public static partial int SpawnActionsCloseFrom(void* actions, int lowest);

    [LibraryImport(LibC, EntryPoint = "posix_spawnattr_init")]
    public static partial int SpawnAttributesInit(void* attributes);

    [LibraryImport(LibC, EntryPoint = "posix_spawnattr_destroy")]
    public static partial int SpawnAttributesDestroy(void* attributes);

    [LibraryImport(LibC, EntryPoint = "posix_spawnattr_setflags")]
    public static partial int SpawnAttributesSetFlags(void* attributes, short flags);

    [LibraryImport(LibC, EntryPoint = "posix_spawnattr_setsigmask")]
    public static partial int SpawnAttributesSetMask(void* attributes, void* signals);

    [LibraryImport(LibC, EntryPoint = "posix_spawnattr_setsigdefault")]
    public static partial int SpawnAttributesSetDefault(void* attributes, void* signals);

    [LibraryImport(LibC, EntryPoint = "waitid", SetLastError = true)]
    public static partial int WaitId(int idType, int id, void* info, int options);

    [LibraryImport(LibC, EntryPoint = "getgrnam", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial byte* GetGroup(string name);

    /// <summary>A group's number; null where there is none of that name. Not for several threads at a time (getgrnam(3)).</summary>
    public static uint? FindGroup(string name)
    {
        // struct group {char *gr_name; char *gr_passwd; gid_t gr_gid; …} (grp.h).
        byte* entry = GetGroup(name);
        return entry == null ? null : *(uint*)(entry + (2 * sizeof(void*)));
    }

    private static Tmds.Linux.stat Stat(SafeFileHandle file)
    {
        Tmds.Linux.stat status;
        return Tmds.Linux.LibC.fstat(Descriptor.Number(file), &status) == 0 ? status : throw LinuxException.Last("cannot stat a descriptor");
    }
}
