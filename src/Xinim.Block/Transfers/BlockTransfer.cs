using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.Ipc.Protocols;

namespace Xinim.Block.Transfers;

/// <summary>Long transfers between a disk and a stream: several requests under way while the stream is read or written. Offsets and lengths are bytes, of any number.</summary>
/// <param name="chunkBytes">Bytes a request, a multiple of the disk's blocks.</param>
/// <param name="depth">Requests under way.</param>
public sealed class BlockTransfer(BlockClient disk, int chunkBytes = 1 << 20, int depth = 4)
{
    /// <summary>Bytes done; for whoever watches, from any thread.</summary>
    public long Done => Interlocked.Read(ref _done);

    private long _done;

    /// <summary>Copies from the disk.</summary>
    /// <exception cref="BlockException">The disk failed, or ends before.</exception>
    public async Task ReadAsync(ulong offset, ulong length, Stream to, CancellationToken stop)
    {
        CheckRange(offset, length);
        uint block = disk.Info.LogicalBlockBytes;
        ulong end = offset + length, next = offset / block * block;
        Queue<(BlockBuffer Buffer, ulong At, Task Read)> running = new();
        byte[] copy = new byte[chunkBytes];
        try
        {
            while (running.Count != 0 || next < end)
            {
                while (running.Count < depth && next < end)
                {
                    int bytes = (int)Math.Min((ulong)chunkBytes, (end - next + block - 1) / block * block);
                    BlockBuffer buffer = disk.Rent(bytes);
                    running.Enqueue((buffer, next, disk.ReadAsync(next / block, buffer, stop).AsTask()));
                    next += (ulong)bytes;
                }

                (BlockBuffer ready, ulong at, Task read) = running.Dequeue();
                using (ready)
                {
                    await read.ConfigureAwait(false);
                    int skip = (int)(Math.Max(offset, at) - at), take = (int)(Math.Min(end, at + (ulong)ready.Length) - at) - skip;
                    ready.Span.Slice(skip, take).CopyTo(copy);
                    await to.WriteAsync(copy.AsMemory(0, take), stop).ConfigureAwait(false);
                    Interlocked.Add(ref _done, take);
                }
            }

            await to.FlushAsync(stop).ConfigureAwait(false);
        }
        finally
        {
            await Abandon(running.Select(one => (one.Buffer, one.Read))).ConfigureAwait(false);
        }
    }

    /// <summary>Copies to the disk until the stream ends, and flushes. A block that is written in part keeps the rest of its contents.</summary>
    /// <param name="length">Bytes at the most.</param>
    /// <returns>Bytes written.</returns>
    /// <exception cref="BlockException">The disk failed, or ends before the stream does.</exception>
    public async Task<ulong> WriteAsync(ulong offset, ulong? length, Stream from, CancellationToken stop)
    {
        CheckRange(offset, length ?? 0);
        uint block = disk.Info.LogicalBlockBytes;
        ulong next = offset, end = length is { } most ? offset + most : disk.Info.Bytes;
        Queue<(BlockBuffer Buffer, Task Write)> running = new();
        byte[] copy = new byte[chunkBytes];
        try
        {
            while (next < end)
            {
                int skip = (int)(next % block);
                int got = await from.ReadAtLeastAsync(copy.AsMemory(0, (int)Math.Min((ulong)(chunkBytes - skip), end - next)), (int)Math.Min((ulong)(chunkBytes - skip), end - next), false, stop).ConfigureAwait(false);
                if (got == 0) break;
                if (running.Count == depth) await Next(running).ConfigureAwait(false);
                running.Enqueue(await BeginWrite(next - (ulong)skip, skip, copy.AsMemory(0, got), stop).ConfigureAwait(false));
                next += (ulong)got;
            }

            if (length is null && next == end && await from.ReadAsync(copy.AsMemory(0, 1), stop).ConfigureAwait(false) != 0)
                throw new BlockException($"the disk is full: it has {disk.Info.Bytes} bytes, and there is more to write");
            while (running.Count != 0) await Next(running).ConfigureAwait(false);
            await disk.FlushAsync(stop).ConfigureAwait(false);
            return next - offset;
        }
        finally
        {
            await Abandon(running).ConfigureAwait(false);
        }
    }

    private async Task<(BlockBuffer Buffer, Task Write)> BeginWrite(ulong at, int skip, ReadOnlyMemory<byte> data, CancellationToken stop)
    {
        uint block = disk.Info.LogicalBlockBytes;
        int bytes = (int)((uint)(skip + data.Length + block - 1) / block * block);
        BlockBuffer buffer = disk.Rent(bytes);
        // What stays of the first and the last block has to be known.
        if (skip != 0 || bytes != skip + data.Length) await disk.ReadAsync(at / block, buffer, stop).ConfigureAwait(false);
        data.Span.CopyTo(buffer.Span[skip..]);
        Task write = disk.WriteAsync(at / block, buffer, cancellation: stop).AsTask();
        return (buffer, Count(write, data.Length));
    }

    private async Task Count(Task write, int bytes)
    {
        await write.ConfigureAwait(false);
        Interlocked.Add(ref _done, bytes);
    }

    private static async Task Next(Queue<(BlockBuffer Buffer, Task Task)> running)
    {
        (BlockBuffer buffer, Task task) = running.Dequeue();
        using (buffer) await task.ConfigureAwait(false);
    }

    private static async Task Abandon(IEnumerable<(BlockBuffer Buffer, Task Task)> running)
    {
        foreach ((BlockBuffer buffer, Task task) in running)
        {
            using (buffer) await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private void CheckRange(ulong offset, ulong length)
    {
        BlockDeviceInfo info = disk.Info;
        if (offset > info.Bytes || length > info.Bytes - offset)
            throw new BlockException($"{length} bytes from {offset} on leave the disk, which has {info.Bytes}");
    }
}
