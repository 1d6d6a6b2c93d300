using System.Runtime.InteropServices;
using Xinim.Ipc.Native;

namespace Xinim.Ipc.Processes;

/// <summary>
/// System calls that a thread is to make, written down beforehand. In an empty mount namespace and behind a filter there is no file to load
/// code from and no way to report an error but a number, so the thread that goes there only follows the list.
/// </summary>
internal sealed unsafe class ThreadPlan : IDisposable
{
    private readonly List<Step> _steps = [];
    private readonly List<nint> _memory = [];
    private int _failed = -1;
    private int _error;

    /// <summary>What the last call returned.</summary>
    public long Result { get; private set; }

    /// <summary>Adds a call that returns less than 0 when it fails.</summary>
    /// <param name="failure">What then was not possible, and the remedy.</param>
    public void Add(string failure, int number, long first = 0, long second = 0, long third = 0, long fourth = 0, long fifth = 0)
        => _steps.Add(new Step(failure, number, first, second, third, fourth, fifth));

    /// <summary>Keeps bytes at one address for as long as the plan lives.</summary>
    public long Hold(ReadOnlySpan<byte> bytes)
    {
        void* copy = NativeMemory.Alloc((nuint)bytes.Length);
        _memory.Add((nint)copy);
        bytes.CopyTo(new Span<byte>(copy, bytes.Length));
        return (long)copy;
    }

    /// <summary>Follows the list on the calling thread, up to the first call that fails.</summary>
    /// <returns>True when all of it was done.</returns>
    public bool Run()
    {
        for (int i = 0; i < _steps.Count; i++)
        {
            Step step = _steps[i];
            Result = NativeMethods.Syscall(step.Number, step.First, step.Second, step.Third, step.Fourth, step.Fifth);
            if (Result >= 0) continue;
            (_failed, _error) = (i, Marshal.GetLastPInvokeError());
            return false;
        }

        return true;
    }

    /// <summary>The call that failed; for another thread, after the one that followed the list has ended. Null where none did.</summary>
    public LinuxException? Failure => _failed < 0 ? null : new LinuxException(_steps[_failed].Failure, _error);

    public void Dispose()
    {
        foreach (nint memory in _memory) NativeMemory.Free((void*)memory);
        _memory.Clear();
    }

    private readonly record struct Step(string Failure, int Number, long First, long Second, long Third, long Fourth, long Fifth);
}
