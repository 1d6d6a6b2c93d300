using System.Diagnostics;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;

namespace Xinim.Block.Ports;

/// <summary>From one generation of drivers to the next.</summary>
public sealed partial class BlockPort
{
    /// <summary>This generation is over: takes what it still answered, then waits, without blocking, for the next one.</summary>
    private void Recover()
    {
        if (_rings is { } old)
        {
            SaveAnswers(old);
            // Of a driver that is gone the daemon knows that; one that lives has closed what only the daemon may close.
            if (_rings is not null) Distrust("its rings were closed, and not by the daemon");
        }

        HandleMessages();
        if (_rings is null && _table.Outstanding != 0 && Stopwatch.GetElapsedTime(_since) > _options.RecoveryLimit)
            throw Lose(new BlockException($"no driver for {_options.RecoveryLimit.TotalSeconds:0} s; {_table.Outstanding} requests are not answered"));
    }

    /// <summary>
    /// The driver lives and returns nonsense: nothing of its rings is looked at any more, its supervisor is told, and its successor gets what
    /// it held. The caller notices nothing but time.
    /// </summary>
    private void Distrust(string reason)
    {
        _control.Tell(ClientMessage.ReportDriver, Generation, reason);
        _rings = null;
        _queued = 0;
        _since = Stopwatch.GetTimestamp();
    }

    /// <summary>What a dead driver answered is answered. One that died of corrupting memory may have left nonsense: that ends the taking, not the client.</summary>
    private void SaveAnswers(BlockRings.ClientEnd old)
    {
        Span<BlockResult> batch = stackalloc BlockResult[(int)Batch];
        int count;
        while (_rings is not null && (count = ReapFrom(old, batch)) != 0)
        {
            foreach (BlockResult result in batch[..count]) _late.Enqueue(result);
        }
    }

    private void HandleMessages()
    {
        while (_control.TryReceive() is { } message) Handle(message);
        if (_rings is not null || _next is not { } next) return;
        _next = null;
        using (next) Reopen(next);
    }

    private void Handle(ChannelMessage message)
    {
        if (message.Header.Type == (uint)ClientMessage.Reopened)
        {
            // Kept until the old rings are empty; of several generations that passed meanwhile the last one counts.
            _next?.Dispose();
            _next = message;
            return;
        }

        using ChannelMessage news = message;
        Info = (ClientMessage)news.Header.Type switch
        {
            ClientMessage.BlockChanged => news.Get<BlockDeviceInfo>(),
            ClientMessage.Replaced => throw Lose(new BlockDeviceChangedException(news.Text)),
            ClientMessage.Closed => throw Lose(new BlockException(news.Text)),
            _ => throw Lose(new BlockException($"the daemon sent message {news.Header.Type}, which is unknown here")),
        };
    }

    private void Reopen(ChannelMessage message)
    {
        OpenedBlockMessage what = message.Get<OpenedBlockMessage>();
        if (!what.Info.IsSameDisk(Info))
        {
            throw Lose(new BlockDeviceChangedException(
                $"the disk is another one: serial '{Info.Serial}', {Info.Blocks} blocks of {Info.LogicalBlockBytes} before, '{what.Info.Serial}', {what.Info.Blocks} of {what.Info.LogicalBlockBytes} now; open it again"));
        }

        _ringRegion.Dispose();
        _ringRegion = SharedRegion.Open(message.TakeHandle(0), what.RingsBytes, RegionAccess.ReadWrite);
        Info = what.Info;
        Adopt(what.Rings);
        Recoveries++;
        _waiting.Clear();
        foreach (uint slot in _table.InOrder())
        {
            if (_table.TakeBack(slot)) _waiting.Enqueue(slot);
            else _late.Enqueue(_table.Finish(slot, BlockStatus.IoError, _table.IoOf(slot).Lba));
        }

        _flushing = false;
        Pump();
    }

    /// <summary>
    /// Posts what waits, in order. A flush that is repeated goes when all before it is answered, and what follows it goes when it is answered itself:
    /// its first asker may rely on that order having been kept by the driver that died.
    /// </summary>
    private void Pump()
    {
        if (_flushing && _table.WithDriver != 0) return;
        _flushing = false;
        while (_rings is not null && _waiting.TryPeek(out uint slot))
        {
            bool flush = _table.IoOf(slot).Operation == BlockOperation.Flush;
            if (flush && _table.WithDriver != 0) break;
            _waiting.Dequeue();
            Post(slot);
            _flushing = flush;
            if (flush) break;
        }

        if (_rings is not null) Commit();
    }

    private void Adopt(RingShape shape)
    {
        _rings = new BlockRings.ClientEnd(_ringRegion, shape, _ownBell, _driverBell);
        _queued = 0;
        _since = Stopwatch.GetTimestamp();
        Generation = shape.Generation;
        if (shape.RxCapacity < _options.Depth) throw Lose(new BlockException("the daemon gave smaller rings than were asked for"));
    }

    /// <summary>Notices a driver that answers its supervisor and no requests: only its client can.</summary>
    private void CheckStall()
    {
        if (_rings is null) return;
        if (_table.WithDriver == 0 || _answers != _answersSeen)
        {
            (_answersSeen, _since) = (_answers, Stopwatch.GetTimestamp());
            return;
        }

        if (Stopwatch.GetElapsedTime(_since) > _options.StallLimit) Distrust("it finishes none of the requests that it was given");
    }

    private BlockException Lose(BlockException failure)
    {
        _rings = null;
        return _failure ??= failure;
    }
}
