using System.Collections.Concurrent;
using Microsoft.Win32.SafeHandles;
using Xinim.Block.Ports;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;

namespace Xinim.Block.Clients;

/// <summary>
/// A disk for everybody: any thread reads and writes blocks of any number, from buffers of the client's own memory that the device reaches directly.
/// A thread of the client's own works on a <see cref="BlockPort"/>. Every call is answered once: done, failed with the block, or cancelled.
/// What a cancelled request does to its buffer and to the disk is open until the buffer has gone back.
/// </summary>
/// <example><code>
/// using BlockClient disk = BlockClient.Open("disk0");
/// using BlockBuffer buffer = disk.Rent(4096);
/// await disk.ReadAsync(0, buffer);
/// </code></example>
public sealed class BlockClient : IDisposable
{
    private static readonly TimeSpan Nap = TimeSpan.FromSeconds(1);

    private readonly BlockPort _port;
    private readonly BlockPool _pool;
    private readonly SafeFileHandle _wake;
    private readonly Thread _thread;
    private readonly ConcurrentQueue<BlockTask> _new = new();
    private readonly ConcurrentQueue<Action> _posted = new();
    private readonly ConcurrentBag<BlockTask> _spare = [];
    private readonly List<BlockTask?> _running = [];
    private readonly Stack<int> _freeSlots = new();
    private readonly Queue<int> _unsubmitted = new();
    private Exception? _failure;
    private volatile bool _stopping;
    private int _sleeping;

    private BlockClient(BlockPort port, SafeFileHandle wake)
    {
        _port = port;
        _wake = wake;
        _pool = new BlockPool(port);
        Info = port.Info;
        _thread = new Thread(Pump) { IsBackground = true, Name = "block client" };
        _thread.Start();
    }

    /// <summary>The disk as it was when it was opened.</summary>
    public BlockDeviceInfo Info { get; }

    /// <summary>Drivers that this client has survived.</summary>
    public uint Recoveries => _port.Recoveries;

    /// <summary>Opens a disk of the daemon.</summary>
    /// <param name="device">Name such as <c>disk0</c>, or PCI address; of a disk on a controller <c>sata0.1</c>, with the number of its port.</param>
    /// <param name="socket">The daemon's socket; by default where the daemon listens by default.</param>
    /// <exception cref="BlockException">No such disk, it is in use, or it has no driver.</exception>
    /// <exception cref="Ipc.LinuxException">No daemon, or this user may not connect.</exception>
    public static BlockClient Open(string device, BlockPortOptions? options = null, string? socket = null)
    {
        SafeFileHandle wake = Descriptor.CreateEvent();
        try
        {
            return new BlockClient(BlockPort.Open(device, options, socket, wake), wake);
        }
        catch
        {
            wake.Dispose();
            throw;
        }
    }

    /// <summary>Memory of this client, in whole pages.</summary>
    /// <exception cref="BlockException">There is no such piece left.</exception>
    public BlockBuffer Rent(int bytes) => _pool.Rent(bytes);

    /// <summary>Reads as many blocks as the buffers hold, one after the other.</summary>
    /// <exception cref="BlockException">It failed; a <see cref="BlockIoException"/> says where.</exception>
    public ValueTask ReadAsync(ulong lba, BlockBuffer buffer, CancellationToken cancellation = default) => Start(BlockOperation.Read, lba, [buffer], false, cancellation);

    /// <inheritdoc cref="ReadAsync(ulong, BlockBuffer, CancellationToken)"/>
    public ValueTask ReadAsync(ulong lba, ReadOnlySpan<BlockBuffer> buffers, CancellationToken cancellation = default) => Start(BlockOperation.Read, lba, buffers, false, cancellation);

    /// <summary>Writes what the buffers hold.</summary>
    /// <param name="durable">It survives a loss of power when this is done: force unit access, or a flush where the device has no such thing.</param>
    /// <exception cref="BlockException">It failed; a <see cref="BlockIoException"/> says where.</exception>
    public ValueTask WriteAsync(ulong lba, BlockBuffer buffer, bool durable = false, CancellationToken cancellation = default) => Start(BlockOperation.Write, lba, [buffer], durable, cancellation);

