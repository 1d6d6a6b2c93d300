using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.Ipc.Protocols;
using Xinim.Lab.Tests.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>Disks that fail, on VFIO: QEMU's blkdebug behind the second AHCI controller of <c>scripts/lab.sh --faulty-disks</c>, and a healthy controller beside it.</summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
[Trait("needs", "faulty-disks")]
public sealed class FaultyDiskLabTests
{
    public const string Address = "0000:00:14.0", Healthy = "0000:00:06.0";

    // Sectors of add_faulty_disks (scripts/lab/machine.sh). Those that fail once do so for whoever comes first: nobody loads Linux's own driver in this guest.
    private const ulong BadRead = 2048, BadWrite = 4096, QueuedReadOnce = 6144, QueuedWriteOnce = 8192, PlainReadOnce = 10240, PlainWriteOnce = 12288;

    public FaultyDiskLabTests() => LabDevice.RequireLab();

    /// <summary>Sectors of 4,096 bytes physically, 512 logically: QEMU 7.2's ide-hd has no other logical ones.</summary>
    [Fact]
    public void A_disk_beyond_two_tebibytes_is_written_and_read_up_to_its_last_sector()
    {
        using LabDaemon daemon = new([$"{Address}=sata1"]);
        using BlockClient disk = LabDisk.Open(daemon, "sata1.2");
        Assert.Equal((3ul << 40, 512u, 4096u), (disk.Info.Bytes, disk.Info.LogicalBlockBytes, disk.Info.PhysicalBlockBytes));
        const ulong twoTebibytes = 1ul << 32;
        ulong[] places = [(1ul << 28) - 64, twoTebibytes - 64, twoTebibytes, twoTebibytes + 4096, disk.Info.Blocks - 128];
        using BlockBuffer buffer = disk.Rent(LabDisk.ChunkBytes);
        for (int i = 0; i < places.Length; i++)
        {
            LabDisk.Pattern(i + 1).CopyTo(buffer.Span);
            disk.Write(places[i], buffer, durable: i % 2 == 0);
        }

        // What a count or an address of 32 bits would have hit instead.
        disk.Read(0, buffer);
        Assert.StartsWith("xinim lab huge\n", System.Text.Encoding.ASCII.GetString(buffer.Span[..15]), StringComparison.Ordinal);
        Assert.Equal(-1, buffer.Span[512..].IndexOfAnyExcept((byte)0));
        // The second chunk ends where the third begins, in the middle of it.
        for (int i = 0; i < places.Length; i++)
        {
            disk.Read(places[i], buffer);
            int bytes = i == 1 ? 64 * 512 : LabDisk.ChunkBytes;
            Assert.True(buffer.Span[..bytes].SequenceEqual(LabDisk.Pattern(i + 1).AsSpan(0, bytes)), $"block {places[i]} has other contents");
        }

        Assert.Equal(BlockStatus.OutOfRange, Assert.Throws<BlockIoException>(() => disk.Read(disk.Info.Blocks - 127, buffer)).Status);
    }

    [Theory]
    [InlineData("true")]
    [InlineData("false")]
    public void A_bad_sector_names_itself_every_time_and_nothing_else_fails(string ncq)
    {
        using LabDaemon daemon = Start(ncq);
        using BlockClient disk = LabDisk.Open(daemon, "sata1.0");
        using BlockBuffer buffer = disk.Rent(8 * 512);
        for (int round = 0; round < 2; round++)
        {
            AssertFails(() => disk.Read(BadRead - 4, buffer), "read of 8 blocks at block 2044", BadRead - 4);
            disk.Read(BadRead + 1, buffer);
            disk.Write(BadRead, buffer);
            AssertFails(() => disk.Write(BadWrite, buffer), "write of 8 blocks at block 4096", BadWrite);
            disk.Write(BadWrite + 1, buffer);
            disk.Read(BadWrite, buffer);
        }

        Assert.Equal(0u, disk.Recoveries);
        Assert.Equal(4ul, disk.GetStatistics().Errors);
    }

