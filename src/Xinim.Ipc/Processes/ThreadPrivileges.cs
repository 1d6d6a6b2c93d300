using Xinim.Ipc.Native;

namespace Xinim.Ipc.Processes;

/// <summary>
/// Gives up privileges of one thread only: the C library's wrappers change every thread of a process, the system calls themselves
/// only the caller (setresuid(2), "C library/kernel differences"). The thread must end afterwards.
/// </summary>
internal static class ThreadPrivileges
{
    private const int PR_CAPBSET_READ = 23;
    private const int PR_CAPBSET_DROP = 24;
    private const int PR_SET_NO_NEW_PRIVS = 38;
    private const int PR_CAP_AMBIENT = 47;
    private const int PR_CAP_AMBIENT_CLEAR_ALL = 4;
    private const int CapabilityLimit = 64;

    /// <summary>
    /// no_new_privs always; with a user also: no capability in any set, no supplementary groups, that uid and gid.
    /// </summary>
    public static void Drop(ThreadPlan plan, uint? user)
    {
        if (user is { } id)
        {
            string remedy = $"for user {id}; run the daemon as root";
            for (int capability = 0; capability < CapabilityLimit && NativeMethods.Prctl(PR_CAPBSET_READ, (ulong)capability) >= 0; capability++)
                plan.Add($"cannot drop capabilities {remedy}", SystemCall.Prctl, PR_CAPBSET_DROP, capability);
            plan.Add($"cannot clear ambient capabilities {remedy}", SystemCall.Prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
            plan.Add($"cannot drop groups {remedy}", SystemCall.Setgroups);
            plan.Add($"cannot change the group {remedy}", SystemCall.Setresgid, id, id, id);
            // From root to another user the kernel clears the permitted, effective and ambient sets (capabilities(7)).
            plan.Add($"cannot change the user {remedy}", SystemCall.Setresuid, id, id, id);
        }

        plan.Add("cannot set no_new_privs", SystemCall.Prctl, PR_SET_NO_NEW_PRIVS, 1);
    }
}
