using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;

namespace Xinim.Vfio.Tests.Remote;

/// <summary>The little of an 82540EM that shows DMA and interrupts: one legacy transmit ring (Intel SDM §3.3.3, §13.4). Not a driver.</summary>
internal sealed class E1000Probe
{
    public const uint LinkStatusChange = 1 << 2;
    private const uint InterruptCauseRead = 0x00C0;
    private const uint InterruptCauseSet = 0x00C8;
    private const uint InterruptMaskSet = 0x00D0;
    private const uint InterruptMaskClear = 0x00D8;
    private const uint TransmitControl = 0x0400;
    private const uint TransmitBase = 0x3800;
    private const uint RingBytes = 128;
    private const long BufferOffset = 4096;
    private readonly Mmio _bar;
    private uint _tail;

    public E1000Probe(IPciDevice device) => _bar = device.MapBar(0);

    /// <summary>Sets up a ring of eight descriptors at this address and lets the device master the bus.</summary>
    public void StartTransmit(IPciDevice device, Iova ring)
    {
        device.Config.Write16(0x04, (ushort)(device.Config.Read16(0x04) | 4));
        _bar.Write32(TransmitBase, ring.Low);
        _bar.Write32(TransmitBase + 4, ring.High);
        _bar.Write32(TransmitBase + 8, RingBytes);
        _bar.Write32(TransmitBase + 0x10, 0);
        _bar.Write32(TransmitBase + 0x18, 0);
        _bar.Write32(TransmitControl, 2); // EN
        _tail = 0;
    }

    /// <summary>Queues a frame (EOP, IFCS, RS) and rings the doorbell; the region starts with the ring.</summary>
    /// <returns>The descriptor's index.</returns>
    public uint Send(SharedRegion region, Iova start, ReadOnlySpan<byte> frame)
    {
        frame.CopyTo(region.Slice(BufferOffset, frame.Length));
        uint index = _tail;
        region.At<ulong>(index * 16) = start.Value + BufferOffset;
        region.At<ulong>((index * 16) + 8) = (uint)frame.Length | (0x0Bu << 24);
        _tail = (_tail + 1) % 8;
        Ring();
        return index;
    }

    /// <summary>Rings the doorbell; register writes are answered after the model has sent everything.</summary>
    public void Ring() => _bar.Write32(TransmitBase + 0x18, _tail);

    /// <summary>DD of a descriptor.</summary>
    public static bool IsDone(SharedRegion region, uint index) => (region.Slice((index * 16) + 12, 1)[0] & 1) != 0;

    public void AllowInterrupt(uint cause) => _bar.Write32(InterruptMaskSet, cause);

    public void ForbidInterrupts() => _bar.Write32(InterruptMaskClear, uint.MaxValue);

    public void Raise(uint cause) => _bar.Write32(InterruptCauseSet, cause);

    public uint ReadAndClearCause() => _bar.Read32(InterruptCauseRead);
}
