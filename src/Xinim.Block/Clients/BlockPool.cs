using Xinim.Block.Ports;

namespace Xinim.Block.Clients;

/// <summary>Cuts a port's memory into buffers of whole pages, first fit. Any thread.</summary>
internal sealed class BlockPool(BlockPort port)
{
    private const int PageBytes = 4096;
    private readonly Lock _lock = new();
    private readonly bool[] _used = new bool[port.PoolBytes / PageBytes];
    private int _hint;

    public Span<byte> Memory(uint offset, int length) => port.Memory(offset, length);

    /// <exception cref="BlockException">There is no such piece left.</exception>
    public BlockBuffer Rent(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        int pages = (int)(((long)bytes + PageBytes - 1) / PageBytes);
        lock (_lock)
        {
            int first = Find(pages, _hint);
            if (first < 0) first = Find(pages, 0);
            if (first < 0) throw new BlockException($"no {bytes} bytes in one piece are left of the pool of {port.PoolBytes}; give buffers back, or ask for a larger pool");
            _used.AsSpan(first, pages).Fill(true);
            _hint = first + pages;
            return new BlockBuffer(this, (uint)(first * PageBytes), bytes);
        }
    }

    public void Return(BlockBuffer buffer)
    {
        lock (_lock)
        {
            int first = (int)(buffer.Offset / PageBytes);
            _used.AsSpan(first, (buffer.Length + PageBytes - 1) / PageBytes).Clear();
            _hint = Math.Min(_hint, first);
        }
    }

    private int Find(int pages, int from)
    {
        int run = 0;
        for (int page = from; page < _used.Length; page++)
        {
            run = _used[page] ? 0 : run + 1;
            if (run == pages) return page - pages + 1;
        }

        return -1;
    }
}
