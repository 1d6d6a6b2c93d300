using Xinim.Vfio;
using Xinim.Vfio.Registers;
using Xinim.Vfio.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Vfio;

/// <summary>
/// One vector of an 8254x or 82574L that the device raises when its "cause set" register is written.
/// [SDM] = Intel PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual, [82574L] = Intel 82574L datasheet.
/// </summary>
internal sealed class RawInterrupts : IDisposable
{
    // [SDM] 13.4.17 to 13.4.21: the same places on the 82574L.
    private const uint Icr = 0xc0, Ics = 0xc8, Ims = 0xd0, Imc = 0xd8, Ivar = 0xe4;

    // "Small receive packet": nothing but a test raises it, as RSRPD is 0 [SDM] 13.4.32.
    private const uint SmallPacket = 1 << 16, Other = 1 << 24;
    private readonly Mmio _registers;
    private readonly uint _cause;
    private readonly int _vector;

    /// <param name="driver">No interrupts are enabled.</param>
    /// <param name="vectors">How many to enable.</param>
    /// <param name="vector">The one that <see cref="Raise"/> raises; other than 0 with MSI-X only.</param>
    public RawInterrupts(VfioPciDevice driver, InterruptKind kind, int vectors = 1, int vector = 0)
    {
        _registers = driver.MapBar(0);
        _vector = vector;
        // With MSI-X the 82574L sends "other" causes by ICR bit 24, to the vector in IVAR [82574L] 10.2.4.1, 10.2.4.9.
        _cause = kind == InterruptKind.MsiX ? SmallPacket | Other : SmallPacket;
        Clear();
        if (kind == InterruptKind.MsiX) _registers.Write32(Ivar, (8u | (uint)vector) << 16);
        Events = driver.EnableInterrupts(kind, vectors);
        // A message is a write to memory: without bus mastering no MSI leaves the device.
        driver.Config.Write16(4, (ushort)(driver.Config.Read16(4) | 4));
        _registers.Write32(Ims, _cause);
    }

    public IDeviceInterrupts Events { get; }

    /// <summary>
    /// Has the device raise its interrupt. QEMU's 82574 sends its message again and again while the cause stands, each time that the throttle
    /// timer runs out, and lets nobody switch that timer off (e1000e_set_itr).
    /// </summary>
    public void Raise() => _registers.Write32(Ics, _cause);

    /// <summary>What a handler does: takes the causes, so that the next one raises the interrupt again; and waits for messages on their way.</summary>
    public void Rearm()
    {
        Settle(10);
        _registers.Write32(Ims, _cause);
    }

    /// <summary>
    /// No interrupt comes any more, for long enough that the throttle timers have run out too: QEMU 7.2 ends when one that was started
    /// in one mode runs out in another (e1000e_intrmgr_on_throttling_timer).
    /// </summary>
    public void Silence() => Settle(100);

    public void Dispose() => Events.Dispose();

    private void Settle(int quietMilliseconds)
    {
        Clear();
        for (int looks = 0; LabDevice.Fires(Events, _vector, quietMilliseconds); looks++)
        {
            Assert.True(looks < 100, "the device goes on with its interrupt, although no cause is left and none is enabled");
            Events.Acknowledge(_vector);
        }
    }

    private void Clear()
    {
        _registers.Write32(Imc, uint.MaxValue);
        _ = _registers.Read32(Icr);
        _registers.Write32(Icr, uint.MaxValue);
    }
}
