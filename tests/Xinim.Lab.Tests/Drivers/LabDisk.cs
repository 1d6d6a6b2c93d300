using System.Diagnostics;
using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>Writes chunks of known contents to a disk of the daemon, and looks whether they are there.</summary>
internal static class LabDisk
{
    public const int ChunkBytes = 64 << 10;

    public static BlockClient Open(LabDaemon daemon, string name) => BlockClient.Open(name, new BlockPortOptions { AnswerLimit = LabProgram.Limit }, daemon.Socket);

    /// <summary>Where a chunk is. The first blocks are others' to read.</summary>
    public static ulong LbaOf(BlockClient disk, int chunk) => (ulong)(chunk + 1) * (ChunkBytes / disk.Info.LogicalBlockBytes);

    /// <summary>Writes chunks, as many at a time as the client's memory holds, and flushes.</summary>
    /// <param name="disturb">Called after each one has been handed over, with its number.</param>
    public static async Task WriteAll(BlockClient disk, int chunks, Action<int> disturb)
    {
        List<Task> writes = [];
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            writes.Add(Write(disk, LbaOf(disk, chunk), chunk));
            disturb(chunk);
        }

        await Task.WhenAll(writes).WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
        disk.Flush();
    }

    public static void AssertAll(BlockClient disk, int chunks)
    {
        using BlockBuffer buffer = disk.Rent(ChunkBytes);
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            disk.Read(LbaOf(disk, chunk), buffer);
            Assert.True(buffer.Span.SequenceEqual(Pattern(chunk)), $"chunk {chunk} has other contents");
        }
    }

    public static async Task Write(BlockClient disk, ulong lba, int chunk)
    {
        using BlockBuffer buffer = await Rent(disk);
        Pattern(chunk).CopyTo(buffer.Span);
        await disk.WriteAsync(lba, buffer);
    }

    /// <summary>A read or write to be awaited among others.</summary>
    public static Task Ask(BlockClient disk, bool write, ulong lba, BlockBuffer buffer)
        => write
            ? disk.WriteAsync(lba, buffer, cancellation: TestContext.Current.CancellationToken).AsTask()
            : disk.ReadAsync(lba, buffer, TestContext.Current.CancellationToken).AsTask();

    public static byte[] Pattern(int chunk)
    {
        byte[] bytes = new byte[ChunkBytes];
        for (int i = 0; i < bytes.Length; i++) bytes[i] = (byte)((i * 13) + (chunk * 31) + (i >> 8));
        return bytes;
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
}
