using System.Runtime.CompilerServices;

namespace Xinim.Ipc.Rings;

/// <summary>
/// Every memory fence of the project, named for what it orders. The memory model relied on is x86-64's as .NET exposes it:
/// ordinary stores become visible in program order, a load may overtake an earlier store to another address, and
/// <see cref="Volatile"/> keeps the compiler from moving accesses. <see cref="Volatile"/> also is correct on weaker machines for memory
/// shared between processors; what a *device* sees there would need stronger barriers, which is why other machines are refused at start.
/// </summary>
public static class MemoryOrder
{
    /// <summary>Orders the elements' stores before the index that publishes them (release).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PublishIndex(ref uint index, uint value) => Volatile.Write(ref index, value);

    /// <summary>Orders the load of a peer's index before the loads of the elements that it published (acquire).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint ObserveIndex(ref uint index) => Volatile.Read(ref index);

    /// <inheritdoc cref="PublishIndex(ref uint, uint)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PublishIndex(ref ushort index, ushort value) => Volatile.Write(ref index, value);

    /// <inheritdoc cref="ObserveIndex(ref uint)"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort ObserveIndex(ref ushort index) => Volatile.Read(ref index);

    /// <summary>Orders the stores of a batch's other descriptors before the word of the first one, whose flags publish them all (release).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PublishDescriptor(ref ulong word, ulong value) => Volatile.Write(ref word, value);

    /// <summary>Orders the load of a descriptor's word, flags and fields in one, before the loads of what the device wrote before it (acquire).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong ObserveDescriptor(ref ulong word) => Volatile.Read(ref word);

    /// <summary>
    /// Orders the published index before the load of the sleeper's flag, and the sleeper's flag before its last look at the index
    /// (store → load, the one order that x86-64 does not give by itself). Without it both sides can miss each other. The sleeper may be a
    /// device, its flag a suppressed notification.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PublishBeforeWakeCheck() => Interlocked.MemoryBarrier();

    /// <summary>Orders a descriptor's fields before the doorbell register's store that hands it to the device (release).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void DescriptorsBeforeDoorbell() => Volatile.WriteBarrier();

    /// <summary>Orders the load of a descriptor's done bit before the loads of the fields that the device wrote with it (acquire).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void DoneBitBeforeFields() => Volatile.ReadBarrier();
}