    /// <inheritdoc cref="WriteAsync(ulong, BlockBuffer, bool, CancellationToken)"/>
    public ValueTask WriteAsync(ulong lba, ReadOnlySpan<BlockBuffer> buffers, bool durable = false, CancellationToken cancellation = default)
        => Start(BlockOperation.Write, lba, buffers, durable, cancellation);

    /// <summary>Everything that was written before survives a loss of power when this is done.</summary>
    public ValueTask FlushAsync(CancellationToken cancellation = default)
        => Info.Has(BlockFeatures.Flush) ? Start(BlockOperation.Flush, 0, 0, BlockFlags.None, false, default, cancellation) : ValueTask.CompletedTask;

    /// <summary>The contents of these blocks are not needed any more.</summary>
    public ValueTask DiscardAsync(ulong lba, ulong count, CancellationToken cancellation = default)
        => count == 0 ? ValueTask.CompletedTask : Start(BlockOperation.Discard, lba, count, BlockFlags.None, false, default, cancellation);

    /// <summary>These blocks are zeroes afterwards.</summary>
    /// <param name="mayUnmap">The device may give their space up, where it can.</param>
    public ValueTask WriteZeroesAsync(ulong lba, ulong count, bool mayUnmap = false, CancellationToken cancellation = default) => count == 0 ? ValueTask.CompletedTask
        : Start(BlockOperation.WriteZeroes, lba, count, mayUnmap && Info.Has(BlockFeatures.ZeroesMayUnmap) ? BlockFlags.MayUnmap : BlockFlags.None, false, default, cancellation);

    /// <summary>Waits for <see cref="ReadAsync(ulong, BlockBuffer, CancellationToken)"/>.</summary>
    public void Read(ulong lba, BlockBuffer buffer) => ReadAsync(lba, buffer).AsTask().GetAwaiter().GetResult();

    /// <summary>Waits for <see cref="WriteAsync(ulong, BlockBuffer, bool, CancellationToken)"/>.</summary>
    public void Write(ulong lba, BlockBuffer buffer, bool durable = false) => WriteAsync(lba, buffer, durable).AsTask().GetAwaiter().GetResult();

    /// <summary>Waits for <see cref="FlushAsync"/>.</summary>
    public void Flush() => FlushAsync().AsTask().GetAwaiter().GetResult();

    /// <summary>Switches the disk's volatile write cache, until this client is closed.</summary>
    /// <exception cref="BlockException">The device cannot, or has no driver at the moment.</exception>
    public void SetWriteCache(bool on) => Ask(port =>
    {
        port.SetWriteCache(on);
        return on;
    });

    /// <summary>Counters of the device since the daemon took it.</summary>
    public BlockStatistics GetStatistics() => Ask(port => port.GetStatistics());

    /// <summary>The disk as it is now.</summary>
    public BlockDeviceInfo GetInfo() => Ask(port => port.Info);

    /// <summary>Closes the connection. What is not answered fails.</summary>
    public void Dispose()
    {
        if (_stopping) return;
        _stopping = true;
        Descriptor.Signal(_wake);
        _thread.Join();
        _port.Dispose();
        _wake.Dispose();
    }

    private ValueTask Start(BlockOperation operation, ulong lba, ReadOnlySpan<BlockBuffer> buffers, bool durable, CancellationToken cancellation)
    {
        ulong bytes = 0;
        foreach (BlockBuffer buffer in buffers)
        {
            if (buffer.Length % Info.LogicalBlockBytes != 0) throw new ArgumentException($"a buffer of {buffer.Length} bytes; the disk has blocks of {Info.LogicalBlockBytes}", nameof(buffers));
            bytes += (ulong)buffer.Length;
        }

        if (bytes == 0) throw new ArgumentException("no buffers", nameof(buffers));
        bool fua = durable && Info.Has(BlockFeatures.Fua);
        return Start(operation, lba, bytes / Info.LogicalBlockBytes, fua ? BlockFlags.Fua : BlockFlags.None, durable && !fua && Info.Has(BlockFeatures.Flush), buffers, cancellation);
    }

