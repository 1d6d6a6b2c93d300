using System.Diagnostics;
using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.Lab.Tests.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>
/// Requests that are in flight for long, on VFIO: QEMU's throttle behind port 1 of the second AHCI controller of <c>scripts/lab.sh --faulty-disks</c>, opened and
/// closed over QEMU's control socket, and an image that gives space back.
/// </summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
[Trait("needs", "faulty-disks")]
public sealed class SlowDiskLabTests : IDisposable
{
    private const string Group = "slow";
    private const int Chunks = 24;
    private readonly Qmp _qemu = new();

    public void Dispose()
    {
        _qemu.Throttle(Group, 0);
        _qemu.Dispose();
    }

    [Fact]
    public async Task A_slow_disk_is_waited_for()
    {
        using LabDaemon daemon = Start(timeout: 10);
        using BlockClient disk = LabDisk.Open(daemon, "sata1.1");
        _qemu.Throttle(Group, 20);
        await LabDisk.WriteAll(disk, 2 * Chunks, _ => { });
        LabDisk.AssertAll(disk, 2 * Chunks);
        Assert.Equal((0u, 0ul), (disk.Recoveries, disk.GetStatistics().Errors));
        Assert.DoesNotContain("not answered within", daemon.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_disk_that_is_too_slow_is_reset_and_everything_is_done_in_the_end()
    {
        using LabDaemon daemon = Start(timeout: 1);
        using BlockClient disk = LabDisk.Open(daemon, "sata1.1"), neighbour = LabDisk.Open(daemon, "sata1.3");
        _qemu.Throttle(Group, 1);
        Task slow = LabDisk.WriteAll(disk, 4, _ => { });
        daemon.Await("are not answered within 1 s", 1);
        _qemu.Throttle(Group, 0);
        await slow.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
        LabDisk.AssertAll(disk, 4);
        await LabDisk.WriteAll(neighbour, Chunks, _ => { });
        LabDisk.AssertAll(neighbour, Chunks);
    }

    /// <summary>QEMU's reset/pending_callback, on VFIO: the driver dies over writes that are in flight, and the next one resets the controller under them.</summary>
    [Fact]
    public async Task The_controller_is_reset_with_writes_in_flight_and_all_of_them_are_there_afterwards()
    {
        using LabDaemon daemon = Start(timeout: 30);
        using BlockClient disk = LabDisk.Open(daemon, "sata1.1");
        await LabDisk.WriteAll(disk, Chunks, _ => { });
        _qemu.Throttle(Group, 4);
        Task writes = LabDisk.WriteAll(disk, 2 * Chunks, chunk =>
        {
            if (chunk == Chunks) daemon.KillDriver("sata1");
        });
        daemon.Await("sata1: generation 2 ready", 1);
        _qemu.Throttle(Group, 0);
        await writes.WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
        // The guest's processor stands still while QEMU waits for its writes: the next driver may seem to hang, and be followed by another.
        Assert.NotEqual(0u, disk.Recoveries);
        LabDisk.AssertAll(disk, 2 * Chunks);
    }

    /// <summary>A client that goes takes its grant along: the link is reset before its memory is anybody else's.</summary>
    [Fact]
    public async Task A_grant_that_is_revoked_over_reads_in_flight_reaches_nobody_else_s_memory()
    {
        using LabDaemon daemon = Start(timeout: 30);
        using (BlockClient writer = LabDisk.Open(daemon, "sata1.1")) await LabDisk.WriteAll(writer, Chunks, _ => { });
        List<Task> reads = [];
        using (BlockClient goes = LabDisk.Open(daemon, "sata1.1"))
        {
            _qemu.Throttle(Group, 2);
            for (int chunk = 0; chunk < Chunks; chunk++) reads.Add(LabDisk.Ask(goes, false, LabDisk.LbaOf(goes, chunk), goes.Rent(LabDisk.ChunkBytes)));
            long start = Stopwatch.GetTimestamp();
            while (goes.GetStatistics().Doorbells == 0) Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, "the requests reach the disk");
        }

        foreach (Task read in reads) await Record.ExceptionAsync(() => read);
        _qemu.Throttle(Group, 0);
        using BlockClient next = OpenWhenFree(daemon);
        using BlockBuffer buffer = next.Rent(LabDisk.ChunkBytes);
        buffer.Span.Fill(0x5a);
        LabDisk.AssertAll(next, Chunks);
        Assert.Equal(-1, buffer.Span.IndexOfAnyExcept((byte)0x5a));
        Assert.Equal(0u, next.Recoveries);
    }

    [Fact]
    public async Task What_is_trimmed_frees_blocks_of_the_image()
    {
        using LabDaemon daemon = Start(timeout: 30);
        using BlockClient disk = LabDisk.Open(daemon, "sata1.3");
        await LabDisk.WriteAll(disk, 128, _ => { });
        long full = _qemu.AllocatedBytes("thin");
        await disk.DiscardAsync(LabDisk.LbaOf(disk, 0), 64 * LabDisk.ChunkBytes / 512, TestContext.Current.CancellationToken);
        disk.Flush();
        Assert.InRange(_qemu.AllocatedBytes("thin"), 0, full - (63 * LabDisk.ChunkBytes));
        using BlockBuffer buffer = disk.Rent(LabDisk.ChunkBytes);
        disk.Read(LabDisk.LbaOf(disk, 63), buffer);
        Assert.Equal(-1, buffer.Span.IndexOfAnyExcept((byte)0));
        disk.Read(LabDisk.LbaOf(disk, 64), buffer);
        Assert.True(buffer.Span.SequenceEqual(LabDisk.Pattern(64)));
    }

    private static LabDaemon Start(int timeout)
    {
        LabDaemon daemon = new([], others: $$"""{ "device": "{{FaultyDiskLabTests.Address}}", "name": "sata1", "options": { "timeout": {{timeout}} } }""");
        daemon.Await("sata1: generation 1 ready", 1);
        return daemon;
    }

    /// <summary>The daemon hears of a client's end in its own time.</summary>
    private static BlockClient OpenWhenFree(LabDaemon daemon)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return LabDisk.Open(daemon, "sata1.1");
            }
            catch (BlockException) when (Stopwatch.GetElapsedTime(start) < LabProgram.Limit)
            {
                Thread.Yield();
            }
        }
    }
}
