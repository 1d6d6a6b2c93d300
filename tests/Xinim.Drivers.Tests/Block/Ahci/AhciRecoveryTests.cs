using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block.Ahci;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Ahci;

/// <summary>Every kind of error, overdue commands, disks that come and go, and controllers that talk nonsense.</summary>
public sealed class AhciRecoveryTests
{
    private const byte Uncorrectable = 0x40, NotFound = 0x10, Aborted = 4, Crc = 0x80;

    [Fact]
    public void A_queued_command_that_fails_is_named_by_the_log_and_the_others_are_given_again()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Disk.Fault = command => command.Queued && command.Lba is 80 ? new AtaFault(AtaFaultKind.TaskFile, Uncorrectable, 85) : null;
        bench.Model.Hold = true;
        ulong[] cookies = [.. Enumerable.Range(0, 20).Select(i => bench.Client.Submit(BlockOperation.Read, (ulong)(8 * i), 8, i * 4096, 4096))];
        bench.Client.Poll();
        bench.Model.Hold = false;
        bench.Port.Release();
        for (int i = 0; i < 20; i++)
        {
            BlockCompletion answer = bench.Client.Await(cookies[i]);
            if (i != 10) Assert.Equal(new BlockCompletion(cookies[i], BlockStatus.Ok), answer);
            else Assert.Equal(new BlockCompletion(cookies[i], BlockStatus.IoError, 3, 85, 0x4041), answer);
        }

