namespace Xinim.Ipc.Native;

/// <summary>x86-64 system call numbers, asm/unistd_64.h; the only machine that Xinim runs on.</summary>
internal static class SystemCall
{
    public const int Read = 0, Write = 1, Close = 3, Fstat = 5, Poll = 7, Lseek = 8, Mmap = 9, Mprotect = 10, Munmap = 11, Brk = 12;
    public const int RtSigaction = 13, RtSigprocmask = 14, RtSigreturn = 15, Ioctl = 16, Pread64 = 17, Pwrite64 = 18, Readv = 19, Writev = 20;
    public const int Access = 21, SchedYield = 24, Mremap = 25, Madvise = 28, Dup2 = 33, Nanosleep = 35, Getpid = 39, Sendto = 44, Recvfrom = 45;
    public const int Sendmsg = 46, Recvmsg = 47, Clone = 56, Execve = 59, Exit = 60, Uname = 63, Fcntl = 72, Fchdir = 81, Gettimeofday = 96;
    public const int Getrlimit = 97, Getrusage = 98, Sysinfo = 99, Getuid = 102, Getgid = 104, Geteuid = 107, Getegid = 108, Setpgid = 109;
    public const int Setgroups = 116, Setresuid = 117, Setresgid = 119, Sigaltstack = 131, PivotRoot = 155, Prctl = 157, ArchPrctl = 158, Chroot = 161;
    public const int Mount = 165, Umount2 = 166, Sethostname = 170, Gettid = 186, Futex = 202, SchedSetaffinity = 203, SchedGetaffinity = 204, SetTidAddress = 218;
    public const int Getpriority = 140, Setpriority = 141, RestartSyscall = 219, ClockGettime = 228, ClockGetres = 229, ClockNanosleep = 230, ExitGroup = 231, EpollWait = 232, EpollCtl = 233;
    public const int Tgkill = 234, Openat = 257, Mkdirat = 258, Newfstatat = 262, Ppoll = 271, Unshare = 272, SetRobustList = 273, EpollPwait = 281;
    public const int Eventfd2 = 290, EpollCreate1 = 291, Prlimit64 = 302, Getcpu = 309, Setns = 308, Seccomp = 317, Getrandom = 318, Membarrier = 324;
    public const int Rseq = 334, PidfdSendSignal = 424, OpenTree = 428, MoveMount = 429, Fsopen = 430, Fsconfig = 431, Fsmount = 432, PidfdOpen = 434;
    public const int Clone3 = 435, CloseRange = 436, MountSetattr = 442, LandlockCreateRuleset = 444, LandlockAddRule = 445, LandlockRestrictSelf = 446;
}
