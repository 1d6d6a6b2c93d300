using Xinim.Ipc.Native;
using Xinim.Ipc.Sandboxing;

namespace Xinim.Ipc.Processes;

/// <summary>
/// Starts a process with exactly the descriptors, environment and identity that it is given. Linux keeps credentials, namespaces and system
/// call filters per thread, and a child has those of the thread that makes it: a thread of its own gives up everything by raw system calls,
/// spawns the child and ends (credentials(7), namespaces(7), posix_spawn(3)). The child so never runs an instruction with more than it is
/// meant to have, and no helper program is needed.
/// </summary>
public static class ProcessLauncher
{
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(10);

    /// <summary>Starts the process.</summary>
    /// <exception cref="LinuxException">It cannot be started; says why and as which user.</exception>
    public static ChildProcess Start(LaunchRequest request)
    {
        using SpawnArguments arguments = new(request);
        using ThreadPlan plan = new();
        using SpawnGate? gate = request.Sandbox is null ? null : new SpawnGate();
        ThreadPriority.Lower(plan);
        Affinity.Pin(plan, request.Processors);
        request.Sandbox?.Enter(plan);
        ThreadPrivileges.Drop(plan, request.User);
        request.Sandbox?.Restrain(plan);
        int error = 0, pid = 0, thread = 0;
        Thread spawner = new(() =>
        {
            thread = (int)NativeMethods.Syscall(SystemCall.Gettid);
            if (plan.Run())
            {
                gate?.Open((int)plan.Result);
                error = arguments.Spawn(out pid);
            }

            gate?.Close();
        }, maxStackSize: 256 << 10) { IsBackground = true, Name = "spawn" };
        ChildProcess? child = null;
        try
        {
            spawner.Start();
            child = gate?.LetOneThrough(request);
        }
        finally
        {
            // It uses what is disposed of here.
            spawner.Join();
            AwaitEnd(thread);
        }

        if (plan.Failure is null && error == 0) return Note(child ?? new ChildProcess(pid), request);
        child?.Dispose();
        throw plan.Failure ?? SpawnArguments.Failure(error, request);
    }

    private static ChildProcess Note(ChildProcess child, LaunchRequest request)
    {
        if (request.Notes is not { } folder) return child;
        try
        {
            child.Note = ProcessNotes.Add(folder, child.Pid);
            return child;
        }
        catch
        {
            child.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Join returns when the thread's managed part is over. A child that asks for a signal at its parent's death means the thread that made
    /// it (prctl(2), PR_SET_PDEATHSIG): the thread must be gone for good before a child is told anything.
    /// </summary>
    private static void AwaitEnd(int thread)
    {
        long deadline = Environment.TickCount64 + (long)EndLimit.TotalMilliseconds;
        while (NativeMethods.Syscall(SystemCall.Tgkill, Environment.ProcessId, thread) == 0 && Environment.TickCount64 < deadline) Thread.Yield();
    }
}
