using System.Threading.Tasks.Sources;
using Xinim.Block.Ports;
using Xinim.Ipc.Protocols;

namespace Xinim.Block.Clients;

/// <summary>
/// One call of a <see cref="BlockClient"/> on its way: cut into requests that the device takes, answered when all of them are. Used again for
/// later calls. The pump's thread works on it; the caller only waits for it, or gives up waiting.
/// </summary>
internal sealed class BlockTask : IValueTaskSource
{
    private readonly List<BlockBuffer> _buffers = [];
    private ManualResetValueTaskSourceCore<bool> _source = new() { RunContinuationsAsynchronously = true };
    private CancellationTokenRegistration _registration;
    private int _answered;
    private int _buffer;
    private uint _bufferOffset;
    private ulong _next;
    private ulong _left;
    private int _outstanding;
    private BlockStatus _status;
    private ulong _failedLba;
    private (BlockOperation Operation, ulong Lba, ulong Count) _asked;

    public BlockOperation Operation { get; private set; }

    public BlockFlags Flags { get; private set; }

    /// <summary>A flush follows when the data is written.</summary>
    public bool FlushAfter { get; private set; }

    /// <summary>Nothing of it is with the port, and nothing more will be.</summary>
    public bool IsDone => _outstanding == 0 && !HasMore;

    /// <summary>There is something to submit.</summary>
    public bool HasMore { get; private set; }

    public Action<BlockTask>? OnReleased { get; set; }

    public void Begin(BlockOperation operation, ulong lba, ulong count, BlockFlags flags, bool flushAfter, ReadOnlySpan<BlockBuffer> buffers)
    {
        foreach (BlockBuffer buffer in buffers)
        {
            buffer.Use();
            _buffers.Add(buffer);
        }

        _asked = (operation, lba, count);
        (Operation, Flags, FlushAfter) = (operation, flags, flushAfter);
        (_next, _left, _buffer, _bufferOffset) = (lba, count, 0, 0);
        (_status, _failedLba, _outstanding, _answered) = (BlockStatus.Ok, 0, 0, 0);
        HasMore = true;
    }

    public ValueTask Wait(CancellationToken cancellation)
    {
        ValueTask task = new(this, _source.Version);
        if (cancellation.CanBeCanceled)
            _registration = cancellation.UnsafeRegister(static (state, token) => ((BlockTask)state!).Answer(new OperationCanceledException(token)), this);
        return task;
    }

    /// <summary>Submits as much as the port takes.</summary>
    public void Submit(BlockPort port, ulong token, Span<BlockPiece> pieces)
    {
        while (HasMore)
        {
            // Somebody who does not wait any more needs no more of it.
            if (_answered != 0 || _status != BlockStatus.Ok)
            {
                HasMore = false;
                return;
            }

            (int buffer, uint offset) = (_buffer, _bufferOffset);
            ulong count = Cut(port, pieces, out int used);
            if (!port.TrySubmit(new BlockIo(token, Operation, _next, (uint)count, Flags), pieces[..used]))
            {
                (_buffer, _bufferOffset) = (buffer, offset);
                return;
            }

            _outstanding++;
            _next += count;
            _left -= count;
            HasMore = _left != 0;
        }
    }

    /// <summary>A request of it is answered.</summary>
    public void OnResult(in BlockResult result)
    {
        _outstanding--;
        if (result.Status == BlockStatus.Ok || (_status != BlockStatus.Ok && result.FailedLba >= _failedLba)) return;
        (_status, _failedLba) = (result.Status, result.FailedLba);
    }

    /// <summary>The data is written; now it becomes durable.</summary>
    /// <returns>False where that is not wanted, or nothing was written.</returns>
    public bool TurnIntoFlush()
    {
        if (!FlushAfter || _status != BlockStatus.Ok || _answered != 0) return false;
        (Operation, Flags, FlushAfter, HasMore, _next, _left) = (BlockOperation.Flush, BlockFlags.None, false, true, 0, 0);
        return true;
    }

    /// <summary>Answers the caller, who may have given up, and gives back what was used.</summary>
    /// <param name="disk">For messages.</param>
    public void Finish(Exception? failure, string disk)
    {
        foreach (BlockBuffer buffer in _buffers) buffer.Release();
        _buffers.Clear();
        HasMore = false;
        Answer(failure ?? (_status == BlockStatus.Ok ? null
            : new BlockIoException($"{disk}: {Describe()}: {_status}", _status, _failedLba)));
        MaybeRelease();
    }

    void IValueTaskSource.GetResult(short token)
    {
        try
        {
            _source.GetResult(token);
        }
        finally
        {
            // Waits for a callback that is running: it must not find the next call here.
            _registration.Dispose();
            MaybeRelease();
        }
    }

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _source.OnCompleted(continuation, state, token, flags);

    private string Describe()
    {
        string what = _asked.Operation == BlockOperation.WriteZeroes ? "zeroing" : _asked.Operation.ToString().ToLowerInvariant();
        if (_asked.Count == 0) return $"{what} failed";
        string where = $"{what} of {_asked.Count} blocks at block {_asked.Lba}";
        return Operation == BlockOperation.Flush ? $"the flush after {where} failed" : $"{where} failed at {_failedLba}";
    }

    private int _released;

    /// <summary>Both the pump and the caller are through with it: it can be used again.</summary>
    private void MaybeRelease()
    {
        if (Interlocked.Increment(ref _released) != 2) return;
        _released = 0;
        _registration = default;
        _source.Reset();
        OnReleased?.Invoke(this);
    }

    private void Answer(Exception? failure)
    {
        if (Interlocked.Exchange(ref _answered, 1) != 0) return;
        if (failure is null) _source.SetResult(true);
        else _source.SetException(failure);
    }

    /// <summary>The next request: as many blocks as the device takes at a time, in as many pieces.</summary>
    /// <returns>Blocks.</returns>
    private ulong Cut(BlockPort port, Span<BlockPiece> pieces, out int used)
    {
        Ipc.Protocols.BlockDeviceInfo info = port.Info;
        used = 0;
        if (Operation == BlockOperation.Flush) return 0;
        if (Operation == BlockOperation.Discard) return Math.Min(_left, Math.Max(info.MaxDiscardBlocks, 1));
        if (Operation == BlockOperation.WriteZeroes) return Math.Min(_left, Math.Max(info.MaxZeroesBlocks, 1));
        uint block = info.LogicalBlockBytes;
        uint room = (uint)Math.Min(_left * block, info.MaxRequestBytes / block * block);
        uint got = 0;
        while (got < room && used < port.MaxSegments)
        {
            BlockBuffer buffer = _buffers[_buffer];
            uint length = Math.Min(Math.Min((uint)buffer.Length - _bufferOffset, room - got), info.MaxSegmentBytes / block * block);
            pieces[used++] = new BlockPiece(buffer.Offset + _bufferOffset, length);
            got += length;
            _bufferOffset += length;
            if (_bufferOffset != buffer.Length) continue;
            _buffer++;
            _bufferOffset = 0;
        }

        return got / block;
    }
}
