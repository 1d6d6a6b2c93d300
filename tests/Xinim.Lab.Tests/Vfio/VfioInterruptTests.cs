using Xinim.Vfio;
using Xinim.Vfio.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Vfio;

/// <summary>irq enable/trigger/disable of the kernel's vfio_pci_device_test.c, and interrupts that the device itself raises.</summary>
[Collection(nameof(VfioLab))]
public sealed class VfioInterruptTests
{
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
        using RawInterrupts interrupts = new(driver, kind);

        for (int round = 0; round < 3; round++)
        {
            interrupts.Raise();
            Assert.True(LabDevice.Fires(interrupts.Events, 0), $"round {round}");
            interrupts.Events.Acknowledge(0);
            interrupts.Rearm();
        }

        interrupts.Events.Mask(0);
        interrupts.Raise();
        Assert.False(LabDevice.Fires(interrupts.Events, 0, 100));
        interrupts.Events.Unmask(0);
        Assert.True(LabDevice.Fires(interrupts.Events, 0));
        interrupts.Silence();
    }

    [Fact]
    public void A_silenced_device_raises_nothing_and_the_next_driver_gets_interrupts_again()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        using VfioBackend backend = lab.Open();
        using (VfioPciDevice first = LabDevice.DriverOf(backend))
        {
            // What a dead driver leaves: interrupts on, one pending and masked, INTx disabled in the command register.
            RawInterrupts left = new(first, InterruptKind.Intx);
            left.Raise();
            Assert.True(LabDevice.Fires(left.Events, 0));
            backend.DisableInterrupts();
            backend.DisableInterrupts();
            left.Raise();
            Assert.False(LabDevice.Fires(left.Events, 0, 100));
        }

        using VfioPciDevice second = LabDevice.DriverOf(backend);
        using RawInterrupts interrupts = new(second, InterruptKind.Intx);
        interrupts.Raise();
        Assert.True(LabDevice.Fires(interrupts.Events, 0));
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
}
