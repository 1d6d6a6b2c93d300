using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Network.E1000;

/// <summary>A transmit descriptor, one of three layouts [SDM §3.3.3, §3.3.6, §3.3.7]. Two 64-bit stores fill it.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct TxDescriptor
{
    /// <summary>Buffer address; in a context descriptor the checksum offsets.</summary>
    [FieldOffset(0)] public ulong Address;

    /// <summary>Length, type, command, status, options and VLAN tag.</summary>
    [FieldOffset(8)] public ulong Control;

    public const ulong EndOfPacket = 1ul << 24; // EOP [SDM §3.3.3.1]
    public const ulong InsertFcs = 1ul << 25; // IFCS [SDM §3.3.3.1]
    public const ulong Segment = 1ul << 26; // TSE, of data and context descriptors [SDM §3.3.7.1]
    public const ulong ReportStatus = 1ul << 27; // RS [SDM §3.3.3.1]
    public const ulong Extension = 1ul << 29; // DEXT [SDM §3.3.6]
    public const ulong InsertVlan = 1ul << 30; // VLE [SDM §3.3.3.1]
    public const ulong DataType = 1ul << 20; // DTYP 0001 [SDM §3.3.7]
    public const ulong Done = 1ul << 32; // STA.DD [SDM §3.3.3.2]
    public const ulong InsertIpChecksum = 1ul << 40; // POPTS.IXSM [SDM §3.3.7.3]
    public const ulong InsertTransportChecksum = 1ul << 41; // POPTS.TXSM [SDM §3.3.7.3]
    public const ulong ContextTcp = 1ul << 24; // TUCMD.TCP [SDM §3.3.6.1]
    public const ulong ContextIpv4 = 1ul << 25; // TUCMD.IP [SDM §3.3.6.1]
    public const int VlanShift = 48; // Special [SDM §3.3.5]

    /// <summary>The most bytes that one legacy descriptor can name [SDM §3.3.3]; kept for data descriptors too.</summary>
    public const uint MaxBytes = 16288;

    /// <summary>A frame in one buffer without offloads [SDM §3.3.3].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong WholeFrame(uint length) => length | EndOfPacket | InsertFcs;
}

/// <summary>
/// The two words of a context descriptor [SDM §3.3.6]: where the checksums of the following frames begin, end and go, and how TCP
/// payload is cut. Compared with the last one given to the device: an equal one is not given again.
/// </summary>
internal readonly record struct TxContext(ulong Offsets, ulong Control)
{
    private const int TcpChecksumField = 16; // RFC 9293 §3.1
    private const int UdpChecksumField = 6; // RFC 768
    private const int Ipv4ChecksumField = 10; // RFC 791 §3.1

    /// <summary>For a frame whose header lengths were checked: every offset is below 256.</summary>
    /// <param name="first">The frame's first buffer.</param>
    /// <param name="total">Bytes of the frame.</param>
    public static TxContext Of(in NetBuffer first, uint total)
    {
        uint ip = first.LinkHeader;
        uint transport = ip + first.NetworkHeader;
        uint field = transport + ((first.Flags & NetFlags.UdpChecksum) != 0 ? (uint)UdpChecksumField : TcpChecksumField);
        // TUCSE 0: to the end of the frame [SDM §3.3.6].
        ulong offsets = ip | ((ip + Ipv4ChecksumField) << 8) | ((ulong)(transport - 1) << 16) | ((ulong)transport << 32) | ((ulong)field << 40);
        ulong control = TxDescriptor.Extension;
        if ((first.Flags & NetFlags.Segment) == 0) return new TxContext(offsets, control);
        uint header = transport + first.TransportHeader;
        control |= TxDescriptor.Segment | TxDescriptor.ContextTcp | (total - header) | ((ulong)header << 40) | ((ulong)first.SegmentSize << 48);
        if ((first.Flags & NetFlags.Ipv6) == 0) control |= TxDescriptor.ContextIpv4;
        return new TxContext(offsets, control);
    }
}

/// <summary>
/// A receive descriptor. Software writes the address and zero; the device writes <see cref="Result"/>, in the legacy layout
/// [SDM §3.2.3] or, on the 82574, in the extended one [82574 §7.1.5], which also overwrites the address.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct RxDescriptor
{
    [FieldOffset(0)] public ulong Address;

    /// <summary>Read once, as a whole, with <see cref="Volatile"/>: the done bit and the fields come from the same load.</summary>
    [FieldOffset(8)] public ulong Result;
}

/// <summary>Where length, status and errors stand in <see cref="RxDescriptor.Result"/>. Both layouts have the same bits in the same order.</summary>
internal readonly record struct RxLayout(int LengthShift, int StatusShift, int ErrorShift)
{
    public static readonly RxLayout Legacy = new(LengthShift: 0, StatusShift: 32, ErrorShift: 40); // [SDM §3.2.3]
    public static readonly RxLayout Extended = new(LengthShift: 32, StatusShift: 0, ErrorShift: 24); // [82574 §7.1.5]

    public const int VlanShift = 48; // Special [SDM §3.2.3.4]; VLAN tag [82574 §7.1.5]
    public const uint Done = 1 << 0; // DD [SDM §3.2.3.1]
    public const uint EndOfPacket = 1 << 1; // EOP [SDM §3.2.3.1]
    public const uint IgnoreChecksum = 1 << 2; // IXSM [SDM §3.2.3.1]
    public const uint Vlan = 1 << 3; // VP [SDM §3.2.3.1]
    public const uint TransportChecked = 1 << 5; // TCPCS [SDM §3.2.3.1]
    public const uint IpChecked = 1 << 6; // IPCS [SDM §3.2.3.1]

    public const uint FrameErrors = 0x97; // RXE, CXE, SEQ, SE, CE: the frame is damaged [SDM §3.2.3.2]
    public const uint TransportWrong = 1 << 5; // TCPE [SDM §3.2.3.2]
    public const uint IpWrong = 1 << 6; // IPE [SDM §3.2.3.2]
}
