using System.Runtime.InteropServices;
using Xinim.Ipc.Native;

namespace Xinim.Ipc.Processes;

/// <summary>
/// Gives up privileges of the calling thread only: the C library's wrappers change every thread of a process, the system calls themselves
/// only the caller (setresuid(2), "C library/kernel differences"). The thread must end afterwards.
/// </summary>
internal static class ThreadPrivileges
{
    // x86-64 system call numbers, asm/unistd_64.h; the only machine that Xinim runs on.
    private const long SYS_setgroups = 116;
    private const long SYS_setresuid = 117;
    private const long SYS_setresgid = 119;
    private const int PR_CAPBSET_READ = 23;
    private const int PR_CAPBSET_DROP = 24;
    private const int PR_SET_NO_NEW_PRIVS = 38;
    private const int PR_CAP_AMBIENT = 47;
    private const ulong PR_CAP_AMBIENT_CLEAR_ALL = 4;
    private const int CapabilityLimit = 64;

    /// <summary>
    /// no_new_privs always; with a user also: no capability in any set, no supplementary groups, that uid and gid.
    /// </summary>
    /// <exception cref="LinuxException">Not allowed; the launcher needs to be root for another user.</exception>
    public static void Drop(uint? user)
    {
        if (user is { } id)
        {
            for (ulong capability = 0; capability < CapabilityLimit && NativeMethods.Prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
                Check(NativeMethods.Prctl(PR_CAPBSET_DROP, capability), "cannot drop capabilities", id);
            Check(NativeMethods.Prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL), "cannot clear ambient capabilities", id);
            Check(NativeMethods.Syscall(SYS_setgroups), "cannot drop groups", id);
            Check(NativeMethods.Syscall(SYS_setresgid, id, id, id), "cannot change the group", id);
            // From root to another user the kernel clears the permitted, effective and ambient sets (capabilities(7)).
            Check(NativeMethods.Syscall(SYS_setresuid, id, id, id), "cannot change the user", id);
        }

        if (NativeMethods.Prctl(PR_SET_NO_NEW_PRIVS, 1) != 0) throw LinuxException.Last("cannot set no_new_privs");
    }

    private static void Check(long result, string failure, uint user)
    {
        if (result != 0) throw new LinuxException($"{failure} for user {user}; run the daemon as root", Marshal.GetLastPInvokeError());
    }
}
