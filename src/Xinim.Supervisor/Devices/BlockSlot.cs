using Microsoft.Extensions.Logging;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Status;

namespace Xinim.Supervisor.Devices;

/// <summary>The client of a disk: one pool for both directions, and how it wants the write cache.</summary>
internal sealed class BlockSlot(ManagedDevice device, ILogger log) : ClientSlot(device, log, CounterNames)
{
    /// <summary>The words of <see cref="BlockStatistics"/>.</summary>
    private static readonly string[] CounterNames =
        ["reads", "readBytes", "writes", "writtenBytes", "flushes", "discards", "writeZeroes", "errors", "rejected", "interrupts", "doorbells"];

    private readonly ILogger _log = log;
    private uint? _writeCache;
    private bool? _writeCacheBefore;

    public BlockDeviceInfo Info { get; private set; }

    public override DeviceReport Describe(DeviceReport report) => report with { Block = BlockReport.Of(Info) };

    /// <summary>Switches the write cache, now and for every later driver of this client.</summary>
    public override void Answer(ChannelMessage question, Action<string?> answer)
    {
        if (question.Header.Type != (uint)ClientMessage.SetWriteCache) throw new ChannelException($"it sent message {question.Header.Type}, which no client of a disk sends");
        uint wanted = question.Get<uint>();
        if (wanted > 1) throw new ChannelException($"it wants the write cache to be {wanted}; there are 0 and 1");
        bool asked = Device.TryAsk(ControlMessage.SetWriteCache, wanted, default, reply =>
        {
            bool done = reply.Header.Type == (uint)ControlMessage.Done;
            if (done) _writeCache = wanted;
            answer(done ? null : PeerText.OneLine(reply));
        });
        if (!asked) answer($"{Device.Name} has no driver at the moment; ask again");
    }

    internal override string Adopt(ChannelMessage ready)
    {
        BlockDeviceInfo info = ready.Get<BlockDeviceInfo>();
        if (BlockReport.Problem(info) is { } problem) throw new ChannelException($"it describes a disk that cannot be: {problem}");
        Info = info;
        _writeCacheBefore ??= info.Has(BlockFeatures.WriteCache);
        return BlockReport.Describe(info);
    }

    internal override void OnDriverNews(ChannelMessage news)
    {
        if (news.Header.Type != (uint)ControlMessage.BlockChanged) throw new ChannelException($"an unasked message of type {news.Header.Type}");
        BlockDeviceInfo info = news.Get<BlockDeviceInfo>();
        if (BlockReport.Problem(info) is { } problem) throw new ChannelException($"it describes a disk that cannot be: {problem}");
        Info = info;
        Device.Events.Add(EventKind.Changed, BlockReport.Describe(info));
        Holder?.OnNews(ClientMessage.BlockChanged, Payload.Of(info));
    }

    protected override string? Plan(ChannelMessage message, out MemoryPlan plan)
    {
        OpenBlockMessage wish = message.Get<OpenBlockMessage>();
        plan = new MemoryPlan(
            [new PoolPlan("block pool", "xinim-block-pool", wish.PoolBytes, RegionAccess.ReadWrite)], new RingShape(wish.Submissions, wish.Completions, 0), BlockRings.Create);
        if (!IsRing(wish.Submissions) || !IsRing(wish.Completions))
            return $"ring capacities {wish.Submissions} and {wish.Completions}: powers of two from 2 to {BlockRings.MaxCapacity} are allowed";
        return wish.PoolBytes is 0 or > OpenBlockMessage.MaxPoolBytes ? $"a pool of {wish.PoolBytes} bytes; allowed are 1 to {OpenBlockMessage.MaxPoolBytes}" : null;
    }

    protected override byte[] OpenedMessage(ClientMemory memory) => Payload.Of(new OpenedBlockMessage
    {
        Rings = memory.Shape,
        RingsBytes = memory.RingsBytes,
        PoolBytes = (ulong)memory.Pools[0].Region.Size,
        Grant = memory.Pools[0].Grant.Handle,
        Info = Info,
    });

    protected override void RestoreWishes()
    {
        if (_writeCache is { } wanted) Switch(wanted);
    }

    protected override void ForgetWishes()
    {
        if (_writeCache is { } wanted && _writeCacheBefore is { } before && wanted != (before ? 1u : 0)) Switch(before ? 1u : 0);
        _writeCache = null;
    }

    private void Switch(uint wanted) => Device.TryAsk(ControlMessage.SetWriteCache, wanted, default, reply =>
    {
        if (reply.Header.Type != (uint)ControlMessage.Done) _log.LogError("{Device}: the driver refused to switch the write cache: {Reason}", Device.Name, PeerText.OneLine(reply));
    });

    private static bool IsRing(uint capacity) => capacity is >= 2 and <= BlockRings.MaxCapacity && uint.IsPow2(capacity);
}
