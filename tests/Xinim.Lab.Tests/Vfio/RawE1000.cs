using System.Runtime.InteropServices;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;

namespace Xinim.Lab.Tests.Vfio;

/// <summary>
/// As little of a driver for the 82540EM and the 82574L as makes them copy memory: transmit through the PHY's loopback into receive buffers.
/// [SDM] = Intel PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual.
/// </summary>
internal sealed class RawE1000
{
    public const uint RingSize = 8;

    private const uint Ctrl = 0, Mdic = 0x20, Imc = 0xd8, Rctl = 0x100, Tctl = 0x400;
    private const uint Rdbal = 0x2800, Rdbah = 0x2804, Rdlen = 0x2808, Rdh = 0x2810, Rdt = 0x2818;
    private const uint Rfctl = 0x5008, Mrqc = 0x5818; // of the 82574L; the 82540EM ignores them
    private const uint Tdbal = 0x3800, Tdbah = 0x3804, Tdlen = 0x3808, Tdh = 0x3810, Tdt = 0x3818;
    private const byte EndReportStatus = 0x01 | 0x08, Done = 1;
    private readonly IPciDevice _device;
    private readonly Mmio _registers;
    private DmaBuffer<Descriptor> _transmit;
    private DmaBuffer<Descriptor> _receive;
    private uint _next;

    public RawE1000(IPciDevice device)
    {
        _device = device;
        _registers = device.MapBar(0);
    }

    /// <summary>Stops the device, gives it rings in fresh memory and lets it run. [SDM] 14.3 to 14.5.</summary>
    public void Start(DmaArena arena)
    {
        _registers.Write32(Imc, uint.MaxValue);
        _registers.Write32(Tctl, 0);
        _registers.Write32(Rctl, 0);
        // RST, then wait [SDM] 13.4.1; set link up and speed as a driver would.
        _registers.Write32(Ctrl, _registers.Read32(Ctrl) | (1u << 26));
        Wait.Pause(TimeSpan.FromMilliseconds(5));
        _registers.Write32(Ctrl, (1u << 6) | 1);
        // QEMU's 82574 resets neither: a driver before this one may have left extended descriptors on.
        _registers.Write32(Rfctl, 0);
        _registers.Write32(Mrqc, 0);
        // PHY register 0, loopback bit [SDM] 13.4.8: write operation, PHY 1.
        _registers.Write32(Mdic, (1u << 26) | (1u << 21) | 0x4140);
        _transmit = arena.Allocate<Descriptor>(RingSize, 128);
        _receive = arena.Allocate<Descriptor>(RingSize, 128);
        Program(Tdbal, Tdbah, Tdlen, _transmit);
        Program(Rdbal, Rdbah, Rdlen, _receive);
        _registers.Write32(Tdh, 0);
        _registers.Write32(Tdt, 0);
        _registers.Write32(Rdh, 0);
        _registers.Write32(Rdt, 0);
        _next = 0;
        _device.Config.Write16(4, (ushort)(_device.Config.Read16(4) | 4));
        // Enable, pad short packets; enable, promiscuous, broadcast, strip CRC.
        _registers.Write32(Tctl, 0x2 | 0x8);
        _registers.Write32(Rctl, 0x2 | 0x8 | 0x10 | 0x8000 | (1u << 26));
    }

    /// <summary>Has the device copy a frame from one place to another.</summary>
    /// <returns>False where it reported nothing done within 200 ms: its write did not reach the ring.</returns>
    public bool TryCopy(Iova from, Iova to, ushort length)
    {
        uint index = _next++;
        _receive[index] = new Descriptor { Address = to.Value };
        _transmit[index] = new Descriptor { Address = from.Value, Length = length, Command = EndReportStatus };
        MemoryOrder.DescriptorsBeforeDoorbell();
        _registers.Write32(Rdt, (index + 1) % RingSize);
        _registers.Write32(Tdt, (index + 1) % RingSize);
        for (int looks = 0; looks < 200; looks++)
        {
            if ((Volatile.Read(ref _transmit[index].Status) & Done) != 0) return true;
            Thread.Sleep(1);
        }

        return false;
    }

    /// <summary>Whether the last frame's receive descriptor was written back, waiting for it at most 200 ms.</summary>
    public bool Received()
    {
        for (int looks = 0; looks < 200; looks++)
        {
            if ((Volatile.Read(ref _receive[_next - 1].Status) & Done) != 0) return true;
            Thread.Sleep(1);
        }

        return false;
    }

    /// <summary>STATUS.LU [SDM] 13.4.2.</summary>
    public bool LinkIsUp => (_registers.Read32(8) & 2) != 0;

    private void Program(uint low, uint high, uint length, DmaBuffer<Descriptor> ring)
    {
        _registers.Write32(low, ring.Iova.Low);
        _registers.Write32(high, ring.Iova.High);
        _registers.Write32(length, ring.Bytes);
    }

    // Legacy transmit [SDM] 3.3.3; receive [SDM] 3.2.3 has its status in the same byte.
    [StructLayout(LayoutKind.Explicit, Size = 16)]
    private struct Descriptor
    {
        [FieldOffset(0)] public ulong Address;
        [FieldOffset(8)] public ushort Length;
        [FieldOffset(11)] public byte Command;
        [FieldOffset(12)] public byte Status;
    }
}
