using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block.Ahci;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Ahci;

/// <summary>Bring-up, ports, and what a disk is told to do, on the model.</summary>
public sealed class AhciDriverTests
{
    [Fact]
    public void A_controller_is_brought_up_with_its_disks()
    {
        using AhciBench bench = new AhciBench(new AhciModel(ports: 4), [new AtaDiskModel(), null, new AtaDiskModel(8192, 4096, "XT-0002")]).Started();
        Assert.Equal(4, bench.Units.Count);
        BlockDeviceInfo first = bench.Units[0].Info, third = bench.Units[2].Info;
        Assert.Equal((16384ul, 512u, 4096u, 32u, "XT-0001", "XINIM TEST DISK"), (first.Blocks, first.LogicalBlockBytes, first.PhysicalBlockBytes, first.QueueDepth, first.Serial.ToString(), first.Model.ToString()));
        Assert.Equal((8192ul, 4096u, "XT-0002"), (third.Blocks, third.LogicalBlockBytes, third.Serial.ToString()));
        Assert.Equal((BlockFeatures.Absent, BlockFeatures.Absent), (bench.Units[1].Info.Features, bench.Units[3].Info.Features));
        Assert.True(first.Has(BlockFeatures.Flush | BlockFeatures.Fua | BlockFeatures.WriteCache | BlockFeatures.Discard | BlockFeatures.WriteZeroes | BlockFeatures.ZeroesMayUnmap | BlockFeatures.Rotational));
        Assert.Contains(bench.Log, line => line.Contains("security frozen", StringComparison.Ordinal));
        Assert.All(bench.Units, unit => Assert.False(unit.TryTakeChange(out _)));
        AssertClean(bench);
    }

    [Fact]
    public void Firmware_gives_the_controller_up_or_loses_it()
    {
        using AhciBench polite = new(new AhciModel { FirmwareOwns = true }, [new AtaDiskModel()]);
        polite.Started();
        Assert.False(polite.Model.FirmwareOwns);
        using AhciBench rude = new(new AhciModel { FirmwareStays = true }, [new AtaDiskModel()]);
        rude.Started();
        Assert.Equal(16384ul, rude.Units[0].Info.Blocks);
        Assert.Contains(rude.Log, line => line.Contains("BOHC.BOS", StringComparison.Ordinal));
    }

