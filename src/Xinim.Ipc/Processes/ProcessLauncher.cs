using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;

namespace Xinim.Ipc.Processes;

/// <summary>
/// Starts a process with exactly the descriptors, environment and identity that it is given. Linux keeps credentials per thread, and a child
/// has those of the thread that makes it: a thread of its own gives up everything by raw system calls, spawns the child and ends
/// (credentials(7), posix_spawn(3)). The child so never runs an instruction with more than it is meant to have, and no helper program is needed.
/// </summary>
public static unsafe class ProcessLauncher
{
    private const int FirstHandle = 3;

    // Descriptors are moved above every target number first, so that no dup2 overwrites a source.
    private const int Scratch = 64;

    // posix_spawn's opaque structs have 80 and 336 bytes in glibc on x86-64; roomier than that on purpose.
    private const int OpaqueBytes = 512;
    private const short OwnGroup = 0x02;
    private const short SetSignalDefault = 0x04;
    private const short SetSignalMask = 0x08;

    /// <summary>Starts the process.</summary>
    /// <exception cref="LinuxException">It cannot be started; says why and as which user.</exception>
    public static ChildProcess Start(LaunchRequest request)
    {
        ChildProcess? child = null;
        ExceptionDispatchInfo? failure = null;
        Thread spawner = new(() =>
        {
            try
            {
                ThreadPrivileges.Drop(request.User);
                child = Spawn(request);
            }
            catch (LinuxException exception)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
        }, maxStackSize: 256 << 10) { IsBackground = true, Name = "spawn" };
        spawner.Start();
        spawner.Join();
        failure?.Throw();
        return child!;
    }

    private static ChildProcess Spawn(LaunchRequest request)
    {
        byte* actions = stackalloc byte[OpaqueBytes];
        byte* attributes = stackalloc byte[OpaqueBytes];
        List<SafeFileHandle> copies = [];
        using SafeFileHandle nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.Read);
        Check(NativeMethods.SpawnActionsInit(actions), request);
        Check(NativeMethods.SpawnAttributesInit(attributes), request);
        try
        {
            Redirect(actions, nothing, 0, copies, request);
            for (int i = 0; i < request.Handles.Count; i++) Redirect(actions, request.Handles[i], FirstHandle + i, copies, request);
            // Whatever the launcher itself inherited without close-on-exec ends here (glibc 2.34).
            Check(NativeMethods.SpawnActionsCloseFrom(actions, FirstHandle + request.Handles.Count), request);
            SetAttributes(attributes);
            using NativeStrings arguments = new([request.Executable, .. request.Arguments]);
            using NativeStrings environment = new(request.Environment);
            byte[] path = Encoding.UTF8.GetBytes(request.Executable + '\0');
            fixed (byte* executable = path)
            {
                Check(NativeMethods.PosixSpawn(out int pid, executable, actions, attributes, arguments.Pointers, environment.Pointers), request);
                return new ChildProcess(pid);
            }
        }
        finally
        {
            _ = NativeMethods.SpawnActionsDestroy(actions);
            _ = NativeMethods.SpawnAttributesDestroy(attributes);
            foreach (SafeFileHandle copy in copies) copy.Dispose();
        }
    }

    private static void Redirect(void* actions, SafeFileHandle source, int target, List<SafeFileHandle> copies, LaunchRequest request)
    {
        SafeFileHandle copy = Descriptor.Duplicate(source, Scratch);
        copies.Add(copy);
        Check(NativeMethods.SpawnActionsDuplicate(actions, Descriptor.Number(copy), target), request);
    }

    /// <summary>
    /// The runtime ignores SIGPIPE and blocks what it handles elsewhere; a child starts as if from a shell. It leads a process group of its
    /// own: Ctrl-C at the launcher's terminal is the launcher's to handle.
    /// </summary>
    private static void SetAttributes(void* attributes)
    {
        const int SignalSetBytes = 128;
        byte* all = stackalloc byte[SignalSetBytes];
        byte* none = stackalloc byte[SignalSetBytes];
        new Span<byte>(all, SignalSetBytes).Fill(0xff);
        new Span<byte>(none, SignalSetBytes).Clear();
        _ = NativeMethods.SpawnAttributesSetDefault(attributes, all);
        _ = NativeMethods.SpawnAttributesSetMask(attributes, none);
        _ = NativeMethods.SpawnAttributesSetFlags(attributes, OwnGroup | SetSignalDefault | SetSignalMask);
    }

    private static void Check(int error, LaunchRequest request)
    {
        if (error == 0) return;
        string user = request.User is { } id ? $" as user {id}" : "";
        throw new LinuxException($"cannot start {request.Executable}{user}; the file and every folder above must be executable for that user", error);
    }

    /// <summary>A null-terminated array of C strings.</summary>
    private sealed class NativeStrings : IDisposable
    {
        private readonly int _count;

        public NativeStrings(IReadOnlyList<string> strings)
        {
            _count = strings.Count;
            Pointers = (byte**)NativeMemory.AllocZeroed((nuint)_count + 1, (nuint)sizeof(byte*));
            for (int i = 0; i < _count; i++) Pointers[i] = (byte*)Marshal.StringToCoTaskMemUTF8(strings[i]);
        }

        public byte** Pointers { get; }

        public void Dispose()
        {
            for (int i = 0; i < _count; i++) Marshal.FreeCoTaskMem((nint)Pointers[i]);
            NativeMemory.Free(Pointers);
        }
    }
}
