using System.Runtime.InteropServices;

namespace Xinim.TestPeer;

/// <summary>What a test and its peer say to each other.</summary>
public enum PeerMessage : uint
{
    /// <summary>→ peer: <see cref="EchoRequest"/>; handles: region, the peer's event, the test's event.</summary>
    Echo = 1,

    /// <summary>→ peer: the size of a region as a long; handle: the region.</summary>
    Region = 2,

    /// <summary>← peer: text.</summary>
    Report = 3,

    /// <summary>← peer: it runs.</summary>
    Ready = 4,

    /// <summary>← peer: it was started as a driver; handle: the channel to its supervisor.</summary>
    Lend = 5,

    /// <summary>→ peer: end with the status that stands in the message, an int.</summary>
    Exit = 6,

    /// <summary>→ peer: close the channel to the supervisor, and live on.</summary>
    Close = 7,
}

/// <summary>Where rings and wake words lie in the region of an echo test.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct EchoRequest(long RegionBytes, long ToPeer, long FromPeer, long PeerWake, long TestWake, uint Generation, uint Reserved = 0);
