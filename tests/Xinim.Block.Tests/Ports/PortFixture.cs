using System.Diagnostics;
using Xinim.Block.Ports;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block;

namespace Xinim.Block.Tests.Ports;

/// <summary>A port on a disk of the test's own.</summary>
internal sealed class PortFixture : IDisposable
{
    /// <summary>Reached only when something is broken.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public PortFixture(BlockPortOptions? options = null)
    {
        Port = BlockPort.Open("disk0", options ?? new BlockPortOptions { PoolBytes = 1 << 20, Depth = 32 }, Daemon.Socket);
    }

    public FakeDiskDaemon Daemon { get; } = new();

    public BlockPort Port { get; }

    /// <summary>Results so far, in the order in which they came.</summary>
    public List<BlockResult> Results { get; } = [];

    public void Submit(BlockOperation operation, ulong lba, uint count, ulong token = 0, uint offset = 0, BlockFlags flags = BlockFlags.None)
    {
        BlockPiece[] pieces = operation is BlockOperation.Read or BlockOperation.Write ? [new BlockPiece(offset, count * 512)] : [];
        Assert.True(Port.TrySubmit(new BlockIo(token, operation, lba, count, flags), pieces));
    }

    /// <summary>Works until so many results are there.</summary>
    public BlockResult[] Await(int count)
    {
        Until(() => Results.Count >= count, $"{count} results are there");
        BlockResult[] results = [.. Results];
        Results.Clear();
        return results;
    }

    public BlockStatus Do(BlockOperation operation, ulong lba, uint count, uint offset = 0)
    {
        Submit(operation, lba, count, 1, offset);
        return Await(1).Single().Status;
    }

    public void Until(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        BlockResult[] batch = new BlockResult[8];
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Limit, $"waited in vain until {what}");
            Port.Wait(TimeSpan.FromMilliseconds(5));
            int count = Port.Reap(batch);
            Results.AddRange(batch[..count]);
        }
    }

    public void Dispose()
    {
        Port.Dispose();
        Daemon.Dispose();
    }
}
