using Xinim.Ipc.Native;
using static Xinim.Ipc.Sandboxing.SeccompFilter;

namespace Xinim.Ipc.Sandboxing;

/// <summary>
/// Which system calls a driver has: the wide list from before its first instruction, under which a runtime starts and a device is brought
/// up, and the tight one for its loop. Neither has sockets, other processes, new programs, new shared memory, or a way to change the size
/// of memory that is shared already.
/// </summary>
internal static class SeccompPolicy
{
    private const int ENOSYS = 38;

    // linux/sched.h: what posix_spawn asks for (CLONE_VM, CLONE_VFORK, SIGCHLD), and every kind of new namespace.
    private const uint SpawnFlags = 0x0000_4111;
    private const uint CLONE_THREAD = 0x0001_0000;
    private const uint NewNamespaces = 0x7e02_0080;

    private const uint MAP_SHARED = 1;
    private const uint MAP_ANONYMOUS = 0x20;
    private const uint PROT_EXEC = 4;
    private const uint F_SETFL = 4;
    private const uint SECCOMP_SET_MODE_FILTER = 1;
    private const uint SECCOMP_FILTER_FLAG_TSYNC = 1;

    // linux/vfio.h: DEVICE_GET_INFO, GET_REGION_INFO, GET_IRQ_INFO, SET_IRQS, RESET. Not PCI_HOT_RESET, which reaches other devices.
    private const uint FirstVfioCall = 0x3b6b;
    private const uint LastVfioCall = 0x3b6f;

    // linux/fcntl.h: F_GETFD, F_SETFD, F_GETFL; F_DUPFD_CLOEXEC; F_GET_SEALS.
    private static readonly uint[] FileCommands = [1, 2, 3, NativeConstants.F_DUPFD_CLOEXEC, NativeConstants.F_GET_SEALS];

    // linux/prctl.h: SET_PDEATHSIG, GET_DUMPABLE, SET_DUMPABLE, SET_NAME, SET_NO_NEW_PRIVS.
    private static readonly uint[] ProcessOptions = [1, 3, 4, 15, 38];

    // mman.h: NORMAL, WILLNEED, DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE, DONTDUMP, DODUMP, POPULATE_READ, POPULATE_WRITE. Not REMOVE, which takes pages from under a peer.
    private static readonly uint[] Advice = [0, 3, 4, 8, 14, 15, 16, 17, 22, 23];

    /// <summary>For the spawning thread and what it spawns.</summary>
    /// <param name="ownPids">The child is process 1 of its namespace, and signals nobody else.</param>
    public static byte[] Wide(bool ownPids)
    {
        SeccompFilter filter = Common()
            .When(SystemCall.Execve, Ask)
            .When(SystemCall.Clone, Ask, Condition.Is(0, SpawnFlags))
            .Allow(SystemCall.Clone, Condition.Bits(0, CLONE_THREAD | NewNamespaces, CLONE_THREAD))
            // Its flags lie in memory, where no filter sees them; the C library falls back to clone.
            .When(SystemCall.Clone3, Fail(ENOSYS))
            .Allow(SystemCall.Openat, SystemCall.Access, SystemCall.Newfstatat, SystemCall.Lseek, SystemCall.Readv, SystemCall.ArchPrctl, SystemCall.Uname)
            .Allow(SystemCall.SetTidAddress, SystemCall.CloseRange, SystemCall.Dup2, SystemCall.Setpgid)
            .Allow(SystemCall.Getuid, SystemCall.Geteuid, SystemCall.Getgid, SystemCall.Getegid, SystemCall.EpollCreate1);
        filter.Allow(SystemCall.Fcntl, Condition.Is(1, F_SETFL));
        filter.Allow(SystemCall.Seccomp, Condition.Is(0, SECCOMP_SET_MODE_FILTER), Condition.Is(1, SECCOMP_FILTER_FLAG_TSYNC));
        foreach (uint option in ProcessOptions) filter.Allow(SystemCall.Prctl, Condition.Is(0, option));
        Map(filter, executable: true);
        return (ownPids ? filter.Allow(SystemCall.Tgkill, Condition.Is(0, 1)) : filter.Allow(SystemCall.Tgkill, Condition.Is(2, RuntimeSignal))).ToBytes();
    }

    /// <summary>For a driver that is ready: its loop, and the runtime under it.</summary>
    /// <param name="pid">The process's number as it sees it.</param>
    public static byte[] Tight(int pid)
    {
        SeccompFilter filter = Common().Allow(SystemCall.Tgkill, Condition.Is(0, (uint)pid));
        Map(filter, executable: false);
        return filter.ToBytes();
    }

    /// <summary>The signal with which the runtime stops a thread for the collector: the C library's SIGRTMIN (the kernel's first two are its own).</summary>
    private const uint RuntimeSignal = 34;

    private static SeccompFilter Common()
    {
        SeccompFilter filter = new SeccompFilter()
            .Allow(SystemCall.Sendmsg, SystemCall.Recvmsg, SystemCall.Recvfrom, SystemCall.Poll, SystemCall.Ppoll, SystemCall.EpollWait, SystemCall.EpollPwait)
            .Allow(SystemCall.Read, SystemCall.Write, SystemCall.Pread64, SystemCall.Pwrite64, SystemCall.Futex, SystemCall.SchedYield, SystemCall.EpollCtl)
            .Allow(SystemCall.Eventfd2, SystemCall.Close, SystemCall.Fstat, SystemCall.Munmap, SystemCall.Brk, SystemCall.Mremap, SystemCall.Membarrier)
            .Allow(SystemCall.RtSigaction, SystemCall.RtSigprocmask, SystemCall.RtSigreturn, SystemCall.Sigaltstack, SystemCall.RestartSyscall)
            .Allow(SystemCall.Nanosleep, SystemCall.ClockNanosleep, SystemCall.ClockGettime, SystemCall.ClockGetres, SystemCall.Gettimeofday)
            .Allow(SystemCall.Getpid, SystemCall.Gettid, SystemCall.SchedGetaffinity, SystemCall.Getcpu, SystemCall.Getrandom, SystemCall.Getrusage)
            .Allow(SystemCall.SetRobustList, SystemCall.Rseq, SystemCall.Exit, SystemCall.ExitGroup, SystemCall.Writev)
            // The collector asks how much memory the machine has left.
            .Allow(SystemCall.Sysinfo)
            .Allow(SystemCall.Ioctl, Condition.Between(1, FirstVfioCall, LastVfioCall))
            // Its own limits, to read: the new ones' pointer is null.
            .Allow(SystemCall.Prlimit64, Condition.Is(0, 0), Condition.Is(2, 0), Condition.HighIsZero(2));
        foreach (uint command in FileCommands) filter.Allow(SystemCall.Fcntl, Condition.Is(1, command));
        foreach (uint advice in Advice) filter.Allow(SystemCall.Madvise, Condition.Is(2, advice));
        return filter;
    }

    /// <summary>Memory that is shared comes by descriptor only: anonymous shared memory would escape the limit of private memory.</summary>
    private static void Map(SeccompFilter filter, bool executable)
    {
        uint forbidden = executable ? 0 : PROT_EXEC;
        filter.Allow(SystemCall.Mprotect, Condition.Bits(2, forbidden, 0))
            .Allow(SystemCall.Mmap, Condition.Bits(2, forbidden, 0), Condition.Bits(3, MAP_SHARED, 0))
            .Allow(SystemCall.Mmap, Condition.Bits(2, forbidden, 0), Condition.Bits(3, MAP_ANONYMOUS, 0));
    }
}
