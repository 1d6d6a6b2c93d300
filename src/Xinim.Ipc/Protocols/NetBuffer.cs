using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// One piece of packet memory on a network ring, 32 bytes. The client owns the memory; the driver gives every buffer back exactly once,
/// with the cookie untouched. Of a sent buffer only cookie and flags come back, of a received one length and VLAN tag too; the other fields are undefined. A frame may span several buffers, all but the last marked <see cref="NetFlags.More"/>; offload requests
/// stand in the frame's first buffer, receive results in its last, but for <see cref="NetFlags.Segment"/> and what goes with it: in the first, as on transmit.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct NetBuffer
{
    /// <summary>Bytes of a received piece that may stand in the element itself (<see cref="NetFlags.Lead"/>).</summary>
    public const int LeadBytes = 12;

    /// <summary>Bytes of the largest frame with <see cref="NetFlags.Segment"/>: an IP packet's length, and an Ethernet header with a tag.</summary>
    public const uint MaxSegmentedFrame = 65535 + 18;

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

    /// <summary>Payload bytes a segment; with <see cref="NetFlags.Segment"/>.</summary>
    public ushort SegmentSize;

    /// <summary>Bytes of link-layer header, before the IP header.</summary>
    public byte LinkHeader;

    /// <summary>Bytes of IP header.</summary>
    public byte NetworkHeader;

    /// <summary>Bytes of TCP or UDP header; with <see cref="NetFlags.Segment"/>.</summary>
    public byte TransportHeader;

    private byte _reserved;

    /// <summary>Of a received frame's first buffer with <see cref="NetFlags.Segment"/>: bytes of its headers as its sender said, a hint. 0: not said.</summary>
    public uint HeaderHint
    {
        readonly get => Offset;
        set => Offset = value;
    }

    /// <summary>Of a received frame's last buffer with <see cref="NetFlags.Hash"/>: the device's Toeplitz hash, in host order.</summary>
    public uint Hash
    {
        readonly get => Grant;
        set => Grant = value;
    }

    /// <summary>What that is a hash of.</summary>
    public HashKind HashKind
    {
        readonly get => (HashKind)LinkHeader;
        set => LinkHeader = (byte)value;
    }

    /// <summary>Puts the bytes of <see cref="NetFlags.Lead"/> where grant, offset and header lengths of a received buffer say nothing.</summary>
    /// <param name="bytes"><see cref="LeadBytes"/> of them.</param>
    public void PutLead(ReadOnlySpan<byte> bytes)
    {
        Grant = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        Offset = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
        (LinkHeader, NetworkHeader, TransportHeader, _reserved) = (bytes[8], bytes[9], bytes[10], bytes[11]);
    }

    /// <summary>The bytes of <see cref="PutLead"/>.</summary>
    public readonly void GetLead(Span<byte> into)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(into, Grant);
        BinaryPrimitives.WriteUInt32LittleEndian(into[4..], Offset);
        (into[8], into[9], into[10], into[11]) = (LinkHeader, NetworkHeader, TransportHeader, _reserved);
    }
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

    /// <summary>Transmit: fill in the TCP checksum; the field holds the pseudo-header's sum. Receive with <see cref="Segment"/>: it is TCP.</summary>
    TcpChecksum = 1 << 3,

    /// <summary>Transmit: fill in the UDP checksum; the field holds the pseudo-header's sum. Receive with <see cref="Segment"/>: it is UDP.</summary>
    UdpChecksum = 1 << 4,

    /// <summary>Receive: the TCP or UDP checksum was checked and is right.</summary>
    TransportChecksum = 1 << 5,

    /// <summary>
    /// Transmit: cut the TCP payload into segments of <see cref="NetBuffer.SegmentSize"/>; the pseudo-header's sum is as <see cref="NetworkDeviceInfo.SumWithLength"/> says.
    /// Receive, where the client wishes for <see cref="NetworkWishes.LargeReceive"/>: several segments of that size in one frame, which its sender has not cut or the device has put together.
    /// </summary>
    Segment = 1 << 6,

    /// <summary>With <see cref="Segment"/>: the packet is IPv6. A received one with <see cref="Fragments"/> may be that without being marked.</summary>
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

    /// <summary>Receive with <see cref="Segment"/>: of the segments the first carries CWR, the others not (RFC 3168 §6.1.2).</summary>
    Congestion = 1 << 11,

    /// <summary>Receive with <see cref="Segment"/> and <see cref="UdpChecksum"/>: one datagram, to be cut into IP fragments; without it, several datagrams.</summary>
    Fragments = 1 << 12,

    /// <summary>Receive: the piece's first bytes stand in the element and belong before the buffer; its length includes them (<see cref="NetBuffer.GetLead"/>).</summary>
    Lead = 1 << 13,

    /// <summary>Receive, where the client wishes for <see cref="NetworkWishes.ReceiveHash"/>: <see cref="NetBuffer.Hash"/> is there.</summary>
    Hash = 1 << 14,

    /// <summary>Returned unused: the driver stopped, or the frame was not for delivery. A receive buffer holds nothing.</summary>
    Unused = 1 << 16,

    /// <summary>Returned without effect because the request was wrong: grant, bounds, length or offload.</summary>
    Rejected = 1 << 17,
}

/// <summary>The fields of a frame that its hash is of (VirtIO 1.2 §5.1.6.4.4): addresses, and ports where TCP or UDP is named; with Ex those that IPv6 extension headers name.</summary>
public enum HashKind : byte
{
    None,
    Ipv4,
    TcpIpv4,
    UdpIpv4,
    Ipv6,
    TcpIpv6,
    UdpIpv6,
    Ipv6Ex,
    TcpIpv6Ex,
    UdpIpv6Ex,
}