    [Fact]
    public void A_controller_that_does_not_reset_is_a_fault()
    {
        using AhciBench bench = new(new AhciModel { StuckReset = true }, [new AtaDiskModel()]);
        Assert.Contains("GHC.HR", Assert.Throws<DeviceFaultException>(() => bench.Driver.Start()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_controller_that_is_gone_is_a_fault()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Model.Unplugged = true;
        Assert.Contains("unplugged", Assert.Throws<DeviceFaultException>(bench.Driver.OnTimer).Message, StringComparison.Ordinal);
        Assert.Contains("unplugged", Assert.Throws<DeviceFaultException>(() => bench.Driver.OnInterrupt(0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Disks_are_spun_up_one_after_another_where_the_controller_staggers()
    {
        const uint staggered = (1u << 31) | (1u << 30) | (1u << 27) | (1u << 18);
        using AhciBench bench = new AhciBench(new AhciModel(capabilities: staggered), [new AtaDiskModel(), null, new AtaDiskModel(serial: "XT-0002")]).Started();
        Assert.Equal(("XT-0001", "XT-0002"), (bench.Units[0].Info.Serial.ToString(), bench.Units[2].Info.Serial.ToString()));
        AssertClean(bench);
    }

    [Theory]
    [InlineData(0x9669_0101u, "port multiplier")]
    [InlineData(0xc33c_0101u, "enclosure")]
    [InlineData(0x1234_5678u, "0x12345678")]
    public void What_is_no_disk_is_refused_by_name(uint signature, string name)
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel { Signature = signature }).Started();
        Assert.True(bench.Units[0].Info.Has(BlockFeatures.Absent));
        Assert.Contains(bench.Log, line => line.Contains(name, StringComparison.Ordinal));
        Assert.Equal(BlockStatus.NoMedium, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        AssertClean(bench);
    }

    [Fact]
    public void A_queue_is_filled_with_one_doorbell_and_emptied_with_one_read()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Model.Hold = true;
        ulong[] cookies = [.. Enumerable.Range(0, 40).Select(i => bench.Client.Submit(BlockOperation.Read, (ulong)i, 1, i * 512, 512))];
        int before = bench.Port.Doorbells;
        bench.Client.Poll();
        Assert.Equal((1, 32), (bench.Port.Doorbells - before, bench.Port.Held));
        Assert.All(bench.Disk.Seen, command => Assert.True(command.Queued));
        (int reads, int writes) = (bench.Model.Reads, bench.Model.Writes);
        bench.Model.Hold = false;
        bench.Port.Release();
        // One read of PxSACT; and one doorbell, which is two writes, for the rest that was waiting.
        bench.Client.Poll();
        Assert.Equal((1, 0), (bench.Model.Reads - reads, bench.Model.Writes - writes));
        bench.Client.Poll();
        Assert.Equal(2, bench.Model.Writes - writes);
        foreach (ulong cookie in cookies) Assert.Equal(BlockStatus.Ok, bench.Client.Await(cookie).Status);
        AssertClean(bench);
    }

    [Fact]
    public void Polls_without_a_sign_read_no_register()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Model.Hold = true;
        _ = bench.Client.Submit(BlockOperation.Read, 0, 1, 0, 512);
        bench.Client.Poll();
        int reads = bench.Model.Reads;
        for (int i = 0; i < 160; i++) bench.Client.Poll();
        Assert.Equal(10, bench.Model.Reads - reads);
    }

    [Fact]
    public void Queued_commands_and_others_are_never_out_together()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        List<ulong> cookies = [];
        for (int i = 0; i < 30; i++)
        {
            cookies.Add(bench.Client.Submit(BlockOperation.Write, (ulong)i, 1, 0, 512));
            if (i % 7 == 3) cookies.Add(bench.Client.Submit(BlockOperation.Flush, 0, 0, 0));
            if (i % 11 == 5) cookies.Add(bench.Client.Submit(BlockOperation.Discard, 1000, 8, 0));
        }

        bench.Model.Hold = true;
        for (int rounds = 0; rounds < 200 && bench.Client.Unread < cookies.Count; rounds++)
        {
            bench.Client.Poll();
            bench.Port.Release();
        }

        foreach (ulong cookie in cookies) Assert.Equal(BlockStatus.Ok, bench.Client.Await(cookie).Status);
        AssertClean(bench);
    }

    [Theory]
    [InlineData(0x60, BlockOperation.Read)]
    [InlineData(0x61, BlockOperation.Write)]
    [InlineData(0x25, BlockOperation.Read, "ncq")]
    [InlineData(0x35, BlockOperation.Write, "ncq")]
    [InlineData(0xc8, BlockOperation.Read, "lba48")]
    [InlineData(0xca, BlockOperation.Write, "lba48")]
    [InlineData(0x24, BlockOperation.Read, "dma")]
    [InlineData(0x34, BlockOperation.Write, "dma")]
    [InlineData(0x20, BlockOperation.Read, "dma", "lba48")]
    [InlineData(0x30, BlockOperation.Write, "dma", "lba48")]
    [InlineData(0xea, BlockOperation.Flush)]
    [InlineData(0x06, BlockOperation.Discard)]
    public void A_request_is_the_command_that_the_disk_has_for_it(int command, BlockOperation operation, params string[] without)
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel(), [.. without.Select(key => (key, "false"))]).Started();
        bool data = operation is BlockOperation.Read or BlockOperation.Write;
        Assert.Equal(BlockStatus.Ok, data ? bench.Client.Run(operation, 0x1234, 16, 0, 4096, 4096) : bench.Client.Run(operation, operation == BlockOperation.Flush ? 0u : 0x1234u, operation == BlockOperation.Flush ? 0u : 16u, 0));
        AtaCommandModel seen = Assert.Single(bench.Disk.Seen);
        Assert.Equal(command, seen.Command);
        if (data) Assert.Equal((0x1234ul, 16u), (seen.Lba, seen.Count));
        AssertClean(bench);
    }