    [Fact]
    public async Task Of_requests_that_are_out_together_only_the_bad_one_fails()
    {
        using LabDaemon daemon = Start("true");
        using BlockClient disk = LabDisk.Open(daemon, "sata1.0");
        BlockBuffer[] buffers = [.. Enumerable.Range(0, 16).Select(_ => disk.Rent(8 * 512))];
        for (int round = 0; round < 3; round++)
        {
            Task[] reads = [.. buffers.Select((buffer, i) => disk.ReadAsync(BadRead + (ulong)(8 * i) - 80, buffer).AsTask())];
            for (int i = 0; i < reads.Length; i++)
            {
                if (i != 10) await reads[i];
                else Assert.Equal(BadRead, (await Assert.ThrowsAsync<BlockIoException>(() => reads[i])).Lba);
            }
        }

        Assert.Equal((0u, 3ul), (disk.Recoveries, disk.GetStatistics().Errors));
        foreach (BlockBuffer buffer in buffers) buffer.Dispose();
    }

    /// <summary>Behind a queue, where nobody says which command failed, each is asked once more by itself: an error that does not come back is no error.</summary>
    [Fact]
    public async Task An_error_among_queued_commands_that_does_not_come_back_costs_nobody_anything()
    {
        using LabDaemon daemon = Start("true");
        using BlockClient disk = LabDisk.Open(daemon, "sata1.0");
        foreach (ulong middle in (ulong[])[QueuedReadOnce, QueuedWriteOnce])
        {
            bool write = middle == QueuedWriteOnce;
            List<BlockBuffer> buffers = [];
            List<Task> all = [];
            for (int i = 0; i < 24; i++)
            {
                buffers.Add(disk.Rent(8 * 512));
                all.Add(LabDisk.Ask(disk, write, middle - 96 + (ulong)(8 * i), buffers[i]));
            }

            await Task.WhenAll(all).WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
            buffers.ForEach(buffer => buffer.Dispose());
        }

        Assert.Equal((0ul, 0u), (disk.GetStatistics().Errors, disk.Recoveries));
        daemon.Await("error with Queued commands", 2);
    }

    [Fact]
    public void An_error_that_comes_once_is_told_and_the_next_try_succeeds()
    {
        using LabDaemon daemon = Start("false");
        using BlockClient disk = LabDisk.Open(daemon, "sata1.0");
        using BlockBuffer buffer = disk.Rent(512);
        AssertFails(() => disk.Read(PlainReadOnce, buffer), "read of 1 blocks at block 10240", PlainReadOnce);
        disk.Read(PlainReadOnce, buffer);
        AssertFails(() => disk.Write(PlainWriteOnce, buffer), "write of 1 blocks at block 12288", PlainWriteOnce);
        disk.Write(PlainWriteOnce, buffer);
        AssertFails(disk.Flush, "flush", 0);
        disk.Flush();
        Assert.Equal((3ul, 0u), (disk.GetStatistics().Errors, disk.Recoveries));
    }

    [Theory]
    [InlineData("true")]
    [InlineData("false")]
    public async Task A_disk_that_is_full_of_errors_says_so_for_each_request_and_costs_its_neighbours_nothing(string ncq)
    {
        const int requests = 48;
        using LabDaemon daemon = Start(ncq);
        using BlockClient disk = LabDisk.Open(daemon, "sata1.4"), neighbour = LabDisk.Open(daemon, "sata1.3");
        Task healthy = LabDisk.WriteAll(neighbour, 64, _ => { });
        using BlockBuffer buffer = disk.Rent(4096);
        List<Task> all = [];
        for (int i = 0; i < requests; i++) all.Add(LabDisk.Ask(disk, i % 2 == 1, (ulong)i * 8, buffer));
        for (int i = 0; i < requests; i++)
        {
            BlockIoException failed = await Assert.ThrowsAsync<BlockIoException>(() => all[i].WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken));
            Assert.Equal((BlockStatus.IoError, (ulong)i * 8), (failed.Status, failed.Lba));
            Assert.StartsWith("sata1.4: ", failed.Message, StringComparison.Ordinal);
        }

