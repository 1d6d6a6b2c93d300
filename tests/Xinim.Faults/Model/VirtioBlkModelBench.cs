using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Xinim.Block.Ports;
using Xinim.Drivers;
using Xinim.Drivers.Block.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Virtio;
using Xinim.Vfio.Dma;

namespace Xinim.Faults.Model;

/// <summary>The virtio-blk driver on a model [V §5.2], and a client that writes and reads back.</summary>
internal sealed class VirtioBlkModelBench : VirtioModelBench
{
    private const int Stripes = 8, BlockBytes = 512, PieceBytes = DiskStripe.MostBlocks * BlockBytes;
    private const int RoundsPerTurn = 4;
    private const uint In = 0, Out = 1, GetId = 8; // VIRTIO_BLK_T_* [V §5.2.6]
    private const byte Ok = 0, IoError = 1; // VIRTIO_BLK_S_* [V §5.2.6]

    // VIRTIO_BLK_F_SIZE_MAX, SEG_MAX, BLK_SIZE [V §5.2.3].
    private const VirtioFeatures Blk = Bus | (VirtioFeatures)((1ul << 1) | (1ul << 2) | (1ul << 6));

    private readonly byte[] _disk = new byte[Stripes * DiskStripe.Blocks * BlockBytes];
    private readonly DiskStripe[] _stripes = [.. Enumerable.Range(0, Stripes).Select(number => new DiskStripe(number, BlockBytes))];
    private readonly Dictionary<ulong, int> _asked = [];
    private readonly SafeFileHandle _bell = Descriptor.CreateEvent();
    private readonly SharedRegion _rings;
    private readonly BlockRings.DriverEnd _driverEnd;
    private readonly BlockRings.ClientEnd _client;
    private readonly DmaRegion _pool;
    private readonly GrantTable _grants = new();
    private readonly Grant _grant;
    private readonly VirtioBlkDriver _driver;
    private StreamCounts _sent;
    private StreamCounts _received;
    private string? _breach;
    private ulong _cookie;

    public VirtioBlkModelBench(VirtioFeatures features)
        : base(new VirtioModelOptions(VirtioDeviceType.Block) { Features = features, Config = Config, Queues = 1, QueueSize = Entries, NeedsAccessPlatform = true })
    {
        _pool = Model.Dma.Map("pool", Stripes * PieceBytes, RegionAccess.ReadWrite);
        _grant = _grants.Create(_pool.Id, (ulong)_pool.Size, 0, (ulong)_pool.Size, RegionAccess.ReadWrite);
        RingShape shape = new(Entries, Entries, 1);
        _rings = BlockRings.Create(shape);
        _driverEnd = new BlockRings.DriverEnd(_rings, shape, _bell, _bell);
        _client = new BlockRings.ClientEnd(_rings, shape, _bell, _bell);
        _driver = new VirtioBlkDriver(Model, Arena, _ => { }, new VirtioBlkOptions { Descriptors = Entries });
        foreach (DiskStripe stripe in _stripes) stripe.Reset();
    }

    /// <summary>Of its queue.</summary>
    public static IReadOnlyList<(string Name, VirtioFeatures Features)> Layouts { get; } =
    [
        ("split", Blk | VirtioFeatures.EventIndex),
        ("packed", Blk | VirtioFeatures.RingPacked | VirtioFeatures.EventIndex),
        ("split with tables", Blk | VirtioFeatures.IndirectDescriptors),
        ("packed with tables", Blk | VirtioFeatures.RingPacked | VirtioFeatures.IndirectDescriptors | VirtioFeatures.EventIndex),
    ];

    public override StreamCounts Sent => _sent;

    public override StreamCounts Received => _received;

    public override string? Breach => _breach;

    public override IReadOnlyList<ushort> DataQueues { get; } = [0];

    public override Span<byte> Memory => _pool.Memory!.Slice(0, Stripes * PieceBytes);

    /// <summary>The device's word on a request, from what it was; null for the truth.</summary>
    public Func<byte, byte>? Answer { get; set; }

