using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Sandboxing;

namespace Xinim.Ipc.Processes;

/// <summary>What a child process is to be.</summary>
public sealed record LaunchRequest
{
    /// <summary>Absolute path; the child's user must be able to reach and execute it.</summary>
    public required string Executable { get; init; }

    /// <summary>Arguments after the program's name.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>The whole environment, <c>NAME=VALUE</c>; nothing is inherited.</summary>
    public IReadOnlyList<string> Environment { get; init; } = [];

    /// <summary>Descriptors that the child has from number 3 on, in this order. 0 is /dev/null.</summary>
    public IReadOnlyList<SafeFileHandle> Handles { get; init; } = [];

    /// <summary>The child's 1 and 2; by default the launcher's, and /dev/null in a sandbox.</summary>
    public SafeFileHandle? Output { get; init; }

    /// <summary>The user that the child runs as, with the group of the same number and no others; null for the launcher's own.</summary>
    public uint? User { get; init; }

    /// <summary>A folder in which the process is noted while it lives, for <see cref="ProcessNotes.EndAll"/> after a crash; null for none.</summary>
    public string? Notes { get; init; }

    /// <summary>Where the child lives; null for where the launcher does, with every system call.</summary>
    public Sandbox? Sandbox { get; init; }

    /// <summary>Numbers of the processors that the child may run on; empty for the launcher's.</summary>
    public IReadOnlyList<int> Processors { get; init; } = [];

    /// <summary>What the child may use up; holds before its first instruction. Only with a sandbox.</summary>
    public ResourceLimits? Limits { get; init; }
}
