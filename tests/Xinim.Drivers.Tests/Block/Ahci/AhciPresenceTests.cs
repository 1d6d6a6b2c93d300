using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block.Ahci;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Ahci;

/// <summary>Slots that tell themselves what is in them: cold presence detection, and switches; on the model.</summary>
public sealed class AhciPresenceTests
{
    private const uint Switches = (1u << 31) | (1u << 30) | (1u << 28) | (1u << 18);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_slot_has_power_while_something_is_in_it(bool interrupts)
    {
        using AhciBench bench = NewCold([new AtaDiskModel(), null]);
        Assert.Equal((true, false), (bench.Model.Ports[0].Powered, bench.Model.Ports[1].Powered));
        Assert.Equal(16384ul, bench.Units[0].Info.Blocks);
        bench.Model.Ports[1].Plug(new AtaDiskModel(serial: "XT-0002"));
        Pass(bench, interrupts);
        Assert.True(bench.Model.Ports[1].Powered);
        Assert.Equal("XT-0002", bench.Units[1].Info.Serial.ToString());
        bench.Model.Ports[1].Unplug();
        Pass(bench, interrupts);
        Assert.False(bench.Model.Ports[1].Powered);
        Assert.True(bench.Units[1].Info.Has(BlockFeatures.Absent));
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        AssertClean(bench);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_disk_that_goes_while_its_link_sleeps_is_missed_all_the_same(bool interrupts)
    {
        using AhciBench bench = NewCold([new AtaDiskModel(), new AtaDiskModel(serial: "XT-0002")]);
        bench.Port.SleepingLink = true;
        bench.Model.Hold = true;
        ulong cookie = bench.Client.Submit(BlockOperation.Write, 0, 1, 0, 512);
        bench.Client.Poll();
        bench.Port.Unplug();
        Pass(bench, interrupts);
        Assert.Equal(BlockStatus.NoMedium, bench.Client.Await(cookie, 100).Status);
        Assert.True(bench.Units[0].Info.Has(BlockFeatures.Absent));
        bench.Model.Hold = false;
        bench.Model.Ports[1].Release();
        Assert.Equal(BlockStatus.Ok, bench.Clients[1].Run(BlockOperation.Write, 0, 1, 0, 512));
        AtaDiskModel next = new(serial: "XT-0003");
        bench.Port.Plug(next);
        Pass(bench, interrupts);
        Assert.Equal("XT-0003", bench.Units[0].Info.Serial.ToString());
        Assert.False(next.Holds(0));
        AssertClean(bench);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_slot_that_is_opened_gives_its_disk_up_before_it_is_pulled(bool interrupts)
    {
        using AhciBench bench = new(new AhciModel(capabilities: Switches), [new AtaDiskModel()]);
        bench.Port.HasPresenceSwitch = true;
        bench.Started();
        bench.Model.Hold = true;
        ulong cookie = bench.Client.Submit(BlockOperation.Write, 0, 1, 0, 512);
        bench.Client.Poll();
        bench.Port.Switch(open: true);
        Pass(bench, interrupts);
        Assert.Equal(BlockStatus.NoMedium, bench.Client.Await(cookie, 100).Status);
        Assert.Equal(BlockStatus.NoMedium, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        Assert.Contains(bench.Log, line => line.Contains("has lost its disk", StringComparison.Ordinal));
        bench.Model.Hold = false;
        bench.Port.Switch(open: false);
        Pass(bench, interrupts);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        AssertClean(bench);
    }

    [Fact]
    public void A_slot_that_is_open_from_the_start_has_no_disk()
    {
        using AhciBench bench = new(new AhciModel(capabilities: Switches), [new AtaDiskModel()]);
        bench.Port.HasPresenceSwitch = true;
        bench.Port.Switch(open: true);
        bench.Started();
        Assert.True(bench.Units[0].Info.Has(BlockFeatures.Absent));
        bench.Port.Switch(open: false);
        Pass(bench, interrupts: true);
        Assert.Equal(16384ul, bench.Units[0].Info.Blocks);
    }

    /// <summary>The switch's state means nothing without CAP.SMPS [AHCI §3.3.7], and a port that tells of neither is not asked.</summary>
    [Fact]
    public void A_switch_that_the_controller_does_not_have_is_no_switch()
    {
        using AhciBench bench = new(new AhciModel(), [new AtaDiskModel()]);
        bench.Port.HasPresenceSwitch = true;
        bench.Port.Switch(open: true);
        bench.Started();
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        AssertClean(bench);
    }

    private static AhciBench NewCold(AtaDiskModel?[] disks)
    {
        AhciModel model = new();
        foreach (AhciModelPort port in model.Ports) port.ColdPresence = true;
        return new AhciBench(model, disks).Started();
    }

    /// <summary>The loop sleeps and is woken, or nothing wakes it and the timer finds out.</summary>
    private static void Pass(AhciBench bench, bool interrupts)
    {
        if (interrupts) for (int i = 0; i < 8; i++) bench.Sleep();
        else bench.Pass(3);
    }

    private static void AssertClean(AhciBench bench)
    {
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }
}
