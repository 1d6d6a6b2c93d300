using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.TestKit.Block;

namespace Xinim.Block.Tests.Clients;

/// <summary>Drivers die all the time, in the middle of whatever they do, and no write is lost, no block torn and no stale answer believed.</summary>
public sealed class StormTests
{
    private const int Deaths = 150;

    [Fact]
    public async Task Every_block_reads_as_it_was_written_last_whatever_dies_meanwhile()
    {
        using FakeDiskDaemon daemon = new();
        using BlockClient disk = BlockClient.Open("disk0", new BlockPortOptions { PoolBytes = 1 << 20, Depth = 32, RetryBudget = int.MaxValue }, daemon.Socket);
        DiskWorkers workers = new(disk);
        Random random = new(42);
        for (uint death = 1; death <= Deaths; death++)
        {
            int until = daemon.Disk.Executed + random.Next(1, 40);
            bool held = random.Next(3) == 0;
            Assert.True(SpinWait.SpinUntil(() => daemon.Disk.Executed >= until || workers.Failed, TimeSpan.FromSeconds(60)));
            daemon.Disk.Backwards = random.Next(2) == 0;
            daemon.Disk.HoldBack = held;
            if (held) SpinWait.SpinUntil(() => daemon.Disk.Held > 2, TimeSpan.FromMilliseconds(20));
            daemon.Kill();
            daemon.Disk.HoldBack = false;
            daemon.Revive();
            uint seen = death;
            Assert.True(SpinWait.SpinUntil(() => disk.Recoveries >= seen || workers.Failed, TimeSpan.FromSeconds(60)));
        }

        await workers.StopAsync();
        Assert.Equal((uint)Deaths, disk.Recoveries);
        Assert.Empty(daemon.Reports);
        workers.Verify(daemon.Disk.Contents(0, 1024));
    }
}
