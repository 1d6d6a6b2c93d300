using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;

namespace Xinim.Ipc.Processes;

/// <summary>Everything that posix_spawn(3) is told, in native memory: made before the spawning thread goes where nothing can be had.</summary>
internal sealed unsafe class SpawnArguments : IDisposable
{
    private const int FirstHandle = 3;

    // Descriptors are moved above every target number first, so that no dup2 overwrites a source.
    private const int Scratch = 64;

    // posix_spawn's opaque structs have 80 and 336 bytes in glibc on x86-64; roomier than that on purpose.
    private const int OpaqueBytes = 512;
    private const int SignalSetBytes = 128;
    private const short OwnGroup = 0x02;
    private const short SetSignalDefault = 0x04;
    private const short SetSignalMask = 0x08;

    private readonly List<SafeFileHandle> _copies = [];
    private readonly byte* _actions = (byte*)NativeMemory.AllocZeroed(OpaqueBytes);
    private readonly byte* _attributes = (byte*)NativeMemory.AllocZeroed(OpaqueBytes);
    private readonly NativeStrings _path;
    private readonly NativeStrings _arguments;
    private readonly NativeStrings _environment;

    public SpawnArguments(LaunchRequest request)
    {
        _path = new NativeStrings([request.Executable]);
        _arguments = new NativeStrings([request.Executable, .. request.Arguments]);
        _environment = new NativeStrings(request.Environment);
        try
        {
            Check(NativeMethods.SpawnActionsInit(_actions), request);
            Check(NativeMethods.SpawnAttributesInit(_attributes), request);
            RedirectAll(request);
            SetAttributes();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Starts the process.</summary>
    /// <returns>0, or the error's number.</returns>
    public int Spawn(out int pid)
        => NativeMethods.PosixSpawn(out pid, _path.Pointers[0], _actions, _attributes, _arguments.Pointers, _environment.Pointers);

    /// <summary>Why a process could not be started.</summary>
    public static LinuxException Failure(int error, LaunchRequest request)
    {
        string user = request.User is { } id ? $" as user {id}" : "";
        return new LinuxException($"cannot start {request.Executable}{user}; the file and every folder above must be executable for that user", error);
    }

    public void Dispose()
    {
        _ = NativeMethods.SpawnActionsDestroy(_actions);
        _ = NativeMethods.SpawnAttributesDestroy(_attributes);
        NativeMemory.Free(_actions);
        NativeMemory.Free(_attributes);
        _path.Dispose();
        _arguments.Dispose();
        _environment.Dispose();
        foreach (SafeFileHandle copy in _copies) copy.Dispose();
    }

    private void RedirectAll(LaunchRequest request)
    {
        using SafeFileHandle nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        Redirect(nothing, 0, request);
        // The launcher's own are a terminal to type into, or a log to fill: not for who lives in a sandbox.
        if ((request.Output ?? (request.Sandbox is null ? null : nothing)) is { } output)
        {
            Redirect(output, 1, request);
            Redirect(output, 2, request);
        }

        for (int i = 0; i < request.Handles.Count; i++) Redirect(request.Handles[i], FirstHandle + i, request);
        // Whatever the launcher itself inherited without close-on-exec ends here (glibc 2.34).
        Check(NativeMethods.SpawnActionsCloseFrom(_actions, FirstHandle + request.Handles.Count), request);
    }

    private static void Check(int error, LaunchRequest request)
    {
        if (error != 0) throw Failure(error, request);
    }

    private void Redirect(SafeFileHandle source, int target, LaunchRequest request)
    {
        SafeFileHandle copy = Descriptor.Duplicate(source, Scratch);
        _copies.Add(copy);
        Check(NativeMethods.SpawnActionsDuplicate(_actions, Descriptor.Number(copy), target), request);
    }

    /// <summary>
    /// The runtime ignores SIGPIPE and blocks what it handles elsewhere; a child starts as if from a shell. It leads a process group of its
    /// own: Ctrl-C at the launcher's terminal is the launcher's to handle.
    /// </summary>
    private void SetAttributes()
    {
        byte* all = stackalloc byte[SignalSetBytes];
        byte* none = stackalloc byte[SignalSetBytes];
        new Span<byte>(all, SignalSetBytes).Fill(0xff);
        new Span<byte>(none, SignalSetBytes).Clear();
        _ = NativeMethods.SpawnAttributesSetDefault(_attributes, all);
        _ = NativeMethods.SpawnAttributesSetMask(_attributes, none);
        _ = NativeMethods.SpawnAttributesSetFlags(_attributes, OwnGroup | SetSignalDefault | SetSignalMask);
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
