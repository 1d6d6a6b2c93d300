using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Xinim.Ipc.Native;

namespace Xinim.Ipc.Memory;

/// <summary>
/// Brings the pages of this program and its libraries into the process before they are needed, for a process that waits to be quick: each page
/// that is first touched later costs a fault then. Needs Linux 5.14; on an older one nothing happens.
/// </summary>
public static unsafe class ProgramPages
{
    private const uint PT_LOAD = 1;
    private const uint PF_W = 2;
    private const int MADV_POPULATE_READ = 22;
    private const int MADV_POPULATE_WRITE = 23;

    /// <summary>Loads what is mapped of the program's files.</summary>
    public static void Load() => _ = NativeMethods.IterateProgramHeaders(&Visit, null);

    /// <summary>Called for each loaded object (dl_iterate_phdr(3)).</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Visit(LoadedObject* loaded, nuint size, void* data)
    {
        for (int i = 0; i < loaded->HeaderCount; i++)
        {
            ProgramHeader header = loaded->Headers[i];
            if (header.Type != PT_LOAD) continue;
            nuint page = (nuint)Environment.SystemPageSize;
            nuint start = (loaded->Address + header.VirtualAddress) & ~(page - 1);
            nuint length = loaded->Address + header.VirtualAddress + header.MemorySize - start;
            // What the loader made read-only after relocation refuses to be written: then it is read.
            if ((header.Flags & PF_W) == 0 || Advise(start, length, MADV_POPULATE_WRITE) != 0) _ = Advise(start, length, MADV_POPULATE_READ);
        }

        return 0;
    }

    private static long Advise(nuint start, nuint length, int advice) => NativeMethods.Syscall(SystemCall.Madvise, (long)start, (long)length, advice);

    /// <summary>struct dl_phdr_info (link.h), as far as it is needed.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct LoadedObject
    {
        public nuint Address;
        public byte* Name;
        public ProgramHeader* Headers;
        public ushort HeaderCount;
    }

    /// <summary>Elf64_Phdr (elf.h).</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ProgramHeader
    {
        public uint Type;
        public uint Flags;
        public ulong Offset;
        public nuint VirtualAddress;
        public nuint PhysicalAddress;
        public nuint FileSize;
        public nuint MemorySize;
        public ulong Alignment;
    }
}
