using System.Diagnostics;
using Xinim.Block.Ports;
using Xinim.Ipc.Measurement;
using Xinim.Ipc.Protocols;

namespace Xinim.Block.Measurement;

/// <summary>What to measure.</summary>
public sealed record BlockLoadOptions
{
    public bool Write { get; init; }

    /// <summary>One after the other, from the start, instead of anywhere.</summary>
    public bool Sequential { get; init; }

    /// <summary>Bytes a request, a multiple of the disk's blocks.</summary>
    public uint RequestBytes { get; init; } = 4096;

    /// <summary>Requests outstanding at a time.</summary>
    public int Depth { get; init; } = 32;

    public TimeSpan Time { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Of the places.</summary>
    public int Seed { get; init; } = 1;
}

/// <summary>What was measured, and within what time so much of all requests were answered.</summary>
public sealed record BlockLoadReport(ulong Requests, ulong Bytes, ulong Errors, TimeSpan Elapsed, TimeSpan P50, TimeSpan P99, TimeSpan P999, TimeSpan Max, uint Recoveries);

/// <summary>Keeps a disk busy with equal requests and measures what it does. One thread, which sleeps while the disk works.</summary>
public sealed class BlockLoad
{
    private static readonly TimeSpan Nap = TimeSpan.FromMilliseconds(100);

    private readonly BlockPort _port;
    private readonly BlockLoadOptions _options;
    private readonly LatencyHistogram _latencies = new();
    private readonly long[] _since;
    private readonly Random _random;
    private readonly uint _blocks;
    private readonly ulong _places;
    private ulong _next;
    private ulong _errors;

    /// <param name="port">With a pool of depth times request bytes, and that depth at the least.</param>
    /// <exception cref="BlockException">The disk has no such requests.</exception>
    public BlockLoad(BlockPort port, BlockLoadOptions options)
    {
        BlockDeviceInfo info = port.Info;
        if (options.RequestBytes == 0 || options.RequestBytes % info.LogicalBlockBytes != 0 || options.RequestBytes > Math.Min(info.MaxRequestBytes, info.MaxSegmentBytes) || options.RequestBytes > info.Bytes)
            throw new BlockException($"requests of {options.RequestBytes} bytes; this disk takes multiples of {info.LogicalBlockBytes} up to {Math.Min(Math.Min(info.MaxRequestBytes, info.MaxSegmentBytes), info.Bytes)}");
        _port = port;
        _options = options;
        _since = new long[options.Depth];
        _random = new Random(options.Seed);
        _blocks = options.RequestBytes / info.LogicalBlockBytes;
        _places = info.Blocks / _blocks;
        if (options.Write) new Random(options.Seed).NextBytes(port.Memory(0, (int)(options.RequestBytes * (uint)options.Depth)));
    }

    /// <summary>Runs for its time, or until it is stopped; what is outstanding then is waited for.</summary>
    /// <exception cref="BlockException">The disk is lost.</exception>
    public BlockLoadReport Run(CancellationToken stop)
    {
        BlockResult[] results = new BlockResult[64];
        long start = Stopwatch.GetTimestamp();
        TimeSpan end = _options.Time;
        for (int slot = 0; slot < _options.Depth; slot++) Submit(slot);
        while (_port.Outstanding != 0)
        {
            _port.Commit();
            int count = _port.Reap(results);
            bool goesOn = !stop.IsCancellationRequested && Stopwatch.GetElapsedTime(start) < end;
            for (int i = 0; i < count; i++) OnResult(results[i], goesOn);
            if (count == 0) _port.Wait(Nap);
        }

        return new BlockLoadReport(
            _latencies.Count, _latencies.Count * _options.RequestBytes, _errors, Stopwatch.GetElapsedTime(start), _latencies.Percentile(0.5), _latencies.Percentile(0.99),
            _latencies.Percentile(0.999), _latencies.Max, _port.Recoveries);
    }

    private void OnResult(in BlockResult result, bool goesOn)
    {
        int slot = (int)result.Token;
        if (result.Status == BlockStatus.Ok) _latencies.Add(Stopwatch.GetTimestamp() - _since[slot]);
        else _errors++;
        if (goesOn) Submit(slot);
    }

    private void Submit(int slot)
    {
        ulong place = _options.Sequential ? _next++ % _places : (ulong)_random.NextInt64((long)_places);
        _since[slot] = Stopwatch.GetTimestamp();
        BlockIo io = new((ulong)slot, _options.Write ? BlockOperation.Write : BlockOperation.Read, place * _blocks, _blocks);
        if (!_port.TrySubmit(io, [new BlockPiece((uint)slot * _options.RequestBytes, _options.RequestBytes)]))
            throw new BlockException($"the port takes no {_options.Depth} requests at a time");
    }
}
