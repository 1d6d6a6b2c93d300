using Xinim.Block.Ports;
using Xinim.Ipc.Protocols;

namespace Xinim.Block.Tests.Ports;

public sealed class BlockRecoveryTests
{
    [Fact]
    public void What_a_dead_driver_held_is_asked_again()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Disk.HoldBack = true;
        new Random(3).NextBytes(fixture.Port.Memory(0, 4096));
        for (uint i = 0; i < 8; i++) fixture.Submit(BlockOperation.Write, i, 1, i, i * 512);
        fixture.Until(() => fixture.Daemon.Disk.Held == 8, "all are with the device");
        fixture.Daemon.Kill();
        fixture.Submit(BlockOperation.Read, 0, 8, 8, 8192);
        fixture.Daemon.Disk.HoldBack = false;
        fixture.Daemon.Revive();
        BlockResult[] results = fixture.Await(9);
        Assert.All(results, result => Assert.Equal(BlockStatus.Ok, result.Status));
        Assert.Equal(Enumerable.Range(0, 9).Select(i => (ulong)i), results.Select(result => result.Token).Order());
        Assert.All(results.Where(result => result.Token != 8), result => Assert.Equal(1, result.Attempts));
        Assert.True(fixture.Daemon.Disk.Contents(0, 8).SequenceEqual(fixture.Port.Memory(0, 4096)));
        Assert.Equal(1u, fixture.Port.Recoveries);
    }

    [Fact]
    public void What_a_dead_driver_answered_is_answered()
    {
        using PortFixture fixture = new();
        for (uint i = 0; i < 8; i++) fixture.Submit(BlockOperation.Read, i, 1, i);
        fixture.Port.Commit();
        int executed = 0;
        Assert.True(SpinWait.SpinUntil(() => (executed = fixture.Daemon.Disk.Executed) == 8, PortFixture.Limit));
        Assert.True(SpinWait.SpinUntil(() => fixture.Daemon.Driver is { Busy: false }, PortFixture.Limit));
        fixture.Daemon.Replace();
        Assert.Equal(8, fixture.Await(8).Length);
        Assert.Equal(executed, fixture.Daemon.Disk.Executed);
    }

    [Fact]
    public void A_repeated_flush_waits_for_what_was_asked_before_it_and_the_rest_for_the_flush()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Disk.HoldBack = true;
        fixture.Submit(BlockOperation.Write, 1, 1, 1);
        fixture.Submit(BlockOperation.Write, 2, 1, 2);
        fixture.Submit(BlockOperation.Flush, 0, 0, 3);
        fixture.Submit(BlockOperation.Write, 4, 1, 4);
        fixture.Until(() => fixture.Daemon.Disk.Held == 4, "all are with the device");
        fixture.Daemon.Kill();
        fixture.Daemon.Revive();
        fixture.Until(() => fixture.Daemon.Disk.Held == 2, "the two before the flush are with the device");
        Assert.Equal(0, fixture.Daemon.Disk.Flushes);
        fixture.Daemon.Disk.Backwards = true;
        fixture.Daemon.Disk.Release();
        ulong[] order = [.. fixture.Await(4).Select(result => result.Token)];
        Assert.Equal([3ul, 4ul], order[2..]);
        Assert.Equal(1, fixture.Daemon.Disk.Flushes);
    }

    [Fact]
    public void A_request_that_kills_drivers_fails_in_the_end()
    {
        using PortFixture fixture = new(new BlockPortOptions { PoolBytes = 1 << 20, Depth = 8, RetryBudget = 2 });
        fixture.Daemon.Disk.HoldBack = true;
        fixture.Submit(BlockOperation.Write, 1, 1, 1);
        for (int death = 0; death < 3; death++)
        {
            fixture.Until(() => fixture.Daemon.Disk.Held == 1, "it is with the device");
            fixture.Daemon.Replace();
        }

        Assert.Equal(new BlockResult(1, BlockStatus.IoError, 1, 3), fixture.Await(1).Single());
        fixture.Daemon.Disk.Release();
        Assert.Equal(BlockStatus.Ok, fixture.Do(BlockOperation.Write, 1, 1));
    }

    [Fact]
    public void Another_disk_is_refused_to_who_held_the_first()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Disk.HoldBack = true;
        fixture.Submit(BlockOperation.Write, 1, 1, 1);
        fixture.Until(() => fixture.Daemon.Disk.Held == 1, "it is with the device");
        fixture.Daemon.Disk.Serial = 1;
        fixture.Daemon.Replace();
        string message = Assert.Throws<BlockDeviceChangedException>(() => fixture.Await(1)).Message;
        Assert.Contains("XT4711", message, StringComparison.Ordinal);
        Assert.Contains("XT1'", message, StringComparison.Ordinal);
        Assert.Throws<BlockDeviceChangedException>(() => fixture.Submit(BlockOperation.Read, 1, 1));
        Assert.Equal(0, fixture.Daemon.Disk.Held);
    }

    [Fact]
    public void A_smaller_disk_is_another_disk()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Disk.Capacity = 4096;
        fixture.Daemon.Replace();
        Assert.Throws<BlockDeviceChangedException>(() => fixture.Await(1));
    }

    [Fact]
    public void A_device_that_goes_takes_everything_with_it()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Disk.HoldBack = true;
        fixture.Submit(BlockOperation.Write, 1, 1, 1);
        fixture.Until(() => fixture.Daemon.Disk.Held == 1, "it is with the device");
        fixture.Daemon.CloseDevice("it was pulled");
        Assert.Equal("it was pulled", Assert.Throws<BlockException>(() => fixture.Await(1)).Message);
    }

    [Fact]
    public void A_disk_that_the_daemon_says_is_another_one_is_not_used_any_more()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Disk.HoldBack = true;
        fixture.Submit(BlockOperation.Write, 1, 1, 1);
        fixture.Until(() => fixture.Daemon.Disk.Held == 1, "it is with the device");
        fixture.Daemon.CloseDevice("disk0 is another disk now", ClientMessage.Replaced);
        Assert.Equal("disk0 is another disk now", Assert.Throws<BlockDeviceChangedException>(() => fixture.Await(1)).Message);
        Assert.Throws<BlockDeviceChangedException>(() => fixture.Submit(BlockOperation.Read, 1, 1));
    }

    [Fact]
    public void Without_a_successor_the_wait_ends()
    {
        using PortFixture fixture = new(new BlockPortOptions { PoolBytes = 1 << 20, Depth = 8, RecoveryLimit = TimeSpan.FromMilliseconds(50) });
        fixture.Daemon.Disk.HoldBack = true;
        fixture.Submit(BlockOperation.Write, 1, 1, 1);
        fixture.Until(() => fixture.Daemon.Disk.Held == 1, "it is with the device");
        fixture.Daemon.Kill();
        Assert.Contains("no driver", Assert.Throws<BlockException>(() => fixture.Await(1)).Message, StringComparison.Ordinal);
    }
}
