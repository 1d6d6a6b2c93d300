using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block;
using Xinim.TestKit.Block.Ahci;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Ahci;

/// <summary>Command completion coalescing, on the model; QEMU has none.</summary>
public sealed class AhciCoalescingTests
{
    private const uint Capable = (1u << 31) | (1u << 30) | (1u << 18) | (1u << 7);

    [Fact]
    public void Nothing_is_coalesced_unless_it_is_asked_for()
    {
        using AhciBench bench = new AhciBench(new AhciModel(capabilities: Capable), [new AtaDiskModel()]).Started();
        Assert.False(bench.Model.Coalesces);
        ulong[] cookies = Fill(bench, 8);
        bench.Port.Release(0);
        Assert.True(bench.Sleep());
        Finish(bench, cookies);
    }

    [Fact]
    public void A_controller_that_cannot_is_told_of()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel(), ("coalesceCommands", "4")).Started();
        Assert.Contains(bench.Log, line => line.Contains("CAP.CCCS is 0", StringComparison.Ordinal));
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        AssertClean(bench);
    }

    [Fact]
    public void Several_commands_interrupt_once()
    {
        using AhciBench bench = New();
        ulong before = bench.Units[0].Statistics.Interrupts;
        ulong[] cookies = Fill(bench, 10);
        for (int round = 0; round < 2; round++)
        {
            for (int i = 0; i < 4; i++)
            {
                bench.Port.Release((4 * round) + i);
                Assert.Equal(i == 3, bench.Interrupts.Take(0));
            }

            Serve(bench);
            Assert.Equal(4 * (round + 1), bench.Client.Unread);
            bench.Driver.ArmInterrupts();
            bench.Client.Poll();
        }

        Assert.False(bench.Interrupts.Take(0));
        // Two are left, and four would have to come: each interrupts by itself.
        bench.Port.Release(8);
        Assert.True(bench.Interrupts.Take(0));
        Serve(bench);
        Finish(bench, cookies);
        Assert.Equal(before + 3, bench.Units[0].Statistics.Interrupts);
    }

    [Fact]
    public void When_the_time_is_up_fewer_interrupt()
    {
        using AhciBench bench = New();
        ulong[] cookies = Fill(bench, 8);
        bench.Port.Release(0);
        bench.Port.Release(1);
        Assert.False(bench.Interrupts.Take(0));
        bench.Model.ExpireCoalescing();
        Assert.True(bench.Interrupts.Take(0));
        Serve(bench);
        Assert.Equal(2, bench.Client.Unread);
        Finish(bench, cookies);
    }

    [Fact]
    public void What_is_finished_before_the_loop_sleeps_is_seen()
    {
        using AhciBench bench = New();
        bench.Driver.MaskInterrupts();
        ulong[] cookies = Fill(bench, 8, arm: false);
        // Four interrupt, and nobody has looked: the bit is cleared when the loop arms, and the poll that follows reads the register.
        for (int i = 0; i < 4; i++) bench.Port.Release(i);
        bench.Driver.ArmInterrupts();
        bench.Client.Poll();
        Assert.Equal(4, bench.Client.Unread);
        Finish(bench, cookies);
    }

    [Fact]
    public void An_error_and_a_disk_that_goes_wait_for_nobody()
    {
        using AhciBench bench = New();
        bench.Disk.Fault = command => command is { Queued: true, Slot: 0 } && command.Lba == 0 ? new AtaFault(AtaFaultKind.TaskFile, 0x40) : null;
        ulong[] cookies = Fill(bench, 8);
        bench.Port.Release(0);
        Assert.True(bench.Interrupts.Take(0));
        bench.Model.Hold = false;
        Serve(bench);
        for (int i = 0; i < 64; i++) bench.Client.Poll();
        Assert.Equal(BlockStatus.IoError, bench.Client.Await(cookies[0]).Status);
        Finish(bench, cookies[1..]);
        _ = Fill(bench, 8);
        bench.Port.Unplug();
        Assert.True(bench.Interrupts.Take(0));
    }

    [Fact]
    public void Disks_of_a_controller_count_together()
    {
        using AhciBench bench = New(new AtaDiskModel(serial: "XT-0002"));
        ulong[] first = Fill(bench, 4, arm: false), second = [.. Enumerable.Range(0, 4).Select(i => bench.Clients[1].Submit(BlockOperation.Read, (ulong)i, 1, i * 512, 512))];
        bench.Clients[1].Poll();
        bench.Driver.ArmInterrupts();
        foreach (UnitClient client in bench.Clients.Values) client.Poll();
        for (int i = 0; i < 2; i++)
        {
            Assert.False(bench.Interrupts.Take(0));
            bench.Port.Release(i);
            bench.Model.Ports[1].Release(i);
        }

        Assert.True(bench.Interrupts.Take(0));
        Serve(bench);
        Assert.Equal((2, 2), (bench.Clients[0].Unread, bench.Clients[1].Unread));
        bench.Model.Hold = false;
        bench.Model.Ports[1].Release();
        foreach (ulong cookie in second) Assert.Equal(BlockStatus.Ok, bench.Clients[1].Await(cookie).Status);
        Finish(bench, first);
    }

    private static AhciBench New(params AtaDiskModel[] more)
    {
        AhciBench bench = new AhciBench(new AhciModel(capabilities: Capable), [new AtaDiskModel(), .. more], ("coalesceCommands", "4"), ("coalesceMilliseconds", "2")).Started();
        // The driver's own commands have been counted.
        bench.Model.ExpireCoalescing();
        while (bench.Sleep()) { }
        return bench;
    }

    /// <summary>Gives the disk commands, which wait, and lets the loop sleep.</summary>
    private static ulong[] Fill(AhciBench bench, int count, bool arm = true)
    {
        bench.Model.Hold = true;
        ulong[] cookies = [.. Enumerable.Range(0, count).Select(i => bench.Client.Submit(BlockOperation.Read, (ulong)i, 1, i * 512, 512))];
        bench.Client.Poll();
        if (!arm) return cookies;
        bench.Driver.ArmInterrupts();
        bench.Client.Poll();
        Assert.False(bench.Interrupts.Take(0));
        return cookies;
    }

    private static void Serve(AhciBench bench)
    {
        bench.Driver.OnInterrupt(0);
        bench.Interrupts.Acknowledge(0);
        foreach (UnitClient client in bench.Clients.Values) client.Poll();
    }

    private static void Finish(AhciBench bench, ulong[] cookies)
    {
        bench.Model.Hold = false;
        bench.Port.Release();
        foreach (ulong cookie in cookies) Assert.Equal(BlockStatus.Ok, bench.Client.Await(cookie).Status);
        AssertClean(bench);
    }

    private static void AssertClean(AhciBench bench)
    {
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }
}
