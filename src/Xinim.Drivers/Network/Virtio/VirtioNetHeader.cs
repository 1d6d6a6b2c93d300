using System.Runtime.InteropServices;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>What stands before each frame: struct virtio_net_hdr with num_buffers, as VERSION_1 has it always, and with the hash where HASH_REPORT is negotiated [V §5.1.6].</summary>
[StructLayout(LayoutKind.Explicit, Size = Stride)]
internal struct VirtioNetHeader
{
    /// <summary>Without the hash.</summary>
    public const ushort Bytes = 12;

    /// <summary>With it.</summary>
    public const ushort HashedBytes = 20;

    /// <summary>Bytes from one header to the next in the driver's memory.</summary>
    public const int Stride = 32;

    public const byte NeedsChecksum = 1; // VIRTIO_NET_HDR_F_NEEDS_CSUM [V §5.1.6]
    public const byte DataValid = 2; // VIRTIO_NET_HDR_F_DATA_VALID [V §5.1.6]
    public const byte GsoNone = 0, GsoTcp4 = 1, GsoFragments = 3, GsoTcp6 = 4, GsoUdp = 5; // gso_type [V §5.1.6]; 3 is VIRTIO_NET_HDR_GSO_UDP, 5 VIRTIO_NET_HDR_GSO_UDP_L4
    public const byte GsoEcn = 0x80; // VIRTIO_NET_HDR_GSO_ECN, with TCP [V §5.1.6]

    private const byte TcpChecksumAt = 16, UdpChecksumAt = 6; // RFC 9293 §3.1, RFC 768

    [FieldOffset(0)] public byte Flags; // [V §5.1.6]
    [FieldOffset(1)] public byte GsoType; // [V §5.1.6]
    [FieldOffset(2)] public ushort HeaderLength; // hdr_len, with segmentation [V §5.1.6.2]
    [FieldOffset(4)] public ushort GsoSize; // payload of a segment [V §5.1.6.2]
    [FieldOffset(6)] public ushort ChecksumStart; // csum_start [V §5.1.6.2]
    [FieldOffset(8)] public ushort ChecksumOffset; // csum_offset, from there [V §5.1.6.2]
    [FieldOffset(10)] public ushort Buffers; // num_buffers, 0 on transmit [V §5.1.6.2.1]

    [FieldOffset(12)] public uint Hash; // hash_value [V §5.1.6.4.4]
    [FieldOffset(16)] public ushort HashReport; // hash_report [V §5.1.6.4.4]

    /// <summary>Bytes of it with what was negotiated, both ways [V §5.1.6].</summary>
    public static ushort BytesWith(VirtioFeatures features) => (features & VirtioNetFeatures.HashReport) != 0 ? HashedBytes : Bytes;

    /// <summary>The device vouches for the data: it has checked the sum, or none was made because the frame was on no wire [V §5.1.6.4].</summary>
    /// <param name="flags">Of a received header.</param>
    public static NetFlags ResultOf(byte flags) => (flags & NeedsChecksum) != 0 ? NetFlags.PartialChecksum
        : (flags & DataValid) != 0 ? NetFlags.TransportChecksum : NetFlags.None;

    /// <summary>What the device says that the hash is of; none for what it cannot be.</summary>
    public readonly HashKind KindOfHash => HashReport <= (ushort)HashKind.UdpIpv6Ex ? (HashKind)HashReport : HashKind.None;

    /// <summary>What a received frame is to be cut into.</summary>
    /// <param name="gso">gso_type, not 0.</param>
    /// <returns>Features of which one was negotiated where a device may say that, none for an unknown kind; and how a client is told.</returns>
    public static (VirtioFeatures Needed, NetFlags Told) KindOf(byte gso) => gso switch
    {
        GsoTcp4 => (VirtioNetFeatures.GuestTso4, NetFlags.Segment | NetFlags.TcpChecksum),
        GsoTcp6 => (VirtioNetFeatures.GuestTso6, NetFlags.Segment | NetFlags.TcpChecksum | NetFlags.Ipv6),
        GsoTcp4 | GsoEcn => (VirtioNetFeatures.GuestEcn, NetFlags.Segment | NetFlags.TcpChecksum | NetFlags.Congestion),
        GsoTcp6 | GsoEcn => (VirtioNetFeatures.GuestEcn, NetFlags.Segment | NetFlags.TcpChecksum | NetFlags.Ipv6 | NetFlags.Congestion),
        GsoFragments => (VirtioNetFeatures.GuestUfo, NetFlags.Segment | NetFlags.UdpChecksum | NetFlags.Fragments),
        GsoUdp => (VirtioNetFeatures.GuestUso4 | VirtioNetFeatures.GuestUso6, NetFlags.Segment | NetFlags.UdpChecksum),
        _ => (VirtioFeatures.None, NetFlags.None),
    };

    /// <summary>The header for a frame's requests, which were checked [V §5.1.6.2].</summary>
    public static VirtioNetHeader For(in NetBuffer first)
    {
        NetFlags flags = first.Flags;
        bool udp = (flags & NetFlags.UdpChecksum) != 0;
        ushort transport = (ushort)(first.LinkHeader + first.NetworkHeader);
        VirtioNetHeader header = new()
        {
            Flags = NeedsChecksum,
            ChecksumStart = transport,
            ChecksumOffset = udp ? UdpChecksumAt : TcpChecksumAt,
        };
        if ((flags & NetFlags.Segment) == 0) return header;
        header.GsoType = udp ? GsoUdp : (flags & NetFlags.Ipv6) != 0 ? GsoTcp6 : GsoTcp4;
        header.GsoSize = first.SegmentSize;
        header.HeaderLength = (ushort)(transport + first.TransportHeader);
        return header;
    }
}
