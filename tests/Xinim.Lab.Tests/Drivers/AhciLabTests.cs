using System.Text;
using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.Ipc.Protocols;
using Xinim.Lab.Tests.Vfio;
using Xinim.TestKit.Block;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>The lab's ICH9 AHCI controller on real VFIO: two disks and a CD behind one driver process, each for itself.</summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
public sealed class AhciLabTests
{
    private const string Address = "0000:00:06.0", Controller = $"{Address}=sata0";

    public AhciLabTests() => LabDevice.RequireLab();

    [Fact]
    public void What_is_behind_the_ports()
    {
        using LabDaemon daemon = new([Controller]);
        (string Name, ulong Bytes, uint Block, string Serial, string Contents)[] expected =
        [
            ("sata0.0", 64 << 20, 512, "XINIM-DISK0", "xinim lab disk0\n"),
            ("sata0.1", 32 << 20, 512, "XINIM-DISK1", "xinim lab disk1\n"),
            ("sata0.2", 8 << 20, 2048, "XINIM-CD0", "xinim lab cd0\n"),
        ];
        foreach ((string name, ulong bytes, uint block, string serial, string contents) in expected)
        {
            using BlockClient disk = LabDisk.Open(daemon, name);
            Assert.Equal((bytes, block, serial), (disk.Info.Bytes, disk.Info.LogicalBlockBytes, disk.Info.Serial.ToString()));
            using BlockBuffer first = disk.Rent(4096);
            disk.Read(0, first);
            Assert.Equal(contents, Encoding.ASCII.GetString(first.Span[..contents.Length]));
        }
    }

    [Fact]
    public async Task What_is_written_to_two_disks_is_there_though_their_driver_is_killed_again_and_again()
    {
        const int chunks = 192;
        using LabDaemon daemon = new([Controller]);
        using BlockClient first = LabDisk.Open(daemon, "sata0.0");
        using BlockClient second = LabDisk.Open(daemon, "sata0.1");

        await Task.WhenAll(
            LabDisk.WriteAll(first, chunks, chunk =>
            {
                if (chunk % 24 == 12) daemon.KillDriver("sata0");
            }),
            LabDisk.WriteAll(second, chunks, _ => { }));

        Assert.InRange(first.Recoveries, 1u, 8u);
        LabDisk.AssertAll(first, chunks);
        LabDisk.AssertAll(second, chunks);
    }

    [Fact]
    public void Linux_reads_what_was_written_here_and_the_other_way_round()
    {
        using (LabDaemon daemon = new([Controller]))
        {
            using BlockClient disk = LabDisk.Open(daemon, "sata0.0");
            using BlockBuffer buffer = disk.Rent(LabDisk.ChunkBytes);
            LabDisk.Pattern(7).CopyTo(buffer.Span);
            disk.Write(65536, buffer);
            disk.Flush();
        }

        using (FileStream linux = File.Open(KernelDisk.Take(Address, LabProgram.Limit, "ahci", "sd_mod"), FileMode.Open, FileAccess.ReadWrite))
        {
            byte[] read = new byte[LabDisk.ChunkBytes];
            linux.Position = 65536 * 512;
            linux.ReadExactly(read);
            Assert.Equal(LabDisk.Pattern(7), read);
            linux.Position = 70000 * 512;
            linux.Write(LabDisk.Pattern(9));
            linux.Flush(flushToDisk: true);
        }

        using LabDaemon again = new([Controller]);
        using BlockClient reader = LabDisk.Open(again, "sata0.0");
        using BlockBuffer back = reader.Rent(LabDisk.ChunkBytes);
        reader.Read(70000, back);
        Assert.True(back.Span.SequenceEqual(LabDisk.Pattern(9)));
    }

    /// <summary>QEMU's own word for it is what QEMU says of the tray.</summary>
    [Fact]
    public async Task A_disc_is_ejected_and_its_client_is_told_and_it_comes_back()
    {
        using Qmp qemu = new();
        using LabDaemon daemon = new([Controller]);
        using BlockClient disc = LabDisk.Open(daemon, "sata0.2");
        using BlockBuffer buffer = disc.Rent(2048);
        disc.Read(0, buffer);
        Assert.Equal(0, LabProgram.Run(LabDaemon.Executable, "disk", "eject", "sata0.2", "--socket", daemon.Socket).Status);
        Assert.True((bool)qemu.BlockOf("cd0")["tray_open"]!);
        daemon.Await("the disk has gone", 1);
        // The first may be the drive's answer to a read; then the daemon's word has come.
        BlockException told = await Assert.ThrowsAnyAsync<BlockException>(async () =>
        {
            while (true)
            {
                try
                {
                    await LabDisk.Ask(disc, false, 0, buffer).WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
                }
                catch (BlockIoException io) when (io.Status == BlockStatus.NoMedium)
                {
                }
            }
        });
        Assert.Contains("was removed", told.Message, StringComparison.Ordinal);
        Assert.Equal(0, LabProgram.Run(LabDaemon.Executable, "disk", "load", "sata0.2", "--socket", daemon.Socket).Status);
        Assert.False((bool)qemu.BlockOf("cd0")["tray_open"]!);
        daemon.Await("a disk has come", 1);
        using BlockClient again = LabDisk.Open(daemon, "sata0.2");
        again.Read(0, buffer);
        (int status, _, string error) = LabProgram.Run(LabDaemon.Executable, "disk", "eject", "sata0.0", "--socket", daemon.Socket);
        Assert.Equal(1, status);
        Assert.Contains("no drive here", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_wrong_request_costs_itself_only()
    {
        using LabDaemon daemon = new([Controller]);
        using BlockClient disk = LabDisk.Open(daemon, "sata0.0");
        using BlockBuffer buffer = disk.Rent(4096);
        BlockIoException beyond = Assert.Throws<BlockIoException>(() => disk.Read(disk.Info.Blocks - 1, buffer));
        Assert.Contains($"{disk.Info.Blocks - 1}", beyond.Message, StringComparison.Ordinal);
        disk.Read(disk.Info.Blocks - 8, buffer);
        Assert.Equal(0u, disk.Recoveries);
        using BlockClient cd = LabDisk.Open(daemon, "sata0.2");
        Assert.True(cd.Info.Has(BlockFeatures.ReadOnly));
        Assert.Throws<BlockIoException>(() => cd.Write(0, buffer));
        cd.Read(0, buffer);
    }
}
