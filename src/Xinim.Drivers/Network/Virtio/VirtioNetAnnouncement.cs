using Xinim.Ipc.Protocols;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>
/// The gratuitous packet that a device asks for after it has moved [V §5.1.6.5.4]: a reverse ARP request for the own address, broadcast. It tells switches
/// where the address is now, and needs no IP address, of which a driver knows nothing.
/// </summary>
internal sealed class VirtioNetAnnouncement
{
    /// <summary>The least that an Ethernet frame has, without FCS.</summary>
    public const uint Bytes = 60;

    private const byte EthernetHardware = 1, ReverseRequest = 3; // RFC 826, RFC 903
    private readonly DmaBuffer<byte> _frame;

    public VirtioNetAnnouncement(DmaArena arena, in MacAddress mac)
    {
        _frame = arena.Allocate<byte>(64, 16);
        ReadOnlySpan<byte> own = mac;
        Put(0, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        Put(6, own);
        // Type RARP, then hardware, protocol IPv4, sizes, operation (RFC 903).
        Put(12, [0x80, 0x35, 0, EthernetHardware, 0x08, 0x00, 6, 4, 0, ReverseRequest]);
        Put(22, own);
        Put(32, own);
    }

    public Iova At => _frame.Iova;

    private void Put(uint offset, ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes) _frame[offset++] = value;
    }
}