        await healthy.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
        LabDisk.AssertAll(neighbour, 64);
        Assert.Contains("sata1.4: flush failed", Assert.Throws<BlockIoException>(disk.Flush).Message, StringComparison.Ordinal);
        Assert.Equal((0u, 0u), (disk.Recoveries, neighbour.Recoveries));
        Assert.InRange(daemon.Log.Split('\n').Count(line => line.Contains("port 4: error with", StringComparison.Ordinal)), 1, 21);
    }

    [Fact]
    public async Task Two_controllers_with_several_disks_each_know_nothing_of_each_other_s_trouble()
    {
        const int chunks = 96;
        using LabDaemon daemon = new([$"{Healthy}=sata0", $"{Address}=sata1"]);
        using BlockClient first = LabDisk.Open(daemon, "sata0.0"), second = LabDisk.Open(daemon, "sata0.1");
        using BlockClient third = LabDisk.Open(daemon, "sata1.2"), fourth = LabDisk.Open(daemon, "sata1.3"), bad = LabDisk.Open(daemon, "sata1.0");
        using BlockBuffer buffer = bad.Rent(512);
        await Task.WhenAll(
            LabDisk.WriteAll(first, chunks, _ => { }),
            LabDisk.WriteAll(second, chunks, _ => { }),
            LabDisk.WriteAll(third, chunks, chunk =>
            {
                if (chunk % 32 == 16) daemon.KillDriver("sata1");
            }),
            LabDisk.WriteAll(fourth, chunks, chunk =>
            {
                if (chunk % 16 == 8) Assert.Throws<BlockIoException>(() => bad.Read(BadRead, buffer));
            }));
        Assert.Equal((0u, 0u), (first.Recoveries, second.Recoveries));
        Assert.InRange(third.Recoveries, 1u, 3u);
        foreach (BlockClient disk in (BlockClient[])[first, second, third, fourth]) LabDisk.AssertAll(disk, chunks);
        // The other way round.
        daemon.KillDriver("sata0");
        await LabDisk.WriteAll(fourth, chunks, _ => { });
        await LabDisk.WriteAll(first, chunks, _ => { });
        Assert.Equal(third.Recoveries, fourth.Recoveries);
        Assert.Equal(1u, first.Recoveries);
    }

    [Fact]
    public async Task A_controller_that_is_removed_under_load_leaves_and_comes_back_with_all_of_its_disks()
    {
        using LabDaemon daemon = new([$"{Healthy}=sata0", $"{Address}=sata1"]);
        using BlockClient stays = LabDisk.Open(daemon, "sata0.0"), goes = LabDisk.Open(daemon, "sata1.2"), too = LabDisk.Open(daemon, "sata1.3");
        Task[] load = [.. new[] { goes, too }.Select(disk => Task.Run(
            async () =>
            {
                for (int chunk = 0; ; chunk = (chunk + 1) % 64) await LabDisk.Write(disk, LabDisk.LbaOf(disk, chunk), chunk);
            },
            TestContext.Current.CancellationToken))];
        Task healthy = LabDisk.WriteAll(stays, 64, _ => { });
        Task removal = Task.Run(() => File.WriteAllText($"/sys/bus/pci/devices/{Address}/remove", "1"), TestContext.Current.CancellationToken);
        daemon.Await($"{Address} is given up", 1);
        await removal.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
        foreach (Task client in load) await Assert.ThrowsAsync<BlockException>(() => client.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken));
        await healthy.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
        Assert.Equal(0u, stays.Recoveries);

        File.WriteAllText("/sys/bus/pci/rescan", "1");
        daemon.Await("sata1: generation 1 ready", 2);
        using BlockClient again = LabDisk.Open(daemon, "sata1.2");
        await LabDisk.WriteAll(again, 8, _ => { });
        LabDisk.AssertAll(again, 8);
    }

    private static LabDaemon Start(string ncq)
    {
        LabDaemon daemon = new([], others: $$"""{ "device": "{{Address}}", "name": "sata1", "options": { "ncq": {{ncq}} } }""");
        daemon.Await("sata1: generation 1 ready", 1);
        return daemon;
    }

    /// <summary>The message names the disk, the request, its place and its length.</summary>
    private static void AssertFails(Action request, string what, ulong lba)
    {
        BlockIoException failed = Assert.Throws<BlockIoException>(request);
        Assert.StartsWith($"sata1.0: {what}", failed.Message, StringComparison.Ordinal);
        Assert.Equal((BlockStatus.IoError, lba), (failed.Status, failed.Lba));
    }
}
