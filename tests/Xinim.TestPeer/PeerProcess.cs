using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Processes;

namespace Xinim.TestPeer;

/// <summary>A test's handle on a running TestPeer: the process and the channel to it. Disposing kills the process.</summary>
public sealed class PeerProcess : IDisposable
{
    private PeerProcess(Channel channel, ChildProcess process)
    {
        Channel = channel;
        Process = process;
    }

    /// <summary>Far more than any step of a peer takes, also on a busy machine: reached only when something is broken.</summary>
    public static TimeSpan Limit { get; } = TimeSpan.FromSeconds(60);

    public Channel Channel { get; }

    public ChildProcess Process { get; }

    /// <summary>Starts the executable beside the test's assembly.</summary>
    public static PeerProcess Start(params string[] arguments) => StartAs(null, [], arguments);

    /// <summary>Starts it as a user, with more descriptors behind the channel's number 3.</summary>
    public static PeerProcess StartAs(uint? user, IReadOnlyList<SafeFileHandle> handles, params string[] arguments) => Start("Xinim.TestPeer", user, handles, arguments);

    /// <summary>Starts another executable beside the caller's assembly, with the channel at number 3.</summary>
    public static PeerProcess StartProgram(string program, params string[] arguments) => Start(program, null, [], arguments);

    public void Dispose()
    {
        Process.Dispose();
        Channel.Dispose();
    }

    private static PeerProcess Start(string program, uint? user, IReadOnlyList<SafeFileHandle> handles, string[] arguments)
    {
        (Channel mine, Channel theirs) = Channel.CreatePair();
        using (theirs)
        {
            ChildProcess process = ProcessLauncher.Start(new LaunchRequest
            {
                Executable = Path.Combine(AppContext.BaseDirectory, program),
                Arguments = arguments,
                Environment = [$"DOTNET_ROOT={RuntimeRoot()}", "DOTNET_EnableDiagnostics=0", "DOTNET_TieredCompilation=1"],
                Handles = [theirs.Handle, .. handles],
                User = user,
            });
            return new PeerProcess(mine, process);
        }
    }

    // …/shared/Microsoft.NETCore.App/10.0.x/ → …
    private static string RuntimeRoot() => Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));
}
