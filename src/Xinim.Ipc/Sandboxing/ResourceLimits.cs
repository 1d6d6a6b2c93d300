using System.Runtime.InteropServices;
using Xinim.Ipc.Native;
using Xinim.Ipc.Processes;

namespace Xinim.Ipc.Sandboxing;

/// <summary>What a process may use up (getrlimit(2)). What is not named here is none at all: core dumps, files written, locked memory, message queues, priority.</summary>
/// <param name="Memory">Bytes of private writable memory: heap, stacks, data.</param>
/// <param name="AddressSpace">Bytes of address space: the above, code, reservations, and what is shared with others.</param>
/// <param name="Descriptors">Open descriptors.</param>
/// <param name="Threads">Threads of the process's user; null where the user is not the process's own, and they would be counted with it.</param>
public sealed record ResourceLimits(long Memory, long AddressSpace, long Descriptors, long? Threads)
{
    private const int RLIMIT_FSIZE = 1;
    private const int RLIMIT_DATA = 2;
    private const int RLIMIT_STACK = 3;
    private const int RLIMIT_CORE = 4;
    private const int RLIMIT_NPROC = 6;
    private const int RLIMIT_NOFILE = 7;
    private const int RLIMIT_MEMLOCK = 8;
    private const int RLIMIT_AS = 9;
    private const int RLIMIT_SIGPENDING = 11;
    private const int RLIMIT_MSGQUEUE = 12;
    private const int RLIMIT_NICE = 13;
    private const int RLIMIT_RTPRIO = 14;
    private const long StackBytes = 8 << 20;
    private const long Signals = 64;

    /// <summary>
    /// Sets soft and hard limits of a process, which cannot raise them again. As that process's user, on a thread that ends: who has the same
    /// ids needs no capability to lower them (prlimit(2)).
    /// </summary>
    /// <param name="user">The process's user and group; null for the caller's own.</param>
    /// <exception cref="LinuxException">Not allowed.</exception>
    internal void Apply(int pid, uint? user)
    {
        using ThreadPlan plan = new();
        if (user is { } id)
        {
            plan.Add($"cannot change the group to {id}", SystemCall.Setresgid, id, id, id);
            plan.Add($"cannot change the user to {id}", SystemCall.Setresuid, id, id, id);
        }

        foreach ((int resource, long value) in Values())
        {
            plan.Add(
                $"cannot limit resource {resource} of process {pid} to {value}; the daemon's own hard limit must not be lower",
                SystemCall.Prlimit64, pid, resource, plan.Hold(MemoryMarshal.AsBytes<long>([value, value])));
        }

        Thread limiter = new(() => plan.Run(), maxStackSize: 256 << 10) { IsBackground = true, Name = "limit" };
        limiter.Start();
        limiter.Join();
        if (plan.Failure is { } failure) throw failure;
    }

    private IEnumerable<(int Resource, long Value)> Values()
    {
        foreach (int nothing in (int[])[RLIMIT_FSIZE, RLIMIT_CORE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO]) yield return (nothing, 0);
        yield return (RLIMIT_DATA, Memory);
        yield return (RLIMIT_AS, AddressSpace);
        yield return (RLIMIT_NOFILE, Descriptors);
        yield return (RLIMIT_STACK, StackBytes);
        yield return (RLIMIT_SIGPENDING, Signals);
        if (Threads is { } threads) yield return (RLIMIT_NPROC, threads);
    }
}
