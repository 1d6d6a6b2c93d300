using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;

namespace Xinim.Ipc.Processes;

/// <summary>A child process held by a pidfd: the number cannot be taken by another process before it is reaped (pidfd_open(2)).</summary>
public sealed unsafe class ChildProcess : IDisposable
{
    private const long SYS_pidfd_send_signal = 424;
    private const long SYS_pidfd_open = 434;
    private const int P_PIDFD = 3;
    private const int WNOHANG = 1;
    private const int WEXITED = 4;
    private const int CLD_EXITED = 1;

    // siginfo_t: 128 bytes; si_code at 8, si_pid at 16, si_status at 24 for SIGCHLD (asm-generic/siginfo.h, x86-64).
    private const int SigInfoBytes = 128;
    private const int CodeOffset = 8;
    private const int PidOffset = 16;
    private const int StatusOffset = 24;

    internal ChildProcess(int pid)
    {
        Pid = pid;
        Handle = Descriptor.Own((int)NativeMethods.Syscall(SYS_pidfd_open, pid), $"cannot open a pidfd of process {pid}");
    }

    public int Pid { get; }

    /// <summary>Readable when the process has ended.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>How it ended; null while it runs or was not reaped.</summary>
    public ExitReport? Exit { get; private set; }

    /// <summary>A file that exists for as long as the process was not reaped; null for none.</summary>
    internal string? Note { get; set; }

    /// <summary>Sends a signal; nothing happens to a process that has ended.</summary>
    public void Signal(PosixSignalNumber signal)
    {
        if (Exit is null) _ = NativeMethods.Syscall(SYS_pidfd_send_signal, Descriptor.Number(Handle), (long)signal);
    }

    /// <summary>Reaps the process if it has ended.</summary>
    /// <returns>True when it has.</returns>
    public bool TryReap()
    {
        if (Exit is not null) return true;
        byte* info = stackalloc byte[SigInfoBytes];
        new Span<byte>(info, SigInfoBytes).Clear();
        if (NativeMethods.WaitId(P_PIDFD, Descriptor.Number(Handle), info, WEXITED | WNOHANG) != 0)
            throw new LinuxException($"cannot reap process {Pid}", Marshal.GetLastPInvokeError());
        if (Unsafe.ReadUnaligned<int>(info + PidOffset) == 0) return false;
        int status = Unsafe.ReadUnaligned<int>(info + StatusOffset);
        Exit = Unsafe.ReadUnaligned<int>(info + CodeOffset) == CLD_EXITED ? new ExitReport(status, 0) : new ExitReport(0, status);
        if (Note is not null) File.Delete(Note);
        return true;
    }

    /// <summary>Waits for the end.</summary>
    /// <returns>False when the time is over.</returns>
    public bool WaitForExit(TimeSpan limit)
    {
        if (!TryReap()) Descriptor.Poll((int)limit.TotalMilliseconds, Handle);
        return TryReap();
    }

    /// <summary>Kills and reaps the process; a killed process always ends.</summary>
    public void Kill()
    {
        Signal(PosixSignalNumber.Kill);
        while (!WaitForExit(TimeSpan.FromSeconds(1)))
        {
        }
    }

    /// <summary>Kills the process if it still runs.</summary>
    public void Dispose()
    {
        if (Handle.IsClosed) return;
        Kill();
        Handle.Dispose();
    }
}

/// <summary>How a process ended: by itself with a code, or by a signal.</summary>
public readonly record struct ExitReport(int Code, int Signal)
{
    public override string ToString() => Signal != 0 ? $"killed by signal {Signal}" : $"exit status {Code}";
}

/// <summary>Signals as Linux numbers them on x86-64 (signal(7)).</summary>
public enum PosixSignalNumber
{
    Interrupt = 2,
    Kill = 9,
    Terminate = 15,
    Continue = 18,
    Stop = 19,
}
