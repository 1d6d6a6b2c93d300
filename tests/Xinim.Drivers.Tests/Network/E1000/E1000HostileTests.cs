using Xinim.Drivers.Network.E1000;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>Devices that break their manual: each ends the driver with a message that names the register, none corrupts or hangs it.</summary>
public sealed class E1000HostileTests
{
    [Theory]
    [InlineData(E1000Misbehaviour.StuckReset, "CTRL.RST")]
    [InlineData(E1000Misbehaviour.BadEepromSum, "0xbaba")]
    [InlineData(E1000Misbehaviour.SilentEeprom, "EERD.DONE")]
    [InlineData(E1000Misbehaviour.GroupAddress, "53:54:00:12:34:56")]
    [InlineData(E1000Misbehaviour.Removed, "STATUS")]
    public void A_broken_device_ends_the_start_within_a_second(E1000Misbehaviour misbehaviour, string named)
    {
        foreach (E1000ModelKind kind in Enum.GetValues<E1000ModelKind>())
        {
            using E1000Bench bench = new(kind, misbehaviour: misbehaviour);
            DateTime start = DateTime.UtcNow;
            DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() => bench.Driver.Start());
            // A silent Microwire EEPROM reads as ones or zeros: its sum gives it away.
            if (kind != E1000ModelKind.I82544 || misbehaviour != E1000Misbehaviour.SilentEeprom) Assert.Contains(named, fault.Message, StringComparison.OrdinalIgnoreCase);
            Assert.True(DateTime.UtcNow - start < TimeSpan.FromSeconds(2));
            Assert.False(bench.Model.Dma.Enabled);
        }
    }

    [Theory]
    [InlineData(E1000Misbehaviour.LongLength, 60)]
    [InlineData(E1000Misbehaviour.LongLength, 2049)]
    [InlineData(E1000Misbehaviour.EndlessFrame, 60)]
    [InlineData(E1000Misbehaviour.ShortMiddle, 5000)]
    public void Nonsense_in_a_receive_descriptor_is_a_fault(E1000Misbehaviour misbehaviour, int bytes)
    {
        foreach (E1000ModelKind kind in Enum.GetValues<E1000ModelKind>())
        {
            using E1000Bench bench = new E1000Bench(kind).Started(post: 64);
            bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
            bench.Model.Misbehaviour = misbehaviour;
            DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() =>
            {
                for (int i = 0; i < 10; i++)
                {
                    Assert.True(bench.Model.Receive(Packets.Plain(bytes)));
                    bench.Poll();
                }
            });
            Assert.Contains("receive descriptor", fault.Message);
            Assert.Empty(bench.Client.TakeReceived());
        }
    }

    [Fact]
    public void Random_results_never_give_more_than_was_granted_or_an_unknown_buffer()
    {
        foreach (E1000ModelKind kind in Enum.GetValues<E1000ModelKind>())
        {
            for (int round = 0; round < 50; round++)
            {
                using E1000Bench bench = new E1000Bench(kind, new E1000Options { TxDescriptors = 64, RxDescriptors = 64 }, E1000Misbehaviour.None, buffers: 32).Started(post: 32);
                bench.Model.Misbehaviour = E1000Misbehaviour.RandomStatus;
                try
                {
                    for (int i = 0; i < 20 + round; i++)
                    {
                        if (!bench.Model.Receive(Packets.Plain(60))) break;
                        bench.Poll();
                    }
                }
                catch (DeviceFaultException)
                {
                    // The expected end of such a device.
                }

                uint count = bench.Client.Client.Received.Peek(1000);
                HashSet<ulong> cookies = [];
                for (uint i = 0; i < count; i++)
                {
                    NetBuffer buffer = bench.Client.Client.Received.Read(i);
                    Assert.InRange(buffer.Length, 0u, 2048u);
                    Assert.True(buffer.Cookie < 32 && cookies.Add(buffer.Cookie));
                    Assert.Equal((uint)buffer.Cookie * 2048, buffer.Offset);
                }
            }
        }
    }

    [Fact]
    public void A_transmitter_that_never_finishes_is_a_fault_after_five_seconds()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, misbehaviour: E1000Misbehaviour.NoTransmitStatus).Started();
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        Assert.Empty(bench.Client.TakeCompleted());
        for (int i = 0; i < 4; i++) bench.Driver.OnTimer();
        Assert.Contains("written back", Assert.Throws<DeviceFaultException>(bench.Driver.OnTimer).Message);
    }

    [Fact]
    public void A_transmitter_that_is_paused_or_has_no_link_is_no_fault()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started();
        bench.Model.TransmitAtOnce = false;
        bench.Client.Send(Packets.Plain(60));
        bench.Poll();
        bench.Model.SetLink(null);
        for (int i = 0; i < 20; i++) bench.Driver.OnTimer();
        bench.Model.SetLink(1000);
        bench.Model.TransmitPaused = true;
        for (int i = 0; i < 20; i++) bench.Driver.OnTimer();
        bench.Model.TransmitPaused = false;
        for (int i = 0; i < 4; i++) bench.Driver.OnTimer();
        bench.Model.ProcessTransmit();
        bench.Poll();
        for (int i = 0; i < 20; i++) bench.Driver.OnTimer();
    }

    [Fact]
    public void An_unplugged_device_is_noticed_by_timer_and_interrupt_and_can_be_disposed_of()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574).Started();
        bench.Model.Misbehaviour = E1000Misbehaviour.Removed;
        Assert.Contains("unplugged", Assert.Throws<DeviceFaultException>(bench.Driver.OnTimer).Message);
        Assert.Contains("ICR", Assert.Throws<DeviceFaultException>(() => bench.Driver.OnInterrupt(0)).Message);
        bench.Driver.Dispose();
        Assert.Contains(bench.Log, line => line.Contains("does not answer", StringComparison.Ordinal));
    }

    [Fact]
    public void An_interrupt_storm_costs_one_interrupt_an_arming()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, misbehaviour: E1000Misbehaviour.InterruptStorm).Started(post: 8);
        for (int i = 0; i < 100; i++)
        {
            bench.Driver.ArmInterrupts();
            bench.Driver.OnInterrupt(0);
            bench.Interrupts.Acknowledge(0);
        }

        Assert.InRange(bench.Interrupts.Raised[0], 1, 101);
        Assert.Equal(100ul, bench.Driver.Statistics.Interrupts);
    }

    [Fact]
    public void Requests_that_stay_pending_are_logged_and_the_reset_follows()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82574, misbehaviour: E1000Misbehaviour.MasterStaysOn).Started();
        Assert.Contains(bench.Log, line => line.Contains("GIO_ME", StringComparison.Ordinal));
        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void Memory_that_was_taken_away_is_an_iommu_fault_and_nothing_else()
    {
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540).Started(post: 8);
        bench.Model.Dma.Unmap(bench.Client.RxPool);
        Assert.True(bench.Model.Receive(Packets.Plain(60)));
        bench.Poll();
        Assert.Single(bench.Model.Dma.Faults);
    }

    [Fact]
    public void A_small_bar_is_refused()
    {
        TestKit.Fakes.FakePciDevice device = new(new PciIdentity(0x8086, 0x100e, 0, 0, 0x020000, 0), new E1000Model(E1000ModelKind.I82540), new Dictionary<int, uint> { [0] = 0x1000 }, new InterruptSupport(true, 0, 0));
        using E1000Bench bench = new(E1000ModelKind.I82540);
        Assert.Throws<DeviceFaultException>(() => new E1000Driver(new DriverContext(device, bench.Interrupts, new Vfio.Dma.DmaArena(bench.Work), _ => { })));
    }
}
