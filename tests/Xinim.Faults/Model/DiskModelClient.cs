using Microsoft.Win32.SafeHandles;
using Xinim.Block.Ports;
using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Fakes;
using Xinim.Vfio.Dma;

namespace Xinim.Faults.Model;

/// <summary>The client of a disk on a device model: writes and reads back, and holds the driver to what it may answer.</summary>
internal sealed class DiskModelClient : IDisposable
{
    public const int BlockBytes = 512;

    /// <summary>Of the disk, all of which it uses.</summary>
    public const int DiskBlocks = Stripes * DiskStripe.Blocks;

    private const int Stripes = 8, PieceBytes = DiskStripe.MostBlocks * BlockBytes;

    private readonly DiskStripe[] _stripes = [.. Enumerable.Range(0, Stripes).Select(number => new DiskStripe(number, BlockBytes))];
    private readonly Dictionary<ulong, int> _asked = [];
    private readonly SafeFileHandle _bell = Descriptor.CreateEvent();
    private readonly SharedRegion _rings;
    private readonly BlockRings.DriverEnd _driverEnd;
    private readonly BlockRings.ClientEnd _client;
    private readonly DmaRegion _pool;
    private readonly GrantTable _grants = new();
    private readonly Grant _grant;
    private readonly uint _entries;
    private ulong _cookie;

    /// <param name="entries">Of its rings.</param>
    public DiskModelClient(FakeDma dma, uint entries)
    {
        _entries = entries;
        _pool = dma.Map("pool", Stripes * PieceBytes, RegionAccess.ReadWrite);
        _grant = _grants.Create(_pool.Id, (ulong)_pool.Size, 0, (ulong)_pool.Size, RegionAccess.ReadWrite);
        RingShape shape = new(entries, entries, 1);
        _rings = BlockRings.Create(shape);
        _driverEnd = new BlockRings.DriverEnd(_rings, shape, _bell, _bell);
        _client = new BlockRings.ClientEnd(_rings, shape, _bell, _bell);
        foreach (DiskStripe stripe in _stripes) stripe.Reset();
    }

    /// <summary>Writes that were answered.</summary>
    public StreamCounts Written { get; private set; }

    public StreamCounts Read { get; private set; }

    /// <inheritdoc cref="IModelBench.Breach"/>
    public string? Breach { get; private set; }

    /// <summary>Its own, which the device writes.</summary>
    public Span<byte> Memory => _pool.Memory!.Slice(0, Stripes * PieceBytes);

    public void Attach(IClientSide driver) => driver.Attach(new BufferTable([.. _grants.Active], [_pool]));

    /// <summary>Asks for as much as there is room for.</summary>
    public void Arrive()
    {
        for (int number = 0; number < Stripes; number++)
        {
            if (_stripes[number].Busy) continue;
            if (_client.Submitted.Reserve(1) == 0) return;
            BlockIo io = _stripes[number].Next(MemoryOf(number));
            BlockRequest request = new() { Cookie = ++_cookie, Lba = io.Lba, Count = io.Count, Operation = io.Operation, SegmentCount = 1 };
            request.Segments[0] = new BlockSegment(_grant.Handle, (uint)(number * PieceBytes), _stripes[number].Bytes);
            _client.Submitted[0] = request;
            _client.Submitted.Publish(1);
            _asked.Add(_cookie, number);
        }
    }

    public void Submit(IBlockUnit unit) => _ = unit.Submit(_driverEnd.Submitted);

    public void Complete(IBlockUnit unit) => _ = unit.Complete(_driverEnd.Completed);

    /// <summary>Takes what has been answered.</summary>
    public void Take()
    {
        uint count = _client.Completed.Peek(_entries);
        for (uint i = 0; i < count; i++) Take(_client.Completed.Read(i));
        if (count != 0) _client.Completed.Release(count);
    }

    public void Dispose()
    {
        _rings.Dispose();
        _bell.Dispose();
    }

    private Span<byte> MemoryOf(int number) => Memory.Slice(number * PieceBytes, PieceBytes);

    private void Take(in BlockCompletion completion)
    {
        if (!_asked.Remove(completion.Cookie, out int number) || completion.Status > BlockStatus.NoMedium)
        {
            Breach ??= $"request {completion.Cookie}, which the driver does not hold, was answered with {completion.Status}";
            return;
        }

        DiskStripe stripe = _stripes[number];
        DiskVerdict verdict = stripe.Finish(completion.Status, MemoryOf(number));
        if (stripe.Wrote) Written = Written.With(verdict);
        else Read = Read.With(verdict);
    }
}
