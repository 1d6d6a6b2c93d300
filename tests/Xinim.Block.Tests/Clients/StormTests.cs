using System.Buffers.Binary;
using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.TestKit.Block;

namespace Xinim.Block.Tests.Clients;

/// <summary>Drivers die all the time, in the middle of whatever they do, and no write is lost, no block torn and no stale answer believed.</summary>
public sealed class StormTests
{
    private const int Workers = 4;
    private const int BlocksEach = 256;
    private const int BlockBytes = 512;
    private const int Deaths = 150;

    [Fact]
    public async Task Every_block_reads_as_it_was_written_last_whatever_dies_meanwhile()
    {
        using FakeDiskDaemon daemon = new();
        using BlockClient disk = BlockClient.Open("disk0", new BlockPortOptions { PoolBytes = 1 << 20, Depth = 32, RetryBudget = int.MaxValue }, daemon.Socket);
        using CancellationTokenSource over = new();
        Task<uint[]>[] workers = [.. Enumerable.Range(0, Workers).Select(worker => Task.Run(() => Work(disk, worker, over.Token), TestContext.Current.CancellationToken))];
        Random random = new(42);
        for (uint death = 1; death <= Deaths; death++)
        {
            int until = daemon.Disk.Executed + random.Next(1, 40);
            bool held = random.Next(3) == 0;
            Assert.True(SpinWait.SpinUntil(() => daemon.Disk.Executed >= until || workers.Any(worker => worker.IsFaulted), TimeSpan.FromSeconds(60)));
            daemon.Disk.Backwards = random.Next(2) == 0;
            daemon.Disk.HoldBack = held;
            if (held) SpinWait.SpinUntil(() => daemon.Disk.Held > 2, TimeSpan.FromMilliseconds(20));
            daemon.Kill();
            daemon.Disk.HoldBack = false;
            daemon.Revive();
            uint seen = death;
            Assert.True(SpinWait.SpinUntil(() => disk.Recoveries >= seen || workers.Any(worker => worker.IsFaulted), TimeSpan.FromSeconds(60)));
        }

        await over.CancelAsync();
        uint[][] versions = await Task.WhenAll(workers);
        Assert.Equal((uint)Deaths, disk.Recoveries);
        Assert.Empty(daemon.Reports);
        for (int worker = 0; worker < Workers; worker++)
        {
            for (int block = 0; block < BlocksEach; block++)
            {
                ulong lba = (ulong)((worker * BlocksEach) + block);
                if (versions[worker][block] != 0) AssertBlock(daemon.Disk.Contents(lba, 1), lba, versions[worker][block]);
            }
        }
    }

    /// <summary>Writes blocks of its own and reads them back; each block's contents are a function of its number and its version.</summary>
    private static async Task<uint[]> Work(BlockClient disk, int worker, CancellationToken over)
    {
        Random random = new(worker);
        uint[] versions = new uint[BlocksEach];
        using BlockBuffer buffer = disk.Rent(8 * BlockBytes);
        for (uint round = 1; !over.IsCancellationRequested; round++)
        {
            int count = random.Next(1, 9), first = random.Next(BlocksEach - count + 1);
            ulong lba = (ulong)((worker * BlocksEach) + first);
            using BlockBuffer some = disk.Rent(count * BlockBytes);
            for (int i = 0; i < count; i++) Fill(some.Span.Slice(i * BlockBytes, BlockBytes), lba + (ulong)i, versions[first + i] = round);
            await disk.WriteAsync(lba, some, durable: round % 16 == 0, CancellationToken.None);
            int again = random.Next(BlocksEach - 7);
            await disk.ReadAsync((ulong)((worker * BlocksEach) + again), buffer, CancellationToken.None);
            for (int i = 0; i < 8; i++)
            {
                if (versions[again + i] != 0) AssertBlock(buffer.Span.Slice(i * BlockBytes, BlockBytes), (ulong)((worker * BlocksEach) + again + i), versions[again + i]);
            }
        }

        return versions;
    }

    private static void Fill(Span<byte> block, ulong lba, uint version)
    {
        for (int i = 0; i < BlockBytes; i += 16)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(block[i..], lba);
            BinaryPrimitives.WriteUInt32LittleEndian(block[(i + 8)..], version);
            BinaryPrimitives.WriteUInt32LittleEndian(block[(i + 12)..], (uint)i ^ version);
        }
    }

    private static void AssertBlock(ReadOnlySpan<byte> block, ulong lba, uint version)
    {
        Span<byte> expected = stackalloc byte[BlockBytes];
        Fill(expected, lba, version);
        Assert.True(block.SequenceEqual(expected), $"block {lba} is not version {version} of itself but {BinaryPrimitives.ReadUInt32LittleEndian(block[8..])} of {BinaryPrimitives.ReadUInt64LittleEndian(block)}");
    }
}
