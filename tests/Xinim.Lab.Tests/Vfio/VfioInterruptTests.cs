using Xinim.Vfio;
using Xinim.Vfio.Registers;
using Xinim.Vfio.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Vfio;

/// <summary>irq enable/trigger/disable of the kernel's vfio_pci_device_test.c, and interrupts that the device itself raises.</summary>
[Collection(nameof(VfioLab))]
public sealed class VfioInterruptTests
{
    // [8254x SDM 13.4.17 to 13.4.21]: the same places on the 82574L.
    private const uint Icr = 0xc0, Ics = 0xc8, Ims = 0xd0, Imc = 0xd8, LinkChange = 1 << 2;

    [Theory]
    [InlineData(InterruptKind.Intx, 1)]
    [InlineData(InterruptKind.Msi, 1)]
    [InlineData(InterruptKind.MsiX, 5)]
    public void Enable_trigger_disable(InterruptKind kind, int vectors)
    {
        using LabDevice lab = LabDevice.TakeE1000E();
        using VfioBackend backend = lab.Open();
        using VfioPciDevice driver = LabDevice.DriverOf(backend);
        using VfioInterrupts interrupts = (VfioInterrupts)driver.EnableInterrupts(kind, vectors);

        for (int vector = 0; vector < vectors; vector++)
        {
            interrupts.Simulate(vector);
            Assert.Equal(1ul, LabDevice.Take(interrupts.EventOf(vector)));
            for (int other = 0; other < vectors; other++) Assert.Equal(0ul, LabDevice.Take(interrupts.EventOf(other), 0));
            interrupts.Acknowledge(vector);
        }

        if (vectors > 1)
        {
            bool[] odd = [.. Enumerable.Range(0, vectors).Select(vector => vector % 2 == 1)];
            interrupts.Simulate(odd);
            for (int vector = 0; vector < vectors; vector++) Assert.Equal(odd[vector] ? 1ul : 0ul, LabDevice.Take(interrupts.EventOf(vector), 0));
        }

        backend.DisableInterrupts();
        Assert.Throws<Ipc.LinuxException>(() => interrupts.Simulate(0));
    }

    [Theory]
    [InlineData(InterruptKind.Intx)]
    [InlineData(InterruptKind.Msi)]
    [InlineData(InterruptKind.MsiX)]
    public void The_device_raises_it_again_and_again_and_not_while_masked(InterruptKind kind)
    {
        using LabDevice lab = LabDevice.TakeE1000E();
        using VfioBackend backend = lab.Open();
        using VfioPciDevice driver = LabDevice.DriverOf(backend);
        Mmio registers = driver.MapBar(0);
        using IPciInterrupts interrupts = Enable(driver, registers, kind);

        for (int round = 0; round < 3; round++)
        {
            registers.Write32(Ics, Cause(kind));
            Assert.True(LabDevice.Fires(interrupts, 0), $"round {round}");
            Rearm(registers, kind);
            interrupts.Acknowledge(0);
        }

        interrupts.Mask(0);
        registers.Write32(Ics, Cause(kind));
        Assert.False(LabDevice.Fires(interrupts, 0, 100));
        interrupts.Unmask(0);
        Assert.True(LabDevice.Fires(interrupts, 0));
        Silence(registers, interrupts);
    }

    [Fact]
    public void A_silenced_device_raises_nothing_and_the_next_driver_gets_interrupts_again()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        using VfioBackend backend = lab.Open();
        using (VfioPciDevice first = LabDevice.DriverOf(backend))
        {
            // What a dead driver leaves: interrupts on, one pending and masked, INTx disabled in the command register.
            Mmio registers = first.MapBar(0);
            IPciInterrupts left = Enable(first, registers, InterruptKind.Intx);
            registers.Write32(Ics, LinkChange);
            Assert.True(LabDevice.Fires(left, 0));
            backend.DisableInterrupts();
            backend.DisableInterrupts();
            registers.Write32(Ics, LinkChange);
            Assert.False(LabDevice.Fires(left, 0, 100));
        }

        using VfioPciDevice second = LabDevice.DriverOf(backend);
        Mmio again = second.MapBar(0);
        again.Write32(Imc, uint.MaxValue);
        _ = again.Read32(Icr);
        using IPciInterrupts interrupts = Enable(second, again, InterruptKind.Intx);
        again.Write32(Ics, LinkChange);
        Assert.True(LabDevice.Fires(interrupts, 0));
    }

    [Fact]
    public void Only_what_is_offered_can_be_enabled()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        using VfioBackend backend = lab.Open();
        using VfioPciDevice driver = LabDevice.DriverOf(backend);
        Assert.Equal(new InterruptSupport(true, 0, 0), driver.Interrupts);
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.EnableInterrupts(InterruptKind.MsiX, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.EnableInterrupts(InterruptKind.Intx, 2));
    }

    private static IPciInterrupts Enable(VfioPciDevice driver, Mmio registers, InterruptKind kind)
    {
        registers.Write32(Imc, uint.MaxValue);
        _ = registers.Read32(Icr);
        // Vector 0 for "other" causes, valid; CTRL_EXT.31 lets MSI-X messages out by vector [82574L 10.2.4.9].
        if (kind == InterruptKind.MsiX) registers.Write32(0xe4, 8u << 16);
        IPciInterrupts interrupts = driver.EnableInterrupts(kind, 1);
        // A message is a write to memory: without bus mastering no MSI leaves the device.
        driver.Config.Write16(4, (ushort)(driver.Config.Read16(4) | 4));
        registers.Write32(Ims, Cause(kind));
        return interrupts;
    }

    // With MSI-X the 82574L sends "other" causes by ICR bit 24 [82574L 10.2.4.1].
    private static uint Cause(InterruptKind kind) => kind == InterruptKind.MsiX ? LinkChange | (1u << 24) : LinkChange;

    /// <summary>
    /// No interrupt comes any more, for long enough that the throttle timers have run out too: QEMU 7.2 ends when one that was started
    /// in one mode runs out in another (e1000e_intrmgr_on_throttling_timer).
    /// </summary>
    private static void Silence(Mmio registers, IPciInterrupts interrupts)
    {
        registers.Write32(Imc, uint.MaxValue);
        _ = registers.Read32(Icr);
        registers.Write32(Icr, uint.MaxValue);
        interrupts.Acknowledge(0);
        Assert.False(LabDevice.Fires(interrupts, 0, 100));
    }

    private static void Rearm(Mmio registers, InterruptKind kind)
    {
        _ = registers.Read32(Icr);
        registers.Write32(Icr, uint.MaxValue);
        registers.Write32(Ims, Cause(kind));
    }
}
