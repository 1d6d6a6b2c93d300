using Xinim.Ipc.Native;
using Xinim.TestKit.Remote;
using Xinim.Vfio.Remote;
using Xunit;

namespace Xinim.Vfio.Tests.Remote;

/// <summary>INTx of a real device model (82540EM).</summary>
[Trait("needs", "qemu")]
public sealed class QemuInterruptTests : IDisposable
{
    private const int SoonEnough = 2000;
    private const int LongEnough = 100;
    private readonly QemuDevice _qemu = new("remote:e1000");
    private readonly RemotePciDevice _device;
    private readonly E1000Probe _nic;

    public QemuInterruptTests()
    {
        _device = _qemu.OpenDriver();
        _nic = new E1000Probe(_device);
    }

    public void Dispose() => _qemu.Dispose();

    [Fact]
    public void Offers_one_line_and_nothing_else()
    {
        Assert.Equal(new InterruptSupport(true, 0, 0), _device.Interrupts);
        Assert.Throws<ArgumentException>(() => _device.EnableInterrupts(InterruptKind.MsiX, 1));
    }

    [Fact]
    public void Fires_again_after_each_acknowledge_until_the_device_is_served()
    {
        using IDeviceInterrupts interrupts = _device.EnableInterrupts(InterruptKind.Intx, 1);
        Assert.False(Fired(interrupts, LongEnough));
        _nic.AllowInterrupt(E1000Probe.LinkStatusChange);
        _nic.Raise(E1000Probe.LinkStatusChange);
        for (int i = 0; i < 3; i++)
        {
            Assert.True(Fired(interrupts, SoonEnough));
            interrupts.Acknowledge(0);
        }
        Assert.NotEqual(0u, _nic.ReadAndClearCause() & E1000Probe.LinkStatusChange);
        interrupts.Acknowledge(0);
        // The answer to the acknowledge before may still have been on its way.
        if (Fired(interrupts, LongEnough)) interrupts.Acknowledge(0);
        Assert.False(Fired(interrupts, LongEnough));

        _nic.Raise(E1000Probe.LinkStatusChange);
        Assert.True(Fired(interrupts, SoonEnough));
    }

    [Fact]
    public void Acknowledging_what_never_fired_does_not_block()
    {
        using IDeviceInterrupts interrupts = _device.EnableInterrupts(InterruptKind.Intx, 1);
        interrupts.Acknowledge(0);
        // A plain read as well: QEMU makes received eventfds blocking, and an event loop may read this one.
        Assert.Equal(0u, Descriptor.Drain(interrupts.EventOf(0)));
    }

    [Fact]
    public void Masked_interrupt_stays_pending_and_fires_on_unmasking()
    {
        using IDeviceInterrupts interrupts = _device.EnableInterrupts(InterruptKind.Intx, 1);
        _nic.AllowInterrupt(E1000Probe.LinkStatusChange);
        interrupts.Mask(0);
        _nic.Raise(E1000Probe.LinkStatusChange);
        Assert.False(Fired(interrupts, LongEnough));
        interrupts.Unmask(0);
        Assert.True(Fired(interrupts, SoonEnough));
    }

    [Fact]
    public void Line_that_is_up_before_anybody_listens_fires_at_once()
    {
        _nic.AllowInterrupt(E1000Probe.LinkStatusChange);
        _nic.Raise(E1000Probe.LinkStatusChange);
        using IDeviceInterrupts interrupts = _device.EnableInterrupts(InterruptKind.Intx, 1);
        Assert.True(Fired(interrupts, SoonEnough));
    }

    [Fact]
    public void Line_left_up_by_a_dead_driver_does_not_reach_it_and_does_reach_the_next()
    {
        using IDeviceInterrupts old = _device.EnableInterrupts(InterruptKind.Intx, 1);
        _nic.AllowInterrupt(E1000Probe.LinkStatusChange);
        _qemu.Backend.DisableInterrupts();
        _nic.Raise(E1000Probe.LinkStatusChange);
        Assert.False(Fired(old, LongEnough));

        using IDeviceInterrupts next = _qemu.OpenDriver().EnableInterrupts(InterruptKind.Intx, 1);
        Assert.True(Fired(next, SoonEnough));
    }

    [Fact]
    public void Disposed_interrupts_leave_the_line_disabled()
    {
        IDeviceInterrupts interrupts = _device.EnableInterrupts(InterruptKind.Intx, 1);
        interrupts.Dispose();
        Assert.NotEqual(0, _device.Config.Read16(0x04) & 0x0400);
        _nic.AllowInterrupt(E1000Probe.LinkStatusChange);
        _nic.Raise(E1000Probe.LinkStatusChange);
        Assert.NotEqual(0, _device.Config.Read16(0x06) & 0x0008); // Interrupt Status, PCI 3.0 §6.2.3: asks, and is not heard
        _nic.ForbidInterrupts();
    }

    private static bool Fired(IDeviceInterrupts interrupts, int milliseconds) => Descriptor.Poll(milliseconds, interrupts.EventOf(0)) != 0;
}
