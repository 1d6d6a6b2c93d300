using Xinim.Ipc.Processes;
using Xunit;

namespace Xinim.Ipc.Tests.Processes;

/// <summary>A child runs where it is told, and its launcher where it did.</summary>
public sealed class AffinityTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_child_runs_on_the_processors_that_it_is_given(bool pinned)
    {
        string before = Affinity.Allowed;
        int last = Enumerable.Range(0, 8192).Last(Affinity.Allows);
        using ChildProcess child = ProcessLauncher.Start(new LaunchRequest { Executable = "/bin/sleep", Arguments = ["600"], Processors = pinned ? [last] : [] });

        string allowed = File.ReadLines($"/proc/{child.Pid}/status").First(line => line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal));
        Assert.Equal(pinned ? $"{last}" : before, allowed.Split('\t')[1]);
        Assert.Equal(before, Affinity.Allowed);
    }

    [Fact]
    public void A_processor_that_is_not_there_is_named()
    {
        LinuxException exception = Assert.Throws<LinuxException>(() => ProcessLauncher.Start(new LaunchRequest { Executable = "/bin/sleep", Arguments = ["600"], Processors = [8191] }));
        Assert.Contains($"cannot run on processor 8191; this process may use {Affinity.Allowed}", exception.Message, StringComparison.Ordinal);
        Assert.False(Affinity.Allows(8191));
    }
}
