namespace Xinim.Faults.Traffic;

/// <summary>The other end of a NIC's cable. One thread.</summary>
internal interface ILine : IDisposable
{
    /// <summary>A frame towards the NIC.</summary>
    /// <returns>False where the line takes none now.</returns>
    bool TrySend(ReadOnlySpan<byte> frame);

    /// <summary>Waits for a frame that the NIC sent.</summary>
    /// <returns>Its bytes; 0 where none came in time.</returns>
    int Receive(Span<byte> into, TimeSpan limit);

    /// <summary>Frames that the host dropped on the line itself: they are nobody's fault.</summary>
    ulong Dropped { get; }
}
