using System.Buffers.Binary;
using Xinim.Drivers;
using Xinim.Drivers.Block.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Faults.Traffic;
using Xinim.TestKit.Virtio;

namespace Xinim.Faults.Model;

/// <summary>The virtio-blk driver on a model [V §5.2], and a client that writes and reads back.</summary>
internal sealed class VirtioBlkModelBench : VirtioModelBench
{
    private const int RoundsPerTurn = 4;
    private const uint In = 0, Out = 1, GetId = 8; // VIRTIO_BLK_T_* [V §5.2.6]
    private const byte Ok = 0, IoError = 1; // VIRTIO_BLK_S_* [V §5.2.6]

    // VIRTIO_BLK_F_SIZE_MAX, SEG_MAX, BLK_SIZE [V §5.2.3].
    private const VirtioFeatures Blk = Bus | (VirtioFeatures)((1ul << 1) | (1ul << 2) | (1ul << 6));

    private readonly byte[] _disk = new byte[DiskModelClient.DiskBlocks * DiskModelClient.BlockBytes];
    private readonly DiskModelClient _client;
    private readonly VirtioBlkDriver _driver;

    public VirtioBlkModelBench(VirtioFeatures features)
        : base(new VirtioModelOptions(VirtioDeviceType.Block) { Features = features, Config = Config, Queues = 1, QueueSize = Entries, NeedsAccessPlatform = true })
    {
        _client = new DiskModelClient(Model.Dma, Entries);
        _driver = new VirtioBlkDriver(Model, Arena, _ => { }, new VirtioBlkOptions { Descriptors = Entries });
    }

    /// <summary>Of its queue.</summary>
    public static IReadOnlyList<(string Name, VirtioFeatures Features)> Layouts { get; } =
    [
        ("split", Blk | VirtioFeatures.EventIndex),
        ("packed", Blk | VirtioFeatures.RingPacked | VirtioFeatures.EventIndex),
        ("split with tables", Blk | VirtioFeatures.IndirectDescriptors),
        ("packed with tables", Blk | VirtioFeatures.RingPacked | VirtioFeatures.IndirectDescriptors | VirtioFeatures.EventIndex),
    ];

    public override StreamCounts Sent => _client.Written;

    public override StreamCounts Received => _client.Read;

    public override string? Breach => _client.Breach;

    public override IReadOnlyList<ushort> Queues { get; } = [0];

    public override Span<byte> Memory => _client.Memory;

    /// <summary>The device's word on a request, from what it was; null for the truth.</summary>
    public Func<byte, byte>? Answer { get; set; }

    /// <summary>The device says that it has written, and has not.</summary>
    public bool LosesWrites { get; set; }

    protected override IDriver Driver => _driver;

    /// <summary>struct virtio_blk_config [V §5.2.4] as far as it counts here: capacity, size_max, seg_max, blk_size.</summary>
    private static byte[] Config
    {
        get
        {
            byte[] config = new byte[60];
            BinaryPrimitives.WriteUInt64LittleEndian(config, DiskModelClient.DiskBlocks);
            BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(8), 1 << 16);
            BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(12), 4);
            BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(20), DiskModelClient.BlockBytes);
            return config;
        }
    }

    public override void Start()
    {
        _ = _driver.Start();
        _client.Attach(_driver);
    }

    public override void Arrive() => _client.Arrive();

    public override void Dispose()
    {
        _client.Dispose();
        base.Dispose();
    }

    protected override void RelentFurther() => (Answer, LosesWrites) = (null, false);

    protected override void Poll()
    {
        for (int round = 0; round < RoundsPerTurn; round++)
        {
            Arrive();
            _client.Submit(_driver);
            // A device that was not woken looks by itself.
            Guard(() => Serve(0));
            _client.Complete(_driver);
            Take();
        }
    }

    protected override void Take() => _client.Take();

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
        if (type > Out || sector > (ulong)(_disk.Length / DiskModelClient.BlockBytes) || ((int)sector * DiskModelClient.BlockBytes) + length > _disk.Length) return false;
        Span<byte> there = _disk.AsSpan((int)sector * DiskModelClient.BlockBytes, length);
        if (type == In) there.CopyTo(answer);
        else if (!LosesWrites) data.CopyTo(there);
        return true;
    }
}
