using System.Runtime.InteropServices;
using Xinim.Ipc.Native;
using Xinim.Ipc.Processes;

namespace Xinim.Ipc.Sandboxing;

/// <summary>
/// Where a driver lives. Read this first. As root: a <see cref="Room"/> of its own, made once for a device and entered by each of its drivers,
/// which holds the program, its libraries and nothing else. As an ordinary user: a <see cref="Fence"/> around the same files. Either way
/// behind the system call filter of <see cref="SeccompPolicy"/>, which lets one program be executed (<see cref="SpawnGate"/>).
/// Everything stands before the program's first instruction; the tight filter is loaded by the program itself (<see cref="SelfRestraint"/>).
/// </summary>
public sealed class Sandbox : IDisposable
{
    private const int SECCOMP_SET_MODE_FILTER = 1;
    private const int SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3;
    private const int InstructionBytes = 8;
    private readonly string _executable;
    private readonly uint? _user;
    private (DateTime, long) _version;
    private Room? _room;
    private Fence? _fence;

    /// <param name="executable">Absolute path of the program.</param>
    /// <param name="user">User that it runs as; null for this process's own, and then without namespaces.</param>
    /// <exception cref="LinuxException">The program or one of its libraries is missing.</exception>
    public Sandbox(string executable, uint? user)
    {
        _executable = executable;
        _user = user;
        Make();
    }

    /// <summary>What does not hold here, and why; null where everything does.</summary>
    public string? Weakness { get; private set; }

    /// <summary>The like for another program.</summary>
    /// <exception cref="LinuxException">The program or one of its libraries is missing.</exception>
    public Sandbox For(string executable) => new(executable, _user);

    public void Dispose()
    {
        _room?.Dispose();
        _fence?.Dispose();
        (_room, _fence) = (null, null);
    }

    /// <summary>The part that needs privilege.</summary>
    internal void Enter(ThreadPlan plan)
    {
        // The room holds the file as it was; a new version of the program comes in at the next start.
        if (Version() != _version) Make();
        _room?.Enter(plan);
    }

    /// <summary>The part that comes last, after no_new_privs.</summary>
    internal void Restrain(ThreadPlan plan)
    {
        _fence?.Enter(plan);
        LoadFilter(plan, SeccompPolicy.Wide(_room is not null), SECCOMP_FILTER_FLAG_NEW_LISTENER);
    }

    internal static void LoadFilter(ThreadPlan plan, byte[] code, int flags)
    {
        // struct sock_fprog {unsigned short len; struct sock_filter *filter;}
        long[] program = [code.Length / InstructionBytes, plan.Hold(code)];
        plan.Add(
            "cannot load the system call filter; a kernel of 5.9 or newer is needed, and a daemon that is not under another filter with a listener",
            SystemCall.Seccomp, SECCOMP_SET_MODE_FILTER, flags, plan.Hold(MemoryMarshal.AsBytes<long>(program)));
    }

    private (DateTime, long) Version()
    {
        FileInfo file = new(_executable);
        return file.Exists ? (file.LastWriteTimeUtc, file.Length) : throw new LinuxException($"there is no program {_executable}; build it, or correct the driver's manifest");
    }

    private void Make()
    {
        Dispose();
        _version = Version();
        IReadOnlyList<string> files = ProgramFiles.Of(_executable, _user);
        string why = "the daemon is not root";
        if (_user is not null)
        {
            try
            {
                _room = new Room(files);
                return;
            }
            catch (LinuxException exception)
            {
                why = exception.Message;
            }
        }

        _fence = Fence.TryMake(files);
        Weakness = _fence is null
            ? $"no namespaces ({why}) and no Landlock: the driver can open what its user can"
            : $"no namespaces of its own ({why}); Landlock keeps it from every other file";
    }
}
