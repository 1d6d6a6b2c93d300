using Xinim.Block.Ports;
using Xinim.Ipc.Protocols;

namespace Xinim.Faults.Traffic;

/// <summary>
/// Blocks that follow each other and one request at a time to them: written, read back, and remembered. What came back wrong, or was not written for sure, is
/// written again before it is read.
/// </summary>
/// <param name="number">Token of its requests.</param>
/// <param name="blockBytes">Of a logical block.</param>
internal sealed class DiskStripe(int number, int blockBytes)
{
    /// <summary>Its own.</summary>
    public const int Blocks = 32;

    /// <summary>Of a request at the most.</summary>
    public const int MostBlocks = 8;

    private readonly ulong _first = (ulong)number * Blocks;
    private readonly uint[] _versions = new uint[Blocks];
    private readonly bool[] _doubtful = new bool[Blocks];
    private readonly byte[] _expected = new byte[blockBytes];
    private readonly Random _random = new(number);
    private int _from;
    private int _count;
    private int _scanned = Blocks;
    private bool _wrote;

    /// <summary>A request of its is under way.</summary>
    public bool Busy { get; private set; }

    /// <summary>The last request was a write.</summary>
    public bool Wrote => _wrote;

    /// <summary>Every block was read since <see cref="Scan"/>.</summary>
    public bool IsScanned => _scanned >= Blocks && Array.IndexOf(_doubtful, true) < 0;

    /// <summary>Nothing is known of what the disk holds.</summary>
    public void Reset()
    {
        Busy = false;
        Array.Fill(_doubtful, true);
    }

    /// <summary>Reads every block next, from the first on.</summary>
    public void Scan() => _scanned = 0;

    /// <summary>The next request.</summary>
    /// <param name="memory">Room for <see cref="MostBlocks"/>; filled for a write.</param>
    public BlockIo Next(Span<byte> memory)
    {
        Busy = true;
        Choose();
        if (_wrote)
        {
            for (int i = 0; i < _count; i++) TestBlock.Fill(Block(memory, i), _first + (ulong)(_from + i), ++_versions[_from + i]);
        }
        else
        {
            // What a driver leaves unread shows.
            memory[..(_count * blockBytes)].Clear();
        }

        return new BlockIo((ulong)number, _wrote ? BlockOperation.Write : BlockOperation.Read, _first + (ulong)_from, (uint)_count);
    }

    /// <summary>The request's bytes.</summary>
    public uint Bytes => (uint)(_count * blockBytes);

    /// <summary>The request is answered.</summary>
    /// <returns>The worst of what its blocks are; of a write, or a read that failed, whether it was done.</returns>
    public DiskVerdict Finish(BlockStatus status, Span<byte> memory)
    {
        Busy = false;
        DiskVerdict worst = status == BlockStatus.Ok ? DiskVerdict.Good : DiskVerdict.Damaged;
        for (int i = 0; i < _count; i++)
        {
            int block = _from + i;
            DiskVerdict verdict = _wrote || status != BlockStatus.Ok ? worst : TestBlock.Check(Block(memory, i), _first + (ulong)block, _versions[block], _expected);
            _doubtful[block] = verdict != DiskVerdict.Good;
            if (verdict > worst) worst = verdict;
        }

        if (!_wrote && _from == _scanned) _scanned += _count;
        return worst;
    }

    /// <summary>Compares the disk with what is known for sure: of a write that is under way, or failed, nothing is.</summary>
    /// <param name="disk">All of it.</param>
    /// <param name="missing">Gets the blocks that do not hold what was acknowledged last.</param>
    /// <returns>Blocks compared.</returns>
    public int Compare(ReadOnlySpan<byte> disk, List<ulong> missing)
    {
        int compared = 0;
        for (int block = 0; block < Blocks; block++)
        {
            if (_doubtful[block] || (Busy && _wrote && block >= _from && block < _from + _count)) continue;
            compared++;
            ulong lba = _first + (ulong)block;
            if (TestBlock.Check(disk.Slice((int)lba * blockBytes, blockBytes), lba, _versions[block], _expected) != DiskVerdict.Good) missing.Add(lba);
        }

        return compared;
    }

    private void Choose()
    {
        int doubtful = Array.IndexOf(_doubtful, true);
        if (doubtful >= 0 || (_scanned >= Blocks && !_wrote))
        {
            _wrote = true;
            _from = doubtful >= 0 ? doubtful : _random.Next(Blocks);
            _count = _random.Next(1, Math.Min(MostBlocks, Blocks - _from) + 1);
            return;
        }

        _wrote = false;
        _from = _scanned < Blocks ? _scanned : _random.Next(Blocks);
        _count = _scanned < Blocks ? Math.Min(MostBlocks, Blocks - _from) : _random.Next(1, Math.Min(MostBlocks, Blocks - _from) + 1);
    }

    private Span<byte> Block(Span<byte> memory, int index) => memory.Slice(index * blockBytes, blockBytes);
}
