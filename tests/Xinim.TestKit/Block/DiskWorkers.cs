using System.Buffers.Binary;
using Xinim.Block.Clients;
using Xinim.Ipc.Protocols;

namespace Xinim.TestKit.Block;

/// <summary>
/// Workers that write blocks of their own and read them back, from the start of a disk that is all zeroes. A block's contents follow from its number
/// and its version, so that one that is lost, torn, stale or in another's place shows.
/// </summary>
public sealed class DiskWorkers
{
    private const int MostBlocks = 8;
    private readonly BlockClient _disk;
    private readonly uint[][] _versions;
    private readonly Task[] _tasks;
    private readonly int _block;
    private long _requests;
    private volatile bool _over;

    /// <param name="workers">At a time, on blocks that follow each other.</param>
    /// <param name="blocksEach">How many are a worker's own.</param>
    public DiskWorkers(BlockClient disk, int workers = 4, int blocksEach = 256)
    {
        _disk = disk;
        _block = (int)disk.Info.LogicalBlockBytes;
        _versions = [.. Enumerable.Range(0, workers).Select(_ => new uint[blocksEach])];
        _tasks = [.. Enumerable.Range(0, workers).Select(worker => Task.Run(() => Work(worker, _versions[worker])))];
    }

    /// <summary>Requests that were answered so far.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>A worker has ended, which none does by itself but over an error.</summary>
    public bool Failed => Array.Exists(_tasks, task => task.IsCompleted);

    /// <summary>Lets them finish what they do. Throws what one of them ran into.</summary>
    public async Task StopAsync()
    {
        _over = true;
        await Task.WhenAll(_tasks).ConfigureAwait(false);
    }

    /// <summary>What the blocks hold now.</summary>
    public byte[] Expected()
    {
        uint[] versions = [.. _versions.SelectMany(one => one)];
        byte[] all = new byte[versions.Length * _block];
        for (int lba = 0; lba < versions.Length; lba++) Fill(all.AsSpan(lba * _block, _block), (ulong)lba, versions[lba]);
        return all;
    }

    /// <summary>Says which block is wrong.</summary>
    /// <param name="blocks">Contents of the disk from its start on.</param>
    /// <exception cref="InvalidDataException">One is.</exception>
    public void Verify(ReadOnlySpan<byte> blocks)
    {
        for (int worker = 0, lba = 0; worker < _versions.Length; worker++)
            foreach (uint version in _versions[worker]) Check(blocks.Slice(lba * _block, _block), (ulong)lba++, version);
    }

    private async Task Work(int worker, uint[] versions)
    {
        Random random = new(worker);
        ulong start = (ulong)worker * (ulong)versions.Length;
        using BlockBuffer buffer = _disk.Rent(MostBlocks * _block);
        for (uint round = 1; !_over; round++)
        {
            int count = random.Next(1, MostBlocks + 1), first = random.Next(versions.Length - count + 1);
            if (random.Next(8) == 0 && _disk.Info.Has(BlockFeatures.WriteZeroes))
            {
                versions.AsSpan(first, count).Clear();
                await _disk.WriteZeroesAsync(start + (ulong)first, (ulong)count).ConfigureAwait(false);
            }
            else
            {
                using BlockBuffer some = _disk.Rent(count * _block);
                for (int i = 0; i < count; i++) Fill(some.Span.Slice(i * _block, _block), start + (ulong)(first + i), versions[first + i] = round);
                await _disk.WriteAsync(start + (ulong)first, some, durable: round % 16 == 0).ConfigureAwait(false);
            }

            int again = random.Next(versions.Length - MostBlocks + 1);
            await _disk.ReadAsync(start + (ulong)again, buffer).ConfigureAwait(false);
            for (int i = 0; i < MostBlocks; i++) Check(buffer.Span.Slice(i * _block, _block), start + (ulong)(again + i), versions[again + i]);
            Interlocked.Add(ref _requests, 2);
        }
    }

    private static void Fill(Span<byte> block, ulong lba, uint version)
    {
        if (version == 0)
        {
            block.Clear();
            return;
        }

        for (int i = 0; i < block.Length; i += 16)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(block[i..], lba);
            BinaryPrimitives.WriteUInt32LittleEndian(block[(i + 8)..], version);
            BinaryPrimitives.WriteUInt32LittleEndian(block[(i + 12)..], (uint)i ^ version);
        }
    }

    private static void Check(ReadOnlySpan<byte> block, ulong lba, uint version)
    {
        byte[] expected = new byte[block.Length];
        Fill(expected, lba, version);
        if (!block.SequenceEqual(expected))
            throw new InvalidDataException($"block {lba} is not version {version} of itself but {BinaryPrimitives.ReadUInt32LittleEndian(block[8..])} of {BinaryPrimitives.ReadUInt64LittleEndian(block)}");
    }
}