    private ValueTask Start(BlockOperation operation, ulong lba, ulong count, BlockFlags flags, bool flushAfter, ReadOnlySpan<BlockBuffer> buffers, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        ThrowIfOver();
        BlockTask task = _spare.TryTake(out BlockTask? spare) ? spare : new BlockTask { OnReleased = _spare.Add };
        task.Begin(operation, lba, count, flags, flushAfter, buffers);
        ValueTask wait = task.Wait(cancellation);
        _new.Enqueue(task);
        if (Volatile.Read(ref _failure) is not null) FailNew();
        else WakeUp();
        return wait;
    }

    private T Ask<T>(Func<BlockPort, T> question)
    {
        TaskCompletionSource<T> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        ThrowIfOver();
        _posted.Enqueue(() =>
        {
            try
            {
                answer.SetResult(question(_port));
            }
            catch (BlockException exception)
            {
                answer.SetException(exception);
            }
        });
        Descriptor.Signal(_wake);
        // The pump may have ended between the look and the question.
        while (!answer.Task.Wait(Nap)) ThrowIfOver();
        return answer.Task.GetAwaiter().GetResult();
    }

    private void ThrowIfOver()
    {
        ObjectDisposedException.ThrowIf(_stopping, this);
        Exception? failure = Volatile.Read(ref _failure);
        if (failure is BlockDeviceChangedException) throw new BlockDeviceChangedException(failure.Message);
        if (failure is not null) throw new BlockException(failure.Message);
    }

    /// <summary>A system call only when the pump sleeps; the full fences of both sides leave no gap.</summary>
    private void WakeUp()
    {
        if (Interlocked.Exchange(ref _sleeping, 0) != 0) Descriptor.Signal(_wake);
    }

    private void Pump()
    {
        try
        {
            BlockResult[] results = new BlockResult[64];
            BlockPiece[] pieces = new BlockPiece[_port.MaxSegments];
            while (!_stopping)
            {
                while (_posted.TryDequeue(out Action? action)) action();
                TakeNew(pieces);
                _port.Commit();
                int count = _port.Reap(results);
                for (int i = 0; i < count; i++) OnResult(results[i]);
                if (count != 0) continue;
                Interlocked.Exchange(ref _sleeping, 1);
                if (_new.IsEmpty && _posted.IsEmpty && !_stopping) _port.Wait(Nap);
                Interlocked.Exchange(ref _sleeping, 0);
            }

            Fail(new BlockException("the client was closed"));
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            Fail(exception);
        }
    }

    private void TakeNew(Span<BlockPiece> pieces)
    {
        while (_new.TryDequeue(out BlockTask? task))
        {
            if (!_freeSlots.TryPop(out int slot))
            {
                slot = _running.Count;
                _running.Add(null);
            }

            _running[slot] = task;
            _unsubmitted.Enqueue(slot);
        }

        // In the order of the calls; the first that the port has no room for ends the round.
        while (_unsubmitted.TryPeek(out int next))
        {
            BlockTask task = _running[next]!;
            task.Submit(_port, (ulong)next, pieces);
            if (task.HasMore) return;
            _unsubmitted.Dequeue();
            if (task.IsDone) Finish(next, task);
        }
    }

    private void OnResult(in BlockResult result)
    {
        int slot = (int)result.Token;
        BlockTask task = _running[slot]!;
        task.OnResult(result);
        if (!task.IsDone) return;
        if (task.TurnIntoFlush()) _unsubmitted.Enqueue(slot);
        else Finish(slot, task);
    }

    private void Finish(int slot, BlockTask task)
    {
        _running[slot] = null;
        _freeSlots.Push(slot);
        task.Finish(null, _port.Name);
    }

    /// <summary>Nothing is answered any more, and nothing is begun: the device may reach the memory until the daemon has taken it back.</summary>
    private void Fail(Exception failure)
    {
        // A full fence: whoever begins a call after this look at the queue sees the failure.
        Interlocked.Exchange(ref _failure, failure);
        foreach (BlockTask? task in _running) task?.Finish(failure, _port.Name);
        FailNew();
    }

    private void FailNew()
    {
        while (_new.TryDequeue(out BlockTask? task)) task.Finish(_failure, _port.Name);
    }
}
