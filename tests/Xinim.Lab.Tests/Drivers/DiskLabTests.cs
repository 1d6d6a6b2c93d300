using System.Diagnostics;
using System.Text;
using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.Lab.Tests.Vfio;
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
    private const int ChunkBytes = 64 << 10;
    private static readonly string[] s_addresses = ["0000:00:08.0", "0000:00:10.0", "0000:04:00.0"];

    public DiskLabTests() => LabDevice.RequireLab();

    [Fact]
    public void What_the_disks_are()
    {
        using LabDaemon daemon = new(s_addresses);
        (ulong Bytes, uint Block, string Serial)[] expected = [(64 << 20, 512, "XINIM-VDISK0"), (32 << 20, 512, "XINIM-VDISK1"), (32 << 20, 4096, "XINIM-VDISK2")];
        for (int i = 0; i < expected.Length; i++)
        {
            using BlockClient disk = Open(daemon, i);
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
        using BlockClient disk = Open(daemon, 0);
        const int chunks = 128;
        ulong blocks = ChunkBytes / disk.Info.LogicalBlockBytes;
        // The first block is another test's to read.
        ulong LbaOf(int chunk) => (ulong)(chunk + 1) * blocks;
        List<Task> writes = [];
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            writes.Add(Write(disk, LbaOf(chunk), chunk));
            if (chunk % 32 == 16) daemon.KillDriver("disk0");
        }

        await Task.WhenAll(writes).WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
        disk.Flush();
        Assert.InRange(disk.Recoveries, 1u, 4u);
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            using BlockBuffer buffer = disk.Rent(ChunkBytes);
            disk.Read(LbaOf(chunk), buffer);
            Assert.True(buffer.Span.SequenceEqual(Pattern(chunk)), $"chunk {chunk} has other contents");
        }
    }

    [Fact]
    public void Linux_reads_what_was_written_here_and_the_other_way_round()
    {
        string address = s_addresses[0];
        using (LabDaemon daemon = new([address]))
        {
            using BlockClient disk = Open(daemon, 0);
            using BlockBuffer buffer = disk.Rent(ChunkBytes);
            Pattern(7).CopyTo(buffer.Span);
            disk.Write(1024, buffer);
            disk.Flush();
        }

        Assert.Equal("virtio-pci", LabDaemon.DriverOf(address));
        string node = LabDevice.DiskOf(address);
        using (FileStream linux = File.Open(node, FileMode.Open, FileAccess.ReadWrite))
        {
            byte[] read = new byte[ChunkBytes];
            linux.Position = 1024 * 512;
            linux.ReadExactly(read);
            Assert.Equal(Pattern(7), read);
            linux.Position = 4096 * 512;
            linux.Write(Pattern(9));
            linux.Flush(flushToDisk: true);
        }

        using LabDaemon again = new([address]);
        using BlockClient reader = Open(again, 0);
        using BlockBuffer back = reader.Rent(ChunkBytes);
        reader.Read(4096, back);
        Assert.True(back.Span.SequenceEqual(Pattern(9)));
    }

    [Fact]
    public void A_wrong_request_costs_itself_only()
    {
        using LabDaemon daemon = new([s_addresses[0]]);
        using BlockClient disk = Open(daemon, 0);
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
        using BlockClient disk = Open(daemon, 0);
        Task load = Task.Run(
            async () =>
            {
                for (int chunk = 0; ; chunk = (chunk + 1) % 64) await Write(disk, (ulong)(chunk + 1) * 16, chunk);
            },
            TestContext.Current.CancellationToken);
        Task removal = Task.Run(() => File.WriteAllText($"/sys/bus/pci/devices/{behindPort}/remove", "1"), TestContext.Current.CancellationToken);
        daemon.Await($"{behindPort} is given up", 1);
        await removal.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
        await Assert.ThrowsAsync<BlockException>(() => load.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken));

        File.WriteAllText("/sys/bus/pci/rescan", "1");
        daemon.Await("disk0: generation 1 ready", 2);
        using BlockClient again = Open(daemon, 0);
        await Write(again, 16, 5);
    }

    private static BlockClient Open(LabDaemon daemon, int number) => BlockClient.Open($"disk{number}", new BlockPortOptions { AnswerLimit = LabProgram.Limit }, daemon.Socket);

    private static async Task Write(BlockClient disk, ulong lba, int chunk)
    {
        using BlockBuffer buffer = await Rent(disk);
        Pattern(chunk).CopyTo(buffer.Span);
        await disk.WriteAsync(lba, buffer);
    }

    /// <summary>The pool is smaller than what is to be written: waits until there is room.</summary>
    private static async Task<BlockBuffer> Rent(BlockClient disk)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return disk.Rent(ChunkBytes);
            }
            catch (BlockException) when (Stopwatch.GetElapsedTime(start) < LabProgram.Limit)
            {
                await Task.Yield();
            }
        }
    }

    private static byte[] Pattern(int chunk)
    {
        byte[] bytes = new byte[ChunkBytes];
        for (int i = 0; i < bytes.Length; i++) bytes[i] = (byte)((i * 13) + (chunk * 31) + (i >> 8));
        return bytes;
    }
}
