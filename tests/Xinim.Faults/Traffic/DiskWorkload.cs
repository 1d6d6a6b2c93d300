using System.Diagnostics;
using Xinim.Block.Ports;

namespace Xinim.Faults.Traffic;

/// <summary>
/// A disk's client: writes blocks and reads them back over a <see cref="BlockPort"/>, and knows what each was written last. Counts are of requests: writes go out,
/// reads come in. A disk loses nothing: what is asked is answered, by this driver or another one.
/// </summary>
internal sealed class DiskWorkload : Workload
{
    private const int MaxBlockBytes = 4096;
    private const int PieceBytes = DiskStripe.MostBlocks * MaxBlockBytes;
    private static readonly TimeSpan s_drainLimit = TimeSpan.FromSeconds(5);

    private readonly string _socket;
    private readonly WorkloadOptions _options;
    private readonly BlockResult[] _results = new BlockResult[64];
    private readonly uint[] _askedOf;
    private DiskStripe[] _stripes = [];
    private StreamCounts _tx;
    private StreamCounts _rx;
    private int _blockBytes;
    private bool _scan;
    private int _turn;
    private double _credit;
    private long _last;

    public DiskWorkload(string device, string socket, WorkloadOptions options)
        : base(device)
    {
        (_socket, _options) = (socket, options);
        _askedOf = new uint[options.Window];
        Begin();
    }

    /// <summary>Bytes of a disk with blocks of 512 that has room for it.</summary>
    public static long DiskBytes => 1 << 20;

    /// <summary>Of the disk, from its start on, that this client writes.</summary>
    public long Bytes => (long)_stripes.Length * DiskStripe.Blocks * _blockBytes;

    protected override StreamCounts TxCounts => _tx;

    protected override StreamCounts RxCounts => _rx;

    public override bool Scrub(TimeSpan limit)
    {
        lock (Sync) _scan = true;
        return Await(() => !_scan && Array.TrueForAll(_stripes, stripe => stripe.IsScanned), limit);
    }

    /// <summary>Compares the first <see cref="Bytes"/> of the disk with what the client was told; when it has ended.</summary>
    /// <returns>How many blocks could be compared, and those that differ.</returns>
    public (int Count, IReadOnlyList<ulong> Missing) Compare(ReadOnlySpan<byte> disk)
    {
        List<ulong> missing = [];
        int count = 0;
        foreach (DiskStripe stripe in _stripes) count += stripe.Compare(disk, missing);
        return (count, missing);
    }

    protected override void Live()
    {
        using BlockPort port = BlockPort.Open(
            Device,
            // A request is what kills drivers here, all the time.
            new BlockPortOptions { PoolBytes = (int)_options.Window * PieceBytes, Depth = (int)_options.Window, RetryBudget = int.MaxValue, StallLimit = WorkloadOptions.StallLimit },
            _socket);
        if (port.Info.LogicalBlockBytes > MaxBlockBytes || port.Info.Blocks < (ulong)_options.Window * DiskStripe.Blocks)
            throw new CampaignException($"{Device} has {port.Info.Blocks} blocks of {port.Info.LogicalBlockBytes} bytes; a campaign takes {_options.Window * DiskStripe.Blocks} blocks of at most {MaxBlockBytes}");
        Renew((int)port.Info.LogicalBlockBytes);
        Forget();
        try
        {
            while (!Stopping) Turn(port);
            Drain(port);
        }
        catch (Exception exception) when (IsClientError(exception))
        {
            NoteError(exception);
        }
    }

    /// <summary>Of what an earlier client had under way nobody knows whether it was done.</summary>
    private void Renew(int blockBytes)
    {
        lock (Sync)
        {
            _blockBytes = blockBytes;
            if (_stripes.Length == 0) _stripes = [.. Enumerable.Range(0, (int)_options.Window).Select(number => new DiskStripe(number, blockBytes))];
            foreach (DiskStripe stripe in _stripes) stripe.Reset();
        }

        _last = Stopwatch.GetTimestamp();
    }

    private void Turn(BlockPort port)
    {
        Attend(port.Generation, () => _ = port.GetStatistics());
        Submit(port);
        port.Commit();
        if (!Reap(port)) port.Wait(Idle);
    }

    private void Submit(BlockPort port)
    {
        long now = Stopwatch.GetTimestamp();
        _credit = Math.Min(_stripes.Length, _credit + (2 * _options.Rate * Stopwatch.GetElapsedTime(_last, now).TotalSeconds));
        _last = now;
        lock (Sync)
        {
            if (_scan) foreach (DiskStripe stripe in _stripes) stripe.Scan();
            _scan = false;
            // In turn: where credit is short, all of them get some.
            for (int tried = 0; tried < _stripes.Length && (_credit >= 1 || _options.Rate <= 0); tried++)
            {
                _turn = (_turn + 1) % _stripes.Length;
                Submit(port, _turn);
            }
        }
    }

    private void Submit(BlockPort port, int number)
    {
        DiskStripe stripe = _stripes[number];
        if (stripe.Busy) return;
        _credit--;
        BlockIo io = stripe.Next(MemoryOf(port, number));
        if (!port.TrySubmit(io, [new BlockPiece((uint)(number * PieceBytes), stripe.Bytes)])) throw new InvalidOperationException($"the port refuses request {number} of {_stripes.Length}");
        _askedOf[number] = port.Generation;
        if (stripe.Wrote) _tx = _tx with { Sent = _tx.Sent + 1 };
        else _rx = _rx with { Sent = _rx.Sent + 1 };
    }

    private bool Reap(BlockPort port)
    {
        int count = port.Reap(_results);
        for (int i = 0; i < count; i++) Take(port, _results[i]);
        return count != 0;
    }

    private void Take(BlockPort port, in BlockResult result)
    {
        int number = (int)result.Token;
        DiskStripe stripe = _stripes[number];
        DiskVerdict verdict;
        lock (Sync)
        {
            verdict = stripe.Finish(result.Status, MemoryOf(port, number));
            if (stripe.Wrote) _tx = _tx.With(verdict);
            else _rx = _rx.With(verdict);
            Monitor.PulseAll(Sync);
        }

        // What was asked of the driver before may have been its answer, left behind.
        if (verdict != DiskVerdict.Good || _askedOf[number] != port.Generation) return;
        if (stripe.Wrote) NoteSent(Stopwatch.GetTimestamp());
        else NoteReceived();
    }

    private void Drain(BlockPort port)
    {
        long start = Stopwatch.GetTimestamp();
        while (port.Outstanding != 0 && Stopwatch.GetElapsedTime(start) < s_drainLimit)
        {
            if (!Reap(port)) port.Wait(Idle);
        }
    }

    private static Span<byte> MemoryOf(BlockPort port, int number) => port.Memory((uint)(number * PieceBytes), PieceBytes);
}
