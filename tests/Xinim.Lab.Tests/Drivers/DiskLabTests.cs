using System.Text;
using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.Lab.Tests.Vfio;
using Xinim.TestKit.Block;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>
/// The virtio disks of the lab on real VFIO, each through its own driver process: as it comes; packed with four queues; behind a root port in
/// blocks of 4,096 bytes without event index and indirect descriptors.
/// </summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
public sealed class DiskLabTests
{
    private static readonly string[] s_addresses = ["0000:00:08.0", "0000:00:10.0", "0000:04:00.0"];

    public DiskLabTests() => LabDevice.RequireLab();

    [Fact]
    public void What_the_disks_are()
    {
        using LabDaemon daemon = new(s_addresses);
        (ulong Bytes, uint Block, string Serial)[] expected = [(64 << 20, 512, "XINIM-VDISK0"), (32 << 20, 512, "XINIM-VDISK1"), (32 << 20, 4096, "XINIM-VDISK2")];
        for (int i = 0; i < expected.Length; i++)
        {
            using BlockClient disk = LabDisk.Open(daemon, $"disk{i}");
            Assert.Equal(expected[i], (disk.Info.Bytes, disk.Info.LogicalBlockBytes, disk.Info.Serial.ToString()));
            // What add_disk of scripts/lab/machine.sh wrote there; on the first disk VfioBindingTests make a file system.
            if (i == 0) continue;
            using BlockBuffer first = disk.Rent(4096);
            disk.Read(0, first);
            Assert.Equal($"xinim lab vdisk{i}\n", Encoding.ASCII.GetString(first.Span[..17]));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task What_is_written_is_there_though_the_driver_is_killed_over_it(int number)
    {
        using LabDaemon daemon = new([s_addresses[number]]);
        using BlockClient disk = LabDisk.Open(daemon, "disk0");
        const int chunks = 128;
        await LabDisk.WriteAll(disk, chunks, chunk =>
        {
            if (chunk % 32 == 16) daemon.KillDriver("disk0");
        });
        Assert.InRange(disk.Recoveries, 1u, 4u);
        LabDisk.AssertAll(disk, chunks);
    }

    [Fact]
    public void Linux_reads_what_was_written_here_and_the_other_way_round()
    {
        string address = s_addresses[0];
        using (LabDaemon daemon = new([address]))
        {
            using BlockClient disk = LabDisk.Open(daemon, "disk0");
            using BlockBuffer buffer = disk.Rent(LabDisk.ChunkBytes);
            LabDisk.Pattern(7).CopyTo(buffer.Span);
            disk.Write(1024, buffer);
            disk.Flush();
        }

        Assert.Equal("virtio-pci", LabDaemon.DriverOf(address));
        string node = KernelDisk.Take(address, LabProgram.Limit, "virtio_blk");
        using (FileStream linux = File.Open(node, FileMode.Open, FileAccess.ReadWrite))
        {
            byte[] read = new byte[LabDisk.ChunkBytes];
            linux.Position = 1024 * 512;
            linux.ReadExactly(read);
            Assert.Equal(LabDisk.Pattern(7), read);
            linux.Position = 4096 * 512;
            linux.Write(LabDisk.Pattern(9));
            linux.Flush(flushToDisk: true);
        }

        using LabDaemon again = new([address]);
        using BlockClient reader = LabDisk.Open(again, "disk0");
        using BlockBuffer back = reader.Rent(LabDisk.ChunkBytes);
        reader.Read(4096, back);
        Assert.True(back.Span.SequenceEqual(LabDisk.Pattern(9)));
    }

    [Fact]
    public void A_wrong_request_costs_itself_only()
    {
        using LabDaemon daemon = new([s_addresses[0]]);
        using BlockClient disk = LabDisk.Open(daemon, "disk0");
        using BlockBuffer buffer = disk.Rent(4096);
        BlockIoException beyond = Assert.Throws<BlockIoException>(() => disk.Read(disk.Info.Blocks - 1, buffer));
        Assert.Contains($"{disk.Info.Blocks - 1}", beyond.Message, StringComparison.Ordinal);
        disk.Read(disk.Info.Blocks - 8, buffer);
        Assert.Equal(0u, disk.Recoveries);
    }

    [Fact]
    public async Task A_disk_that_is_removed_under_load_leaves_and_its_client_is_told()
    {
        const string behindPort = "0000:04:00.0";
        using LabDaemon daemon = new([behindPort]);
        using BlockClient disk = LabDisk.Open(daemon, "disk0");
        Task load = Task.Run(
            async () =>
            {
                for (int chunk = 0; ; chunk = (chunk + 1) % 64) await LabDisk.Write(disk, (ulong)(chunk + 1) * 16, chunk);
            },
            TestContext.Current.CancellationToken);
        Task removal = Task.Run(() => File.WriteAllText($"/sys/bus/pci/devices/{behindPort}/remove", "1"), TestContext.Current.CancellationToken);
        daemon.Await($"{behindPort} is given up", 1);
        await removal.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
        await Assert.ThrowsAsync<BlockException>(() => load.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken));

        File.WriteAllText("/sys/bus/pci/rescan", "1");
        daemon.Await("disk0: generation 1 ready", 2);
        using BlockClient again = LabDisk.Open(daemon, "disk0");
        await LabDisk.Write(again, 16, 5);
    }
}
