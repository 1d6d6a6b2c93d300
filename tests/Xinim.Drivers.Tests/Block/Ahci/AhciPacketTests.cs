using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block.Ahci;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Ahci;

/// <summary>Packet devices: discs that are read, that come, go and change.</summary>
public sealed class AhciPacketTests
{
    [Theory]
    [InlineData("true", 1)]
    [InlineData("false", 0)]
    public void A_disc_is_read(string dma, int feature)
    {
        AtaDiskModel drive = AtaDiskModel.MakeDrive(4096);
        drive.Write(4095, [.. Enumerable.Repeat((byte)0x77, 2048)]);
        using AhciBench bench = new AhciBench(drive, ("dma", dma)).Started();
        BlockDeviceInfo info = bench.Units[0].Info;
        Assert.Equal((4096ul, 2048u, BlockFeatures.ReadOnly | BlockFeatures.Removable, "XT-CD01"), (info.Blocks, info.LogicalBlockBytes, info.Features, info.Serial.ToString()));
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 4094, 2, 0, 2048, 2048));
        Assert.Equal((0, 0x77), (bench.Client.Memory[0], bench.Client.Memory[4095]));
        Assert.Equal((0xa0, (uint)feature), (bench.Disk.Seen[0].Command, bench.Disk.Seen[0].Features));
        Assert.Equal(BlockStatus.ReadOnly, bench.Client.Run(BlockOperation.Write, 0, 1, 0, 2048));
        Assert.Equal(BlockStatus.OutOfRange, bench.Client.Run(BlockOperation.Read, 4096, 1, 0, 2048));
        AssertClean(bench);
    }

    [Fact]
    public void An_empty_drive_has_no_medium_until_it_has_one()
    {
        using AhciBench bench = new AhciBench(AtaDiskModel.MakeDrive(0)).Started();
        Assert.Equal(BlockFeatures.Absent, bench.Units[0].Info.Features);
        Assert.Equal(BlockStatus.NoMedium, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 2048));
        int lines = bench.Log.Count;
        bench.Pass(10);
        Assert.Equal(lines, bench.Log.Count);
        (bench.Disk.DiscBlocks, bench.Disk.Attention) = (100, true);
        bench.Pass(4);
        Assert.True(bench.Units[0].TryTakeChange(out BlockDeviceInfo info));
        Assert.Equal(100ul, info.Blocks);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 2048));
        AssertClean(bench);
    }

    [Fact]
    public void A_disc_that_is_changed_ends_what_was_asked_of_the_last_one()
    {
        using AhciBench bench = new AhciBench(AtaDiskModel.MakeDrive(4096)).Started();
        (bench.Disk.DiscBlocks, bench.Disk.Attention) = (200, true);
        Assert.Equal(BlockStatus.NoMedium, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 2048));
        for (int i = 0; i < 64; i++) bench.Client.Poll();
        Assert.Equal(200ul, bench.Units[0].Info.Blocks);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 199, 1, 0, 2048));
        bench.Disk.DiscBlocks = 0;
        bench.Pass(4);
        Assert.Equal(BlockFeatures.Absent, bench.Units[0].Info.Features);
        AssertClean(bench);
    }

    [Fact]
    public void A_disc_is_ejected_and_taken_in_again()
    {
        using AhciBench bench = new AhciBench(AtaDiskModel.MakeDrive(4096)).Started();
        bench.Disk.TrayLocked = true;
        bench.Disk.Attention = true;
        bench.Units[0].Run(BlockVerb.Eject);
        Assert.Equal((true, false), (bench.Disk.TrayOpen, bench.Disk.TrayLocked));
        for (int i = 0; i < 64; i++) bench.Client.Poll();
        Assert.True(bench.Units[0].TryTakeChange(out BlockDeviceInfo info));
        Assert.Equal(BlockFeatures.Absent, info.Features);
        Assert.Equal(BlockStatus.NoMedium, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 2048));
        bench.Units[0].Run(BlockVerb.Load);
        Assert.False(bench.Disk.TrayOpen);
        for (int i = 0; i < 64; i++) bench.Client.Poll();
        Assert.True(bench.Units[0].TryTakeChange(out info));
        Assert.Equal(4096ul, info.Blocks);
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 2048));
        AssertClean(bench);
    }

    [Fact]
    public void A_drive_that_does_not_open_says_so_and_a_disk_has_no_tray()
    {
        using AhciBench bench = new AhciBench(new AhciModel(), [AtaDiskModel.MakeDrive(0), new AtaDiskModel()]).Started();
        // No lock, and no motor either.
        bench.Disk.Fault = command => command.Command == 0xa0 ? new AtaFault(AtaFaultKind.TaskFile, 0x50) : null;
        Assert.Contains("refuses to give its medium up", Assert.Throws<ArgumentException>(() => bench.Units[0].Run(BlockVerb.Eject)).Message, StringComparison.Ordinal);
        bench.Disk.Fault = null;
        bench.Units[0].Run(BlockVerb.Eject);
        Assert.True(bench.Disk.TrayOpen);
        Assert.Contains("no drive here", Assert.Throws<ArgumentException>(() => bench.Units[1].Run(BlockVerb.Eject)).Message, StringComparison.Ordinal);
        Assert.Contains("no power mode 'Idle'", Assert.Throws<ArgumentException>(() => bench.Units[0].Run(BlockVerb.Idle)).Message, StringComparison.Ordinal);
        AssertClean(bench);
    }

    [Fact]
    public void A_block_that_cannot_be_read_is_its_readers_alone()
    {
        using AhciBench bench = new AhciBench(AtaDiskModel.MakeDrive(4096)).Started();
        int failures = 1;
        bench.Disk.Fault = command => command.Command == 0xa0 && failures-- > 0 ? new AtaFault(AtaFaultKind.TaskFile, 0x30) : null;
        Assert.Equal(BlockStatus.IoError, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 2048));
        Assert.Equal(BlockStatus.Ok, bench.Client.Run(BlockOperation.Read, 0, 1, 0, 2048));
        Assert.Equal(4096ul, bench.Units[0].Info.Blocks);
        AssertClean(bench);
    }

    [Fact]
    public void Another_packet_device_is_refused_by_name()
    {
        AtaDiskModel tape = AtaDiskModel.MakeDrive(10);
        tape.Identify[0] = 0x8180;
        using AhciBench bench = new AhciBench(tape).Started();
        Assert.Contains(bench.Log, line => line.Contains("no CD or DVD drive", StringComparison.Ordinal));
        Assert.True(bench.Units[0].Info.Has(BlockFeatures.Absent));
    }

    private static void AssertClean(AhciBench bench)
    {
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }
}
