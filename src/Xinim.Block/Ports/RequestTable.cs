using System.Runtime.CompilerServices;
using Xinim.Ipc.Protocols;

namespace Xinim.Block.Ports;

/// <summary>
/// A client's view of what is outstanding: which requests there are, which of them the driver holds, and with what memory. A completion is looked
/// up here, so one for a request that the driver does not hold is noticed; what a dead driver held is posted again from here.
/// </summary>
internal sealed class RequestTable
{
    private readonly Request[] _requests;
    private readonly BlockPiece[] _pieces;
    private readonly uint[] _free;
    private readonly int _piecesEach;
    private readonly int _budget;
    private uint _freeCount;
    private ulong _sequence;

    public RequestTable(int depth, int piecesEach, int retryBudget)
    {
        _requests = new Request[depth];
        _pieces = new BlockPiece[depth * piecesEach];
        _free = new uint[depth];
        _piecesEach = piecesEach;
        _budget = retryBudget;
        for (uint i = 0; i < depth; i++) _free[i] = (uint)depth - 1 - i;
        _freeCount = (uint)depth;
    }

    /// <summary>Requests that are not answered yet.</summary>
    public int Outstanding => _requests.Length - (int)_freeCount;

    /// <summary>Of those, what the driver holds.</summary>
    public int WithDriver { get; private set; }

    public bool TryAdd(in BlockIo io, ReadOnlySpan<BlockPiece> pieces, out uint slot)
    {
        slot = 0;
        if (_freeCount == 0) return false;
        slot = _free[--_freeCount];
        ref Request request = ref _requests[slot];
        request.Io = io;
        request.Sequence = ++_sequence;
        request.Version++;
        request.Attempts = 0;
        request.PieceCount = pieces.Length;
        pieces.CopyTo(_pieces.AsSpan((int)slot * _piecesEach));
        return true;
    }

    public ref readonly BlockIo IoOf(uint slot) => ref _requests[slot].Io;

    public ReadOnlySpan<BlockPiece> PiecesOf(uint slot) => _pieces.AsSpan((int)slot * _piecesEach, _requests[slot].PieceCount);

    /// <summary>The driver is to hold it from now on.</summary>
    /// <returns>Its cookie: the slot, and which of the slot's requests it is.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Give(uint slot)
    {
        ref Request request = ref _requests[slot];
        request.WithDriver = true;
        WithDriver++;
        return ((ulong)request.Version << 32) | slot;
    }

    /// <summary>The driver answers a request: it is done with.</summary>
    /// <returns>False where the driver holds no such request.</returns>
    public bool TryFinish(in BlockCompletion completion, out BlockResult result)
    {
        uint slot = (uint)completion.Cookie;
        result = default;
        if (slot >= (uint)_requests.Length || !_requests[slot].WithDriver || _requests[slot].Version != (uint)(completion.Cookie >> 32)) return false;
        ref readonly BlockIo io = ref _requests[slot].Io;
        bool said = completion.FailedCount != 0 && completion.FailedLba - io.Lba < io.Count;
        result = Finish(slot, completion.Status, said ? completion.FailedLba : io.Lba);
        return true;
    }

    /// <summary>Answers a request without the driver.</summary>
    public BlockResult Finish(uint slot, BlockStatus status, ulong failedLba)
    {
        ref Request request = ref _requests[slot];
        if (request.WithDriver) WithDriver--;
        request.WithDriver = false;
        request.Sequence = 0;
        _free[_freeCount++] = slot;
        return new BlockResult(request.Io.Token, status, failedLba, request.Attempts);
    }

    /// <summary>Everything that is outstanding, in the order in which it was asked for.</summary>
    public List<uint> InOrder()
        => [.. Enumerable.Range(0, _requests.Length).Where(slot => _requests[slot].Sequence != 0).OrderBy(slot => _requests[slot].Sequence).Select(slot => (uint)slot)];

    /// <summary>Its driver is dead: the next one gets it.</summary>
    /// <returns>False where that has happened too often.</returns>
    public bool TakeBack(uint slot)
    {
        ref Request request = ref _requests[slot];
        if (!request.WithDriver) return true;
        request.WithDriver = false;
        // A former driver's answer names another request.
        request.Version++;
        WithDriver--;
        return ++request.Attempts <= _budget;
    }

    private struct Request
    {
        public BlockIo Io;

        /// <summary>Order of asking; 0 where the slot is free.</summary>
        public ulong Sequence;
        public uint Version;
        public int Attempts;
        public int PieceCount;
        public bool WithDriver;
    }
}
