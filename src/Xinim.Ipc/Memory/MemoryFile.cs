using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using static Tmds.Linux.LibC;

namespace Xinim.Ipc.Memory;

/// <summary>memfd creation, sealing and mapping (memfd_create(2), fcntl(2) F_ADD_SEALS).</summary>
internal static unsafe class MemoryFile
{
    private const int OrdinaryPage = 4096;
    private const int Huge2MiB = 2 << 20;
    private const int Huge1GiB = 1 << 30;
    private const int RequiredSeals = NativeConstants.F_SEAL_GROW | NativeConstants.F_SEAL_SHRINK;

    public static (SafeFileHandle Handle, long Size, int PageSize, string? Reason) Create(string name, long size, PageChoice pages)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        // The kernel would try: fallocate takes page after page until the out-of-memory killer ends some process, not always this one.
        long machine = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (size > machine) throw new LinuxException($"no memory for the {size}-byte region '{name}': this machine has {machine} bytes; ask for less");
        string? reason = null;
        if (pages == PageChoice.Huge1GiB && TryCreate(name, size, Huge1GiB, ref reason) is { } giant) return (giant, RoundUp(size, Huge1GiB), Huge1GiB, reason);
        if (pages != PageChoice.Ordinary && TryCreate(name, size, Huge2MiB, ref reason) is { } huge) return (huge, RoundUp(size, Huge2MiB), Huge2MiB, reason);
        string? error = null;
        SafeFileHandle plain = TryCreate(name, size, OrdinaryPage, ref error)
            ?? throw new LinuxException($"no memory for the {size}-byte region '{name}': {error}");
        return (plain, RoundUp(size, OrdinaryPage), OrdinaryPage, reason);
    }

    /// <summary>Refuses what is not a memfd of exactly <paramref name="size"/> bytes that nobody can resize.</summary>
    public static void Check(SafeFileHandle handle, long size)
    {
        int seals = NativeMethods.Fcntl(handle, NativeConstants.F_GET_SEALS, 0);
        if (seals < 0) throw LinuxException.Last("the received descriptor is not a memfd");
        if ((seals & RequiredSeals) != RequiredSeals)
            throw new LinuxException($"the received region can still be resized (seals 0x{seals:x}); its maker must seal it");
        long actual = NativeMethods.SizeOf(handle);
        if (actual != size) throw new LinuxException($"the received region has {actual} bytes, {size} were announced");
    }

    public static int PageSizeOf(SafeFileHandle handle) => NativeMethods.BlockSizeOf(handle);

    public static byte* Map(SafeFileHandle handle, long size, RegionAccess access)
    {
        int protection = PROT_READ | ((access & RegionAccess.Write) != 0 ? PROT_WRITE : 0);
        void* address = mmap(null, (Tmds.Linux.size_t)(ulong)size, protection, MAP_SHARED | MAP_POPULATE, Descriptor.Number(handle), 0);
        return address == MAP_FAILED
            ? throw LinuxException.Last($"cannot map a region of {size} bytes for {access}")
            : (byte*)address;
    }

    private static SafeFileHandle? TryCreate(string name, long size, int pageSize, ref string? reason)
    {
        int handle = NativeMethods.MemfdCreate(name, Flags(pageSize));
        if (handle < 0) return Fail(ref reason, pageSize);
        SafeFileHandle file = new(handle, ownsHandle: true);
        long rounded = RoundUp(size, pageSize);
        // fallocate takes huge pages from the pool now: without it a missing page is a SIGBUS at the first touch.
        if (NativeMethods.Fallocate(file, rounded) == 0
            && NativeMethods.Fcntl(file, NativeConstants.F_ADD_SEALS, RequiredSeals | NativeConstants.F_SEAL_SEAL) == 0)
            return file;
        Fail(ref reason, pageSize);
        file.Dispose();
        return null;
    }

    private static SafeFileHandle? Fail(ref string? reason, int pageSize)
    {
        string error = Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError());
        string remedy = pageSize switch
        {
            OrdinaryPage => "",
            Huge2MiB => "; reserve some with 'xinim hugepages 64'",
            _ => "; reserve one with 'xinim hugepages 1 --size 1G'",
        };
        reason ??= $"no {pageSize >> 10} KiB pages to be had ({error}){remedy}";
        return null;
    }

    private static uint Flags(int pageSize) => NativeConstants.MFD_CLOEXEC | NativeConstants.MFD_ALLOW_SEALING | pageSize switch
    {
        OrdinaryPage => 0u,
        _ => NativeConstants.MFD_HUGETLB | ((uint)int.Log2(pageSize) << NativeConstants.MFD_HUGE_SHIFT),
    };

    private static long RoundUp(long size, int pageSize) => checked(size + pageSize - 1) & -(long)pageSize;
}