        Assert.Equal((0, 1ul, 19ul * 4096), (bench.Port.LinkResets, bench.Units[0].Statistics.Errors, bench.Units[0].Statistics.ReadBytes));
        // Those before it were finished, and are not done twice.
        Assert.Equal(10, bench.Disk.Seen.Count(command => command.Lba < 80 && command.Queued));
        AssertClean(bench);
    }

    [Fact]
    public void Without_a_log_the_rest_is_given_one_by_one_after_a_reset()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel { NoLogs = true }).Started();
        bench.Disk.Fault = command => command.Command is 0x60 or 0x25 && command.Lba is 80 ? new AtaFault(AtaFaultKind.TaskFile, NotFound, 84) : null;
        bench.Model.Hold = true;
        ulong[] cookies = [.. Enumerable.Range(0, 20).Select(i => bench.Client.Submit(BlockOperation.Read, (ulong)(8 * i), 8, i * 4096, 4096))];
        bench.Client.Poll();
        bench.Model.Hold = false;
        bench.Port.Release();
        Settle(bench, cookies);
        for (int i = 0; i < 20; i++)
        {
            BlockCompletion answer = bench.Client.Await(cookies[i]);
            Assert.Equal(i == 10 ? new BlockCompletion(cookies[i], BlockStatus.IoError, 4, 84, 0x1051) : new BlockCompletion(cookies[i], BlockStatus.Ok), answer);
        }

        Assert.Equal(1, bench.Port.LinkResets);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 8, 0, 4096));
        Assert.True(bench.Disk.Seen[^1].Queued);
        AssertClean(bench);
    }

    [Fact]
    public void A_queued_command_that_fails_in_silence_is_found_by_the_timer()
    {
        AtaDiskModel disk = new() { NoLogs = true };
        disk.Identify[84] &= 0xffdf;
        using AhciBench bench = new AhciBench(disk).Started();
        bench.Disk.Fault = command => command.Queued && command.Lba is 80 ? new AtaFault(AtaFaultKind.Mute) : command.Lba is 80 ? new AtaFault(AtaFaultKind.TaskFile, Aborted) : null;
        ulong bad = bench.Client.Submit(BlockOperation.Write, 80, 8, 0, 4096), good = bench.Client.Submit(BlockOperation.Write, 160, 8, 0, 4096);
        bench.Client.Poll();
        bench.Pass(3);
        Assert.Equal(new BlockCompletion(bad, BlockStatus.IoError, 0, 80, 0x451), bench.Client.Await(bad, 0));
        Assert.Equal(BlockStatus.Ok, bench.Client.Await(good, 0).Status);
        AssertClean(bench);
    }

    [Theory]
    [InlineData(BlockOperation.Flush)]
    [InlineData(BlockOperation.Discard)]
    [InlineData(BlockOperation.Read)]
    public void A_command_that_fails_alone_needs_no_log(BlockOperation operation)
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel(), ("ncq", "false")).Started();
        int failures = 1;
        bench.Disk.Fault = _ => failures-- > 0 ? new AtaFault(AtaFaultKind.TaskFile, Aborted) : null;
        ulong cookie = operation == BlockOperation.Read ? bench.Client.Submit(operation, 80, 8, 0, 4096)
            : bench.Client.Submit(operation, operation == BlockOperation.Flush ? 0u : 80u, operation == BlockOperation.Flush ? 0u : 8u, 0);
        BlockCompletion answer = bench.Client.Await(cookie);
        Assert.Equal((BlockStatus.IoError, 0x451u), (answer.Status, answer.DeviceCode));
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        Assert.Equal((0, 1ul), (bench.Port.LinkResets, bench.Units[0].Statistics.Errors));
        AssertClean(bench);
    }

    [Theory]
    [InlineData(AtaFaultKind.InterfaceFatal, true)]
    [InlineData(AtaFaultKind.InterfaceFatal, false)]
    [InlineData(AtaFaultKind.HostBusFatal, true)]
    public void Errors_of_the_link_and_the_bus_are_tried_again(AtaFaultKind kind, bool queued)
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel(), ("ncq", queued ? "true" : "false")).Started();
        int failures = 1;
        bench.Disk.Fault = command => command.Lba == 80 && failures-- > 0 ? new AtaFault(kind) : null;
        ulong[] cookies = [.. Enumerable.Range(0, 12).Select(i => bench.Client.Submit(BlockOperation.Write, (ulong)(8 * i), 8, i * 4096, 4096))];
        Settle(bench, cookies);
        foreach (ulong cookie in cookies) Assert.Equal(BlockStatus.Ok, bench.Client.Await(cookie, 0).Status);
        AssertClean(bench);
    }

    [Theory]
    [InlineData(AtaFaultKind.InterfaceFatal)]
    [InlineData(AtaFaultKind.HostBusFatal)]
    public void An_error_that_comes_back_is_told_to_the_one_whose_it_is(AtaFaultKind kind)
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Disk.Fault = command => command.Lba == 80 && command.Command != 0xec ? new AtaFault(kind) : null;
        ulong[] cookies = [.. Enumerable.Range(0, 12).Select(i => bench.Client.Submit(BlockOperation.Write, (ulong)(8 * i), 8, i * 4096, 4096))];
        Settle(bench, cookies);
        for (int i = 0; i < 12; i++) Assert.Equal(i == 10 ? BlockStatus.IoError : BlockStatus.Ok, bench.Client.Await(cookies[i], 0).Status);
        AssertClean(bench);
    }

    [Fact]
    public void A_checksum_error_of_the_link_is_tried_again()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        int failures = 2;
        bench.Disk.Fault = command => command.Lba == 80 && failures-- > 0 ? new AtaFault(AtaFaultKind.TaskFile, Crc | Aborted) : null;
        ulong cookie = bench.Client.Submit(BlockOperation.Write, 80, 8, 0, 4096);
        Settle(bench, [cookie]);
        Assert.Equal(BlockStatus.Ok, bench.Client.Await(cookie, 0).Status);
        AssertClean(bench);
    }

    [Fact]
    public void A_lost_interrupt_is_made_up_for_by_the_timer()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Disk.Fault = _ => new AtaFault(AtaFaultKind.LostInterrupt);
        ulong cookie = bench.Client.Submit(BlockOperation.Write, 80, 8, 0, 4096);
        bench.Client.Poll();
        Assert.Equal(0, bench.Client.Unread);
        bench.Pass(1);
        Assert.Equal(BlockStatus.Ok, bench.Client.Await(cookie, 0).Status);
    }

    [Theory]
    [InlineData(AtaFaultKind.Silence, true)]
    [InlineData(AtaFaultKind.Silence, false)]
    [InlineData(AtaFaultKind.StuckBusy, false)]
    public void Overdue_commands_are_given_again(AtaFaultKind kind, bool queued)
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel(), ("ncq", queued ? "true" : "false"), ("timeout", "5")).Started();
        bench.Pass(2);
        int failures = 2;
        bench.Disk.Fault = command => command.Command is 0x61 or 0x35 && failures-- > 0 ? new AtaFault(kind) : null;
        ulong cookie = bench.Client.Submit(BlockOperation.Write, 80, 8, 0, 4096);
        bench.Client.Poll();
        bench.Pass(3);
        Assert.Equal(0, bench.Client.Unread);
        bench.Pass(17);
        Assert.Equal(BlockStatus.Ok, bench.Client.Await(cookie, 0).Status);
        // A command alone is first given again without a reset, unless the disk says that it is busy.
        Assert.Equal(queued || kind == AtaFaultKind.StuckBusy ? 2 : 1, bench.Port.LinkResets);
        AssertClean(bench);
    }

    [Fact]
    public void A_disk_that_answers_nothing_ends_the_driver()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel(), ("timeout", "5")).Started();
        bench.Disk.Fault = command => command.Command == 0x61 ? new AtaFault(AtaFaultKind.Silence) : null;
        _ = bench.Client.Submit(BlockOperation.Write, 80, 8, 0, 4096);
        bench.Client.Poll();
        Assert.Contains("not answered within 5 s, 3 times", Assert.Throws<DeviceFaultException>(() => bench.Pass(60)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_port_that_does_not_stop_ends_the_driver()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Disk.Fault = _ => new AtaFault(AtaFaultKind.TaskFile, Aborted);
        bench.Port.StuckRunning = true;
        _ = bench.Client.Submit(BlockOperation.Write, 80, 8, 0, 4096);
        Assert.Contains("PxCMD.CR", Assert.Throws<DeviceFaultException>(() => { bench.Client.Poll(); bench.Client.Poll(); }).Message, StringComparison.Ordinal);
        bench.Port.StuckRunning = false;
    }

    [Fact]
    public void A_disk_that_is_pulled_answers_no_medium_and_its_neighbour_goes_on()
    {
        using AhciBench bench = new AhciBench(new AhciModel(), [new AtaDiskModel(), new AtaDiskModel(serial: "XT-0002")]).Started();
        bench.Model.Hold = true;
        ulong[] cookies = [.. Enumerable.Range(0, 8).Select(i => bench.Client.Submit(BlockOperation.Write, (ulong)i, 1, 0, 512))];
        ulong other = bench.Clients[1].Submit(BlockOperation.Write, 3, 1, 0, 512);
        bench.Client.Poll();
        bench.Clients[1].Poll();
        bench.Driver.ArmInterrupts();
        bench.Port.Unplug();
        Assert.True(bench.Interrupts.Take(0));
        bench.Driver.OnInterrupt(0);
        foreach (ulong cookie in cookies) Assert.Equal(BlockStatus.NoMedium, bench.Client.Await(cookie, 100).Status);
        Assert.True(bench.Units[0].TryTakeChange(out BlockDeviceInfo gone));
        Assert.Equal(BlockFeatures.Absent, gone.Features);
        Assert.Equal(BlockStatus.NoMedium, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        bench.Model.Hold = false;
        bench.Model.Ports[1].Release();
        Assert.Equal(BlockStatus.Ok, bench.Clients[1].Await(other).Status);
        AssertClean(bench);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_disk_that_is_plugged_in_is_found(bool interrupts)
    {
        using AhciBench bench = new AhciBench(new AhciModel(), [null]).Started();
        Assert.Equal(BlockStatus.NoMedium, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        bench.Port.Plug(new AtaDiskModel(serial: "XT-0009"));
        if (interrupts) for (int i = 0; i < 4; i++) bench.Sleep();
        else bench.Pass(3);
        Assert.True(bench.Units[0].TryTakeChange(out BlockDeviceInfo info));
        Assert.Equal("XT-0009", info.Serial.ToString());
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        AssertClean(bench);
    }

    [Fact]
    public void A_disk_that_was_swapped_between_two_looks_gets_no_request_of_the_other()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Model.Hold = true;
        ulong cookie = bench.Client.Submit(BlockOperation.Write, 5, 1, 0, 512);
        bench.Client.Poll();
        bench.Port.Unplug();
        bench.Model.Hold = false;
        AtaDiskModel second = new(serial: "XT-0002");
        bench.Port.Plug(second);
        bench.Driver.OnInterrupt(0);
        bench.Pass(3);
        Assert.Equal(BlockStatus.NoMedium, bench.Client.Await(cookie, 0).Status);
        Assert.False(second.Holds(5));
        Assert.Equal("XT-0002", bench.Units[0].Info.Serial.ToString());
        AssertClean(bench);
    }

    [Fact]
    public void A_disk_that_starts_slowly_comes_when_it_is_ready()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel { Ready = false });
        bench.Model.Ports[0].Unplug();
        bench.Started();
        bench.Port.Plug(new AtaDiskModel { Ready = false });
        bench.Pass(20);
        Assert.True(bench.Units[0].Info.Has(BlockFeatures.Absent));
        bench.Port.BecomeReady();
        bench.Pass(2);
        Assert.Equal(16384ul, bench.Units[0].Info.Blocks);
        AssertClean(bench);
    }

    [Fact]
    public void A_disk_that_never_becomes_ready_is_reset_and_then_left_alone_until_it_is_plugged_anew()
    {
        using AhciBench bench = new AhciBench(new AhciModel(), [null]).Started();
        bench.Port.Plug(new AtaDiskModel { Ready = false });
        bench.Pass(200);
        Assert.Equal(2, bench.Port.LinkResets);
        Assert.Contains(bench.Log, line => line.Contains("does not become ready", StringComparison.Ordinal));
        bench.Port.Unplug();
        bench.Pass(1);
        bench.Port.Plug(new AtaDiskModel());
        bench.Pass(3);
        Assert.Equal(16384ul, bench.Units[0].Info.Blocks);
    }

    [Theory]
    [InlineData("true")]
    [InlineData("false")]
    public void A_disk_that_is_full_of_errors_answers_each_request_and_does_not_fill_the_log(string queued)
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel(), ("ncq", queued)).Started();
        bench.Disk.Fault = command => command.Count != 0 && command.Command != 0x2f ? new AtaFault(AtaFaultKind.TaskFile, 0x40, command.Lba + 1) : null;
        ulong[] cookies = [.. Enumerable.Range(0, 100).Select(i => bench.Client.Submit(i % 2 == 0 ? BlockOperation.Read : BlockOperation.Write, (ulong)(8 * i), 8, 0, 4096))];
        for (int i = 0; i < cookies.Length; i++)
        {
            BlockCompletion answer = bench.Client.Await(cookies[i]);
            Assert.Equal((BlockStatus.IoError, (ulong)(8 * i) + 1, 7u), (answer.Status, answer.FailedLba, answer.FailedCount));
        }

        Assert.Equal(100ul, bench.Units[0].Statistics.Errors);
        Assert.Equal(20, bench.Log.Count(line => line.Contains("error with", StringComparison.Ordinal)));
        Assert.Equal(0, bench.Port.LinkResets);
        bench.Disk.Fault = null;
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Write, 0, 8, 0, 4096));
        AssertClean(bench);
    }

    [Fact]
    public void Identify_data_that_cannot_be_is_refused()
    {
        AtaDiskModel disk = new();
        disk.Identify[255] = 0x12a5;
        using AhciBench bench = new AhciBench(disk).Started();
        Assert.True(bench.Units[0].Info.Has(BlockFeatures.Absent));
        Assert.Contains(bench.Log, line => line.Contains("checksum", StringComparison.Ordinal));
    }

    [Fact]
    public void Commands_that_nobody_gave_are_a_fault()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Model.Hold = true;
        _ = bench.Client.Submit(BlockOperation.Write, 80, 8, 0, 4096);
        bench.Client.Poll();
        bench.Port.Poke(active: 1u << 17, issue: 0);
        Assert.Contains("PxSACT is 0x00020001", Assert.Throws<DeviceFaultException>(() => bench.Pass(1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_FIS_that_claims_what_is_not_so_finishes_nothing()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Model.Hold = true;
        ulong cookie = bench.Client.Submit(BlockOperation.Write, 80, 8, 0, 4096);
        bench.Client.Poll();
        bench.Port.Inject(0x58, 0x0050_40a1, uint.MaxValue);
        bench.Port.Inject(0x40, 0x0050_4034, uint.MaxValue, uint.MaxValue, uint.MaxValue);
        bench.Port.Inject(0x60, uint.MaxValue, uint.MaxValue);
        for (int i = 0; i < 64; i++) bench.Client.Poll();
        Assert.Equal(0, bench.Client.Unread);
        bench.Port.Release();
        Assert.Equal(BlockStatus.Ok, bench.Client.Await(cookie).Status);
    }

    /// <summary>Polls and lets time pass until all of these are answered.</summary>
    private static void Settle(AhciBench bench, ulong[] cookies)
    {
        bench.Client.Poll();
        for (int seconds = 0; seconds < 20 && bench.Client.Unread < cookies.Length; seconds++)
        {
            for (int i = 0; i < 64; i++) bench.Client.Poll();
            bench.Pass(1);
        }
    }

    private static void AssertClean(AhciBench bench)
    {
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }
}
