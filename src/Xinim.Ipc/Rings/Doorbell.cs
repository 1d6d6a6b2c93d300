using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;

namespace Xinim.Ipc.Rings;

/// <summary>
/// Wakes a peer that sleeps, and costs one fence while it is awake: an eventfd and a "wake me" word in shared memory. One doorbell serves
/// all rings between two processes; a third one has its own, for a dead or hostile ringer can swallow the wake-ups of others.
/// </summary>
/// <remarks>
/// Sleeper: <see cref="PrepareToSleep"/>, look at every ring once more, wait for <see cref="Handle"/> only if all are empty,
/// <see cref="Awake"/>. Ringer: publish, <see cref="Ring"/>. Each side stores first and loads then, with a full fence between,
/// so at least one of them sees the other's store and no wake-up is lost. A hostile peer can lose its own wake-ups or cause spurious
/// ones, nothing else.
/// </remarks>
public sealed unsafe class Doorbell
{
    private readonly uint* _wakeMe;
    private readonly SharedRegion _region;

    /// <param name="region">Where the word lies; writable.</param>
    /// <param name="offset">Bytes from its start, four-byte aligned, on a cache line of its own.</param>
    /// <param name="handle">The eventfd; not owned.</param>
    public Doorbell(SharedRegion region, long offset, SafeFileHandle handle)
    {
        if ((region.Access & RegionAccess.Write) == 0) throw new ArgumentException("a doorbell needs a writable mapping: both sides write its word", nameof(region));
        _region = region;
        _wakeMe = (uint*)Unsafe.AsPointer(ref region.At<uint>(offset));
        Handle = handle;
    }

    /// <summary>The eventfd to wait for.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>Sleeper: from now on ringers ring. Look at the rings once more before waiting.</summary>
    public void PrepareToSleep()
    {
        Volatile.Write(ref *_wakeMe, 1);
        MemoryOrder.PublishBeforeWakeCheck();
    }

    /// <summary>Sleeper: awake again, for whatever reason; ringers need not ring. One store.</summary>
    public void Awake() => Volatile.Write(ref *_wakeMe, 0);

    /// <summary>Sleeper: takes the signal of <see cref="Handle"/>, when it is readable.</summary>
    public void TakeSignal() => Descriptor.Drain(Handle);

    /// <summary>Ringer: wakes the sleeper if it asked for it. Once a batch, after publishing.</summary>
    /// <returns>True where a system call was made.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Ring()
    {
        MemoryOrder.PublishBeforeWakeCheck();
        return Volatile.Read(ref *_wakeMe) != 0 && WakeUp();
    }

    private bool WakeUp()
    {
        ObjectDisposedException.ThrowIf(_region.Address == 0, _region);
        // Of several ringers one makes the call.
        if (Interlocked.Exchange(ref *_wakeMe, 0) == 0) return false;
        Descriptor.Signal(Handle);
        return true;
    }
}
