using Xinim.Ipc.Native;

namespace Xinim.Ipc.Processes;

/// <summary>
/// The nice value of single threads: in Linux it belongs to a thread, whatever POSIX says (setpriority(2), "C library/kernel differences"), and
/// is inherited by what the thread starts.
/// </summary>
public static class ThreadPriority
{
    private const int PRIO_PROCESS = 0;

    /// <summary>The kernel's answer is 20 less the nice value, so that no answer is negative.</summary>
    private const int Offset = 20;

    /// <summary>The nice value of the process's first thread: what it was started with.</summary>
    public static int OfProcess => Offset - (int)NativeMethods.Syscall(SystemCall.Getpriority, PRIO_PROCESS, Environment.ProcessId);

    /// <summary>Gives the calling thread preference over the process's others.</summary>
    /// <param name="steps">Nice values below the process's own.</param>
    /// <returns>False where that is not allowed: it takes CAP_SYS_NICE.</returns>
    public static bool TryRaise(int steps) => NativeMethods.Syscall(SystemCall.Setpriority, PRIO_PROCESS, 0, OfProcess - steps) == 0;

    /// <summary>A child is not preferred because its parent's thread is.</summary>
    internal static void Lower(ThreadPlan plan) => plan.Add("cannot lower the priority", SystemCall.Setpriority, PRIO_PROCESS, 0, OfProcess);
}
