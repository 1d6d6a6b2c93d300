using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Xinim.Ipc.Protocols;

/// <summary>What a NIC's driver says of the device when it is ready. Control path; travels in a message.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct NetworkDeviceInfo
{
    public MacAddress Mac;
    public ushort VectorsUsed;

    /// <summary>Offloads that a client may ask for or will find, as the flags of <see cref="NetBuffer"/>.</summary>
    public NetFlags Offloads;

    /// <summary>Bytes of the largest frame without FCS, VLAN tag included.</summary>
    public uint MaxFrame;

    /// <summary>Buffers that can be in the device at a time.</summary>
    public uint TxDescriptors;

    /// <inheritdoc cref="TxDescriptors"/>
    public uint RxDescriptors;

    /// <summary>A receive buffer must have at least this many bytes of room.</summary>
    public uint RxBufferBytes;

    public LinkState Link;

    /// <summary>With <see cref="NetFlags.Segment"/> the pseudo-header's sum covers the length of the whole payload (1), as virtio has it, or leaves it out (0), as Intel's controllers do.</summary>
    public uint SumWithLength;

    /// <summary>Bytes of zeroes that the device wants before each frame to send: with <see cref="NetFlags.Headroom"/> they go with it in one piece. 0: none.</summary>
    public ushort TxHeadroom;

    /// <summary>Bytes that the device writes before each received frame: with <see cref="NetFlags.Headroom"/> into the same piece of memory. 0: none.</summary>
    public ushort RxHeadroom;

    /// <summary>Pairs of queues that a client can have.</summary>
    public uint MaxPairs;

    /// <summary>What clients may wish for.</summary>
    public NetworkWishes Able;
}

/// <summary>What a client can take beside plain frames, as it says when it opens a NIC. A driver whose device cannot do it passes over it.</summary>
[Flags]
public enum NetworkWishes : uint
{
    None = 0,

    /// <summary>
    /// Frames of several pieces, of up to <see cref="NetBuffer.MaxSegmentedFrame"/> bytes with <see cref="NetFlags.Segment"/>, and checksum results
    /// whatever the filters say. The client's buffers have room for <see cref="NetBuffer.LeadBytes"/> before them.
    /// </summary>
    LargeReceive = 1,

    /// <summary>Received frames with the hash of their addresses that the device has made (<see cref="NetFlags.Hash"/>). Together with the former it is passed over.</summary>
    ReceiveHash = 2,
}

/// <summary>The state of the physical link.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct LinkState(uint Up, uint MegabitsPerSecond, uint FullDuplex)
{
    public static LinkState Down => default;

    /// <summary>A speed of 0 is not known.</summary>
    public override readonly string ToString() =>
        Up == 0 ? "down" : MegabitsPerSecond == 0 ? "up" : $"up {MegabitsPerSecond} Mbit/s {(FullDuplex != 0 ? "full" : "half")} duplex";
}

/// <summary>An EUI-48 address, in wire order.</summary>
[InlineArray(6)]
public struct MacAddress
{
    private byte _first;

    /// <summary>True for group addresses, broadcast included.</summary>
    public readonly bool IsMulticast => (this[0] & 1) != 0;

    public static MacAddress From(ReadOnlySpan<byte> bytes)
    {
        MacAddress mac = default;
        bytes[..6].CopyTo(mac);
        return mac;
    }

    public override readonly string ToString() => $"{this[0]:x2}:{this[1]:x2}:{this[2]:x2}:{this[3]:x2}:{this[4]:x2}:{this[5]:x2}";
}

/// <summary>
/// All receive filters of a NIC at once: setting them is idempotent, so a reincarnated driver is given the same struct again.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct NetworkFilters
{
    public const int MaxUnicast = 15;
    public const int MaxMulticast = 64;
    public const int VlanWords = 128;

    public NetworkFilterFlags Flags;

    /// <summary>Largest frame to accept, bytes without FCS, VLAN tag included; 0 for 1,518.</summary>
    public uint MaxFrame;

    /// <summary>Valid entries of <see cref="Unicast"/>; addresses beside the device's own.</summary>
    public uint UnicastCount;

    /// <summary>Valid entries of <see cref="Multicast"/>.</summary>
    public uint MulticastCount;

    public UnicastList Unicast;
    public MulticastList Multicast;

    /// <summary>One bit a VLAN id, little-endian words; looked at with <see cref="NetworkFilterFlags.VlanFilter"/>.</summary>
    public VlanBitmap Vlans;

    [InlineArray(MaxUnicast)]
    public struct UnicastList
    {
        private MacAddress _first;
    }

    [InlineArray(MaxMulticast)]
    public struct MulticastList
    {
        private MacAddress _first;
    }

    [InlineArray(VlanWords)]
    public struct VlanBitmap
    {
        private uint _first;
    }
}

/// <summary>Switches of <see cref="NetworkFilters"/>.</summary>
[Flags]
public enum NetworkFilterFlags : uint
{
    None = 0,
    Promiscuous = 1,
    AllMulticast = 2,

    /// <summary>Strip the VLAN tag from received frames and report it.</summary>
    VlanStrip = 4,

    /// <summary>Drop tagged frames whose VLAN is not in the bitmap.</summary>
    VlanFilter = 8,

    /// <summary>Check IPv4, TCP and UDP checksums of received frames.</summary>
    RxChecksum = 16,

    /// <summary>Obey received PAUSE frames and send them when receive buffers run out (IEEE 802.3x).</summary>
    FlowControl = 32,
}

/// <summary>Counters since the device was started, frames and bytes without FCS unless said otherwise.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct NetworkStatistics
{
    public ulong RxFrames;
    public ulong RxBytes;
    public ulong TxFrames;
    public ulong TxBytes;
    public ulong RxMulticast;
    public ulong RxBroadcast;

    /// <summary>Frames that the device dropped for want of buffers.</summary>
    public ulong RxMissed;
    public ulong RxCrcErrors;
    public ulong RxLengthErrors;
    public ulong RxOtherErrors;

    /// <summary>Received frames that the driver dropped because the device's descriptor made no sense or reported an error.</summary>
    public ulong RxDropped;

    /// <summary>Requests of the client that were refused.</summary>
    public ulong TxRejected;
    public ulong TxErrors;
    public ulong Interrupts;
    public ulong Doorbells;
}
