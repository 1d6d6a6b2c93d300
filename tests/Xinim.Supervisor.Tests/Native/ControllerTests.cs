using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Status;
using Xinim.TestKit.Block;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>One driver process, several disks: what one of them suffers is nothing to the others, and a dead driver is nothing to any.</summary>
[Trait("needs", "qemu")]
public sealed class ControllerTests : IDisposable
{
    private const int Kills = 20;

    private readonly ControllerMachine _machine = new();

    public void Dispose() => _machine.Dispose();

    [Fact]
    public async Task Every_block_of_every_disk_is_what_it_was_written_last_whatever_becomes_of_drivers()
    {
        BlockClient[] disks = [.. ControllerModel.Ports.Select(port => _machine.Open($"sata0.{port}"))];
        DiskWorkers[] workers = [.. disks.Select(disk => new DiskWorkers(disk))];
        for (int death = 0; death < Kills; death++)
        {
            long[] before = [.. workers.Select(one => one.Requests)];
            _machine.Until(() => workers.Zip(before).All(pair => pair.First.Failed || pair.First.Requests > pair.Second + 10), "all disks are busy");
            _machine.KillDriver();
        }

        foreach (DiskWorkers worker in workers) await worker.StopAsync();
        for (int at = 0; at < disks.Length; at++)
        {
            await disks[at].FlushAsync(TestContext.Current.CancellationToken);
            workers[at].Verify(_machine.Model.Disks[at].Contents(0, (uint)(workers[at].Expected().Length / 512)));
            Assert.Equal((uint)Kills, disks[at].Recoveries);
            disks[at].Dispose();
        }
    }

    [Fact]
    public void A_disk_that_is_pulled_ends_its_client_and_nobody_else_s()
    {
        using BlockClient pulled = _machine.Open("sata0.0"), stays = _machine.Open("sata0.4");
        using BlockBuffer mine = pulled.Rent(4096), other = stays.Rent(4096);
        pulled.Write(8, mine);
        _machine.Model.Disks[0].Present = false;
        Assert.Contains("sata0.0 was removed", Failure(pulled, mine).Message, StringComparison.Ordinal);
        stays.Read(0, other);
        Assert.Equal(0u, stays.Recoveries);
        Assert.Contains("port 0 of sata0 has no disk; there are sata0.1, sata0.4", Assert.Throws<BlockException>(() => _machine.Open("sata0.0")).Message, StringComparison.Ordinal);
        _machine.Model.Disks[0].Present = true;
        _machine.Until(() => _machine.HasHappened("port 0: a disk has come"), "it is back");
        using BlockClient again = _machine.Open("sata0.0");
        using BlockBuffer buffer = again.Rent(4096);
        again.Read(8, buffer);
    }

    [Fact]
    public void Another_disk_after_a_restart_is_not_for_whoever_held_the_former_one()
    {
        using BlockClient changed = _machine.Open("sata0.1"), stays = _machine.Open("sata0.4");
        using BlockBuffer mine = changed.Rent(512), other = stays.Rent(512);
        _machine.Model.Disks[1].Serial = 9999;
        _machine.KillDriver();
        Assert.Contains("sata0.1 is another disk now", Assert.Throws<BlockDeviceChangedException>(() => changed.Read(0, mine)).Message, StringComparison.Ordinal);
        stays.Write(0, other);
        Assert.Equal(1u, stays.Recoveries);
    }

    [Fact]
    public void Failures_counters_and_caches_are_a_disk_s_own()
    {
        using BlockClient bad = _machine.Open("sata0.0"), good = _machine.Open("sata0.1");
        using BlockBuffer mine = bad.Rent(4096), other = good.Rent(4096);
        _machine.Model.Disks[0].BadBlocks.Add(4100);
        BlockIoException failure = Assert.Throws<BlockIoException>(() => bad.Read(4096, mine));
        Assert.Equal("sata0.0: read of 8 blocks at block 4096 failed at 4100: IoError", failure.Message);
        good.Read(4096, other);
        Assert.Equal((0ul, 1ul), (bad.GetStatistics().Reads, bad.GetStatistics().Errors));
        Assert.Equal((1ul, 0ul), (good.GetStatistics().Reads, good.GetStatistics().Errors));
        bad.SetWriteCache(false);
        Assert.False(bad.GetInfo().Has(BlockFeatures.WriteCache));
        Assert.True(good.GetInfo().Has(BlockFeatures.WriteCache));
        _machine.Model.Disks[1].Degrees = 61;
        _machine.Until(() => _machine.HasHappened("port 1: 8.39 MB in blocks of 512, serial 'XT101' expects to fail"), "its health is read");
        DeviceReport report = _machine.Report();
        Assert.Equal([null, 61, null], report.Disks!.Select(disk => disk.Health?.Temperature));
    }

    [Fact]
    public void Whoever_breaks_his_rings_twice_is_shut_out_and_the_others_lose_nothing()
    {
        using BlockClient good = _machine.Open("sata0.4");
        using BlockBuffer buffer = good.Rent(4096);
        using HostileBlockClient bad = new(_machine.Socket, "sata0.0");
        bad.BreakRings();
        bad.AwaitReopened();
        good.Read(0, buffer);
        Assert.Equal(1u, good.Recoveries);
        bad.BreakRings();
        Assert.Contains("the driver refused its rings", bad.AwaitClosed(), StringComparison.Ordinal);
        good.Read(0, buffer);
        Assert.Equal(1u, good.Recoveries);
        using BlockClient next = _machine.Open("sata0.0");
        using BlockBuffer other = next.Rent(4096);
        next.Read(0, other);
    }

    private BlockException Failure(BlockClient disk, BlockBuffer buffer)
    {
        BlockException? failure = null;
        _machine.Until(
            () =>
            {
                try
                {
                    disk.Read(8, buffer);
                }
                catch (BlockException exception)
                {
                    failure = exception;
                }

                // Until the driver has seen it, requests fail one by one.
                return failure is not null and not BlockIoException;
            },
            "the client is told");
        return failure!;
    }
}