    /// <summary>The device says that it has written, and has not.</summary>
    public bool LosesWrites { get; set; }

    protected override IDeviceDriver Driver => _driver;

    /// <summary>struct virtio_blk_config [V §5.2.4] as far as it counts here: capacity, size_max, seg_max, blk_size.</summary>
    private static byte[] Config
    {
        get
        {
            byte[] config = new byte[60];
            BinaryPrimitives.WriteUInt64LittleEndian(config, Stripes * DiskStripe.Blocks);
            BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(8), 1 << 16);
            BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(12), 4);
            BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(20), BlockBytes);
            return config;
        }
    }

    public override void Start()
    {
        _ = _driver.Start();
        _driver.Attach(new BufferTable([.. _grants.Active], [_pool]));
    }

    public override void Arrive()
    {
        for (int number = 0; number < Stripes; number++)
        {
            if (_stripes[number].Busy) continue;
            if (_client.Submitted.Reserve(1) == 0) return;
            BlockIo io = _stripes[number].Next(Memory.Slice(number * PieceBytes, PieceBytes));
            BlockRequest request = new() { Cookie = ++_cookie, Lba = io.Lba, Count = io.Count, Operation = io.Operation, SegmentCount = 1 };
            request.Segments[0] = new BlockSegment(_grant.Handle, (uint)(number * PieceBytes), _stripes[number].Bytes);
            _client.Submitted[0] = request;
            _client.Submitted.Publish(1);
            _asked.Add(_cookie, number);
        }
    }

    public override void Dispose()
    {
        _rings.Dispose();
        _bell.Dispose();
        base.Dispose();
    }

    protected override void RelentFurther() => (Answer, LosesWrites) = (null, false);

    protected override void Poll()
    {
        for (int round = 0; round < RoundsPerTurn; round++)
        {
            Arrive();
            _ = _driver.Submit(_driverEnd.Submitted);
            // A device that was not woken looks by itself.
            Guard(() => Serve(0));
            _ = _driver.Complete(_driverEnd.Completed);
            Take();
        }
    }

    protected override void Take()
    {
        uint count = _client.Completed.Peek(Entries);
        for (uint i = 0; i < count; i++) Take(_client.Completed.Read(i));
        if (count != 0) _client.Completed.Release(count);
    }

    protected override uint Do(ushort queue, DeviceChain chain)
    {
        byte[] read = chain.Read(Model.Dma);
        byte[] answer = new byte[Math.Max(chain.WritableBytes, 1)];
        bool done = read.Length >= 16 && Execute(BinaryPrimitives.ReadUInt32LittleEndian(read), BinaryPrimitives.ReadUInt64LittleEndian(read.AsSpan(8)), read.AsSpan(16), answer.AsSpan(0, answer.Length - 1));
        byte status = done ? Ok : IoError;
        answer[^1] = Answer?.Invoke(status) ?? status;
        return chain.Write(Model.Dma, answer);
    }

    private bool Execute(uint type, ulong sector, ReadOnlySpan<byte> data, Span<byte> answer)
    {
        if (type == GetId) return true;
        int length = type == Out ? data.Length : answer.Length;
        if (type > Out || sector > (ulong)(_disk.Length / BlockBytes) || ((int)sector * BlockBytes) + length > _disk.Length) return false;
        Span<byte> there = _disk.AsSpan((int)sector * BlockBytes, length);
        if (type == In) there.CopyTo(answer);
        else if (!LosesWrites) data.CopyTo(there);
        return true;
    }

    private void Take(in BlockCompletion completion)
    {
        if (!_asked.Remove(completion.Cookie, out int number) || completion.Status > BlockStatus.NoMedium)
        {
            _breach ??= $"request {completion.Cookie}, which the driver does not hold, was answered with {completion.Status}";
            return;
        }

        DiskStripe stripe = _stripes[number];
        DiskVerdict verdict = stripe.Finish(completion.Status, Memory.Slice(number * PieceBytes, PieceBytes));
        if (stripe.Wrote) _sent = _sent.With(verdict);
        else _received = _received.With(verdict);
    }
}