    [Fact]
    public void Durable_writes_say_so()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        Assert.Equal(BlockStatus.Ok, bench.Client.Await(bench.Client.Submit(BlockOperation.Write, BlockFlags.Fua, 5, 1, 0, 512)).Status);
        Assert.Equal((0x61, 0xc0), (bench.Disk.Seen[0].Command, bench.Disk.Seen[0].Device & 0xc0));
        using AhciBench plain = new AhciBench(new AtaDiskModel(), ("ncq", "false")).Started();
        Assert.Equal(BlockStatus.Ok, plain.Client.Await(plain.Client.Submit(BlockOperation.Write, BlockFlags.Fua, 5, 1, 0, 512)).Status);
        Assert.Equal(0x3d, plain.Disk.Seen[0].Command);
    }

    [Fact]
    public void A_large_disk_is_reached_at_its_end()
    {
        const ulong sectors = (4ul << 40) / 512;
        using AhciBench bench = new AhciBench(new AtaDiskModel(sectors)).Started();
        bench.Client.Memory[..512].Fill(0x77);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Write, sectors - 1, 1, 0, 512));
        Assert.True(bench.Disk.Holds(sectors - 1));
        Assert.Equal(BlockStatus.OutOfRange, bench.Client.Run(BlockOperation.Write, sectors - 1, 2, 0, 1024));
        Assert.Equal(BlockStatus.OutOfRange, bench.Client.Run(BlockOperation.Read, sectors, 1, 0, 512));
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, sectors - 1, 1, 1024, 512));
        Assert.True(bench.Client.Memory.Slice(1024, 512).SequenceEqual(bench.Client.Memory[..512]));
        AssertClean(bench);
    }

    [Fact]
    public void Sectors_of_4096_bytes_are_read_and_written()
    {
        const ulong sectors = (20ul << 40) / 4096;
        using AhciBench bench = new AhciBench(new AtaDiskModel(sectors, 4096)).Started();
        Assert.Equal((20ul << 40, 4096u, 4096u, 0u), (bench.Units[0].Info.Bytes, bench.Units[0].Info.LogicalBlockBytes, bench.Units[0].Info.PhysicalBlockBytes, bench.Units[0].Info.AlignmentOffset));
        new Random(4).NextBytes(bench.Client.Memory[..16384]);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Write, sectors - 4, 4, 0, 6144, 10240));
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, sectors - 4, 4, 32768, 16384));
        Assert.True(bench.Client.Memory.Slice(32768, 16384).SequenceEqual(bench.Client.Memory[..16384]));
        Assert.Equal(BlockStatus.BadRequest, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        Assert.Equal(BlockStatus.OutOfRange, bench.Client.Run(BlockOperation.Read, sectors - 3, 4, 0, 16384));
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Discard, sectors - 4, 4, 0));
        Assert.False(bench.Disk.Holds(sectors - 1));
        AssertClean(bench);
    }

    [Fact]
    public void Discards_are_split_into_ranges()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel(1ul << 24)).Started();
        foreach (ulong lba in (ulong[])[99, 100, 65634, 65635, 65636, 300_099, 300_100]) bench.Disk.Write(lba, new byte[512]);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Discard, 100, 300_000, 0));
        Assert.Equal([true, false, false, false, false, false, true], ((ulong[])[99, 100, 65634, 65635, 65636, 300_099, 300_100]).Select(bench.Disk.Holds));
        Assert.Equal(1ul, bench.Units[0].Statistics.Discards);
        AssertClean(bench);
    }

    [Theory]
    [InlineData(false, 0x61)]
    [InlineData(true, 0x06)]
    public void Zeroes_are_written_or_unmapped(bool mayUnmap, int command)
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel(1 << 20)).Started();
        byte[] ones = new byte[512];
        ones.AsSpan().Fill(1);
        foreach (ulong lba in (ulong[])[9, 10, 20_009, 20_010]) bench.Disk.Write(lba, ones);
        Assert.Equal(BlockStatus.Ok, bench.Client.Await(bench.Client.Submit(BlockOperation.WriteZeroes, mayUnmap ? BlockFlags.MayUnmap : BlockFlags.None, 10, 20_000, 0)).Status);
        Assert.Equal(command, Assert.Single(bench.Disk.Seen).Command);
        byte[] read = new byte[512];
        Assert.Equal([1, 0, 0, 1], ((ulong[])[9, 10, 20_009, 20_010]).Select(lba => { bench.Disk.Read(lba, read); return (int)read[511]; }));
        AssertClean(bench);
    }

    [Fact]
    public void Zeroes_are_unmapped_only_where_the_disk_promises_zeroes()
    {
        AtaDiskModel disk = new();
        disk.Identify[69] = 1 << 14;
        using AhciBench bench = new AhciBench(disk).Started();
        Assert.False(bench.Units[0].Info.Has(BlockFeatures.ZeroesMayUnmap));
        Assert.Equal(BlockStatus.Unsupported, bench.Client.Await(bench.Client.Submit(BlockOperation.WriteZeroes, BlockFlags.MayUnmap, 10, 20, 0)).Status);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.WriteZeroes, 10, 20, 0));
    }

    [Fact]
    public void Interrupts_come_for_what_polls_have_not_seen_and_not_for_the_rest()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        while (bench.Sleep()) { }
        for (int i = 0; i < 10; i++) Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        Assert.False(bench.Sleep());
        bench.Model.Hold = true;
        ulong cookie = bench.Client.Submit(BlockOperation.Read, 0, 1, 0, 512);
        bench.Client.Poll();
        bench.Driver.ArmInterrupts();
        bench.Client.Poll();
        Assert.False(bench.Interrupts.Take(0));
        bench.Port.Release();
        Assert.True(bench.Interrupts.Take(0));
        bench.Driver.OnInterrupt(0);
        bench.Interrupts.Acknowledge(0);
        Assert.False(bench.Interrupts.Take(0));
        Assert.Equal(BlockStatus.Ok, bench.Client.Await(cookie).Status);
    }

    [Fact]
    public void Bad_requests_end_before_the_disk_and_good_ones_go_on()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        Assert.Equal(BlockStatus.BadGrant, bench.Client.Run(BlockOperation.Read, 0, 1, 1, 512));
        Assert.Equal(BlockStatus.BadGrant, bench.Client.Run(BlockOperation.Write, 0, 1, 0, 511, 1));
        Assert.Equal(BlockStatus.BadRequest, bench.Client.Run(BlockOperation.Read, 0, 0, 0));
        Assert.Equal(BlockStatus.BadRequest, bench.Client.Run(BlockOperation.Read, 0, 2, 0, 512));
        Assert.Equal(BlockStatus.OutOfRange, bench.Client.Run(BlockOperation.Read, ulong.MaxValue, 1, 0, 512));
        Assert.Equal(BlockStatus.Unsupported, bench.Client.Run(BlockOperation.GetId, 0, 0, 0, 64));
        Assert.Empty(bench.Disk.Seen);
        Assert.Equal(6ul, bench.Units[0].Statistics.Rejected);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        AssertClean(bench);
    }

    [Fact]
    public void A_controller_with_32_address_bits_is_not_given_more()
    {
        using AhciBench bench = new(new AhciModel(capabilities: (1u << 30) | (1u << 18)), [new AtaDiskModel()]);
        Assert.Contains("below 4 GiB", Assert.Throws<InvalidOperationException>(() => bench.Driver.Start()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_next_driver_starts_from_whatever_the_last_one_left()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Model.Hold = true;
        for (int i = 0; i < 20; i++) _ = bench.Client.Submit(BlockOperation.Write, (ulong)i, 1, 0, 512);
        bench.Client.Poll();
        bench.Model.Hold = false;
        bench.Reincarnate();
        Assert.Equal((2, 0), (bench.Model.Resets, bench.Port.Held));
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Write, 7, 1, 0, 512));
        AssertClean(bench);
    }

    [Fact]
    public void Detach_leaves_nothing_of_the_client_with_the_device()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Model.Hold = true;
        for (int i = 0; i < 20; i++) _ = bench.Client.Submit(BlockOperation.Read, (ulong)i, 1, 0, 512);
        bench.Client.Poll();
        bench.Units[0].Detach();
        Assert.Equal((0, false, 1), (bench.Port.Held, bench.Units[0].Busy, bench.Port.LinkResets));
        bench.Model.Hold = false;
        bench.Client.Attach();
        bench.Pass(2);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Write, 7, 1, 0, 512));
        bench.Units[0].Detach();
        Assert.Equal(1, bench.Port.LinkResets);
        AssertClean(bench);
    }

    [Fact]
    public void Health_is_read_between_requests()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel { Failing = true }).Started();
        Assert.Equal(default, bench.Units[0].Health);
        bench.Pass(2);
        BlockHealth health = bench.Units[0].Health;
        Assert.Equal((BlockVerdict.Failing, 31, 1234ul, 2ul, 1ul), (health.Verdict, health.Temperature, health.PowerOnHours, health.ReallocatedSectors, health.PendingSectors));
        int asked = bench.Disk.Seen.Count;
        bench.Pass(50);
        Assert.Equal(asked, bench.Disk.Seen.Count);
        bench.Disk.Attributes[194] = 40;
        bench.Pass(15);
        Assert.Equal(40, bench.Units[0].Health.Temperature);
        AssertClean(bench);
    }

    [Fact]
    public void Cache_and_power_are_switched()
    {
        using AhciBench bench = new AhciBench(new AtaDiskModel()).Started();
        bench.Units[0].SetWriteCache(false);
        Assert.False(bench.Disk.WriteCache);
        Assert.True(bench.Units[0].TryTakeChange(out BlockDeviceInfo info));
        Assert.False(info.Has(BlockFeatures.WriteCache));
        bench.Units[0].Run(BlockVerb.Standby);
        bench.Units[0].Run(BlockVerb.Idle);
        Assert.Equal([0xef, 0xe0, 0xe1], bench.Disk.Seen.Select(command => (int)command.Command));
        bench.Units[0].Run(BlockVerb.Standby);
        int asked = bench.Disk.Seen.Count;
        // A disk that rests is not woken to be asked how it is.
        bench.Pass(130);
        Assert.Equal(asked, bench.Disk.Seen.Count);
        bench.Disk.Fault = command => command.Command == 0xef ? new AtaFault(AtaFaultKind.TaskFile, 4) : null;
        Assert.Contains("refuses", Assert.Throws<ArgumentException>(() => bench.Units[0].SetWriteCache(true)).Message, StringComparison.Ordinal);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 512));
        AssertClean(bench);
    }

    private static void AssertClean(AhciBench bench)
    {
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }
}
