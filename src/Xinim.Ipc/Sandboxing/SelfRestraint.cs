using Xinim.Ipc.Native;
using Xinim.Ipc.Processes;

namespace Xinim.Ipc.Sandboxing;

/// <summary>What a process does to itself; for good, as all of it.</summary>
public static class SelfRestraint
{
    private const int PR_SET_PDEATHSIG = 1;
    private const int PR_SET_DUMPABLE = 4;
    private const int SECCOMP_FILTER_FLAG_TSYNC = 1;
    private const int SIGKILL = 9;

    /// <summary>At the start: its memory is nobody's to read (ptrace(2), core(5)), and it does not outlive the process that made it.</summary>
    /// <exception cref="LinuxException">Refused by the kernel.</exception>
    public static void Begin()
    {
        if (NativeMethods.Prctl(PR_SET_DUMPABLE, 0) != 0) throw LinuxException.Last("cannot make this process's memory private");
        if (NativeMethods.Prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) throw LinuxException.Last("cannot bind this process's life to its parent's");
    }

    /// <summary>When everything is opened and mapped: the tight system call filter, for all threads.</summary>
    /// <exception cref="LinuxException">Refused by the kernel.</exception>
    public static void Tighten()
    {
        using ThreadPlan plan = new();
        Sandbox.LoadFilter(plan, SeccompPolicy.Tight(Environment.ProcessId), SECCOMP_FILTER_FLAG_TSYNC);
        if (!plan.Run()) throw plan.Failure!;
        if (plan.Result != 0) throw new LinuxException($"thread {plan.Result} cannot take the system call filter");
    }
}
