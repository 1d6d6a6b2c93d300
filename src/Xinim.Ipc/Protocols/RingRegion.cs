using Xinim.Ipc.Memory;
using Xinim.Ipc.Rings;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// What the memory between a client and a driver begins with, whatever their class: the wake words of both and the word that ends a
/// generation, each on lines of its own, then the rings.
/// </summary>
public static class RingRegion
{
    internal const int DriverWake = 0;
    internal const int ClientWake = 128;
    internal const int FirstRing = 384;
    private const int Closed = 256;

    /// <summary>Supervisor: tells the client, however busy it is, to look at its channel. Only ever set, for this memory's one life.</summary>
    public static void Close(SharedRegion region) => Volatile.Write(ref region.At<uint>(Closed), 1);

    /// <summary>True when the generation is over; one load.</summary>
    internal static bool IsClosed(SharedRegion region) => Volatile.Read(ref region.At<uint>(Closed)) != 0;

    /// <summary>Memory for rings up to <paramref name="end"/>, huge pages where it fills one.</summary>
    internal static SharedRegion Create(string name, long end) => SharedRegion.Create(name, end, end >= 2 << 20 ? PageChoice.Huge2MiB : PageChoice.Ordinary);
}

/// <summary>A driver's end of its client's rings, of any class.</summary>
public interface IDriverRings
{
    /// <summary>Wakes the driver.</summary>
    Doorbell Own { get; }

    /// <summary>Rings to look at in a pass, in multiples of the least.</summary>
    int Count => 1;

    /// <summary>Wakes the client, all of its threads.</summary>
    void WakeClient();
}
