using System.Globalization;
using Xinim.Ipc.Processes;
using Xunit;
using ThreadPriority = Xinim.Ipc.Processes.ThreadPriority;

namespace Xinim.Ipc.Tests.Processes;

/// <summary>A thread can be preferred, and what it starts is not.</summary>
public sealed class ThreadPriorityTests
{
    [Fact]
    public void A_child_of_a_preferred_thread_has_the_process_s_own_priority()
    {
        int own = ThreadPriority.OfProcess;
        bool raised = false;
        int thread = 0, child = 0;
        Thread preferred = new(() =>
        {
            raised = ThreadPriority.TryRaise(5);
            thread = NiceOf("/proc/thread-self/stat");
            using ChildProcess process = ProcessLauncher.Start(new LaunchRequest { Executable = "/bin/sleep", Arguments = ["600"] });
            child = NiceOf($"/proc/{process.Pid}/stat");
        });
        preferred.Start();
        preferred.Join();

        Assert.Equal(raised ? own - 5 : own, thread);
        Assert.Equal(own, child);
        Assert.Equal(own, ThreadPriority.OfProcess);
    }

    /// <summary>Field 19 (proc(5)).</summary>
    private static int NiceOf(string stat)
    {
        string text = File.ReadAllText(stat);
        return int.Parse(text[(text.LastIndexOf(')') + 2)..].Split(' ')[16], CultureInfo.InvariantCulture);
    }
}
