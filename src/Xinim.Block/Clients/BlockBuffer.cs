namespace Xinim.Block.Clients;

/// <summary>
/// Memory that the disk reads from and writes to. Dispose of it to give it back: if a request still uses it (one that was cancelled, say), it
/// goes back when that is answered, and not before.
/// </summary>
public sealed class BlockBuffer : IDisposable
{
    private readonly BlockPool _pool;
    private int _uses = 1;
    private int _disposed;

    internal BlockBuffer(BlockPool pool, uint offset, int length)
    {
        _pool = pool;
        Offset = offset;
        Length = length;
    }

    /// <summary>Bytes.</summary>
    public int Length { get; }

    /// <summary>The contents. Meant to be left alone while a request uses them.</summary>
    /// <exception cref="ObjectDisposedException">It was given back.</exception>
    public Span<byte> Span
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed != 0, this);
            return _pool.Memory(Offset, Length);
        }
    }

    internal uint Offset { get; }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0) Release();
    }

    /// <summary>A request begins to use it.</summary>
    internal void Use()
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        Interlocked.Increment(ref _uses);
    }

    internal void Release()
    {
        if (Interlocked.Decrement(ref _uses) == 0) _pool.Return(this);
    }
}
