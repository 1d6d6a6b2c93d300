using System.Runtime.InteropServices;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// One piece of packet memory on a network ring, 32 bytes. The client owns the memory; the driver gives every buffer back exactly once,
/// with the cookie untouched. Of a sent buffer only cookie and flags come back, of a received one length and VLAN tag too; the other fields are undefined. A frame may span several buffers, all but the last marked <see cref="NetFlags.More"/>; offload requests
/// stand in the frame's first buffer, receive results in its last.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct NetBuffer
{
    /// <summary>Grant handle of the pool that the memory lies in (see <see cref="Memory.Grant"/>).</summary>
    public uint Grant;

    /// <summary>Bytes from the start of the grant.</summary>
    public uint Offset;

    /// <summary>Bytes: of payload on transmit and on return from receive, of room when provided for receive.</summary>
    public uint Length;

    /// <summary>Requests on the way to the driver, results on the way back.</summary>
    public NetFlags Flags;

    /// <summary>The client's own; returned as it was.</summary>
    public ulong Cookie;

    /// <summary>802.1Q tag control information, host order; with <see cref="NetFlags.Vlan"/>.</summary>
    public ushort VlanTag;

    /// <summary>TCP payload bytes a segment; with <see cref="NetFlags.Segment"/>.</summary>
    public ushort SegmentSize;

    /// <summary>Bytes of link-layer header, before the IP header.</summary>
    public byte LinkHeader;

    /// <summary>Bytes of IP header.</summary>
    public byte NetworkHeader;

    /// <summary>Bytes of TCP or UDP header; with <see cref="NetFlags.Segment"/>.</summary>
    public byte TransportHeader;

    private readonly byte _reserved;
}

/// <summary>What is asked for or was found, per buffer.</summary>
[Flags]
public enum NetFlags : uint
{
    None = 0,

    /// <summary>The frame goes on in the next buffer.</summary>
    More = 1 << 0,

    /// <summary>Transmit: insert <see cref="NetBuffer.VlanTag"/>. Receive: the tag was stripped and stands there.</summary>
    Vlan = 1 << 1,

    /// <summary>Transmit: fill in the IPv4 header checksum. Receive: it was checked and is right.</summary>
    Ipv4Checksum = 1 << 2,

    /// <summary>Transmit: fill in the TCP checksum; the field holds the pseudo-header's sum.</summary>
    TcpChecksum = 1 << 3,

    /// <summary>Transmit: fill in the UDP checksum; the field holds the pseudo-header's sum.</summary>
    UdpChecksum = 1 << 4,

    /// <summary>Receive: the TCP or UDP checksum was checked and is right.</summary>
    TransportChecksum = 1 << 5,

    /// <summary>Transmit: cut the TCP payload into segments of <see cref="NetBuffer.SegmentSize"/>; the pseudo-header's sum is as <see cref="NetworkDeviceInfo.SumWithLength"/> says.</summary>
    Segment = 1 << 6,

    /// <summary>Transmit with <see cref="Segment"/>: the packet is IPv6.</summary>
    Ipv6 = 1 << 7,

    /// <summary>Receive: a checksum was looked at and is wrong; the frame is delivered for the client to judge.</summary>
    ChecksumBad = 1 << 8,

    /// <summary>
    /// Receive: the data is right, and the TCP or UDP checksum field holds the pseudo-header's sum only: the sender left the rest to its device, and
    /// there was no wire between. To be completed before the frame goes on elsewhere.
    /// </summary>
    PartialChecksum = 1 << 9,

    /// <summary>
    /// The bytes just before the buffer, as many as <see cref="NetworkDeviceInfo.TxHeadroom"/> or <see cref="NetworkDeviceInfo.RxHeadroom"/> says, are the device's too: on
    /// transmit, in a frame's first buffer, they are zeroes; on receive the device may write them.
    /// </summary>
    Headroom = 1 << 10,

    /// <summary>Returned unused: the driver stopped, or the frame was not for delivery. A receive buffer holds nothing.</summary>
    Unused = 1 << 16,

    /// <summary>Returned without effect because the request was wrong: grant, bounds, length or offload.</summary>
    Rejected = 1 << 17,
}
