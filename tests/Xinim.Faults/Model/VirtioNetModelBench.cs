using Xinim.Drivers;
using Xinim.Drivers.Network.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Fakes;
using Xinim.TestKit.Virtio;

namespace Xinim.Faults.Model;

/// <summary>The virtio-net driver on a model [V §5.1].</summary>
internal sealed class VirtioNetModelBench : VirtioModelBench
{
    private const ushort Rx = 0, Tx = 1, Control = 2;
    private const int HeaderBytes = 12;
    private const uint Buffers = Entries;
    private const int FramesPerRound = 3;

    // VIRTIO_NET_F_MAC, STATUS, CTRL_VQ, CTRL_RX [V §5.1.3].
    private const VirtioFeatures Net = Bus | (VirtioFeatures)((1ul << 5) | (1ul << 16) | (1ul << 17) | (1ul << 18));
    private static readonly MacAddress s_peer = MacAddress.From("\x02PEER\x01"u8);
    private static readonly MacAddress s_station = MacAddress.From([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);

    private readonly FakeNetworkClient _rings;
    private readonly ModelClient _client;
    private readonly VirtioNetDriver _driver;
    private readonly FrameStream _tx;
    private readonly FrameStream _rx;
    private readonly byte[] _frame = new byte[2048];

    public VirtioNetModelBench(VirtioFeatures features, uint run)
        : base(new VirtioModelOptions(VirtioDeviceType.Network) { Features = features, Config = [.. (ReadOnlySpan<byte>)s_station, 1, 0], Queues = 3, QueueSize = Entries, NeedsAccessPlatform = true })
    {
        object sync = new();
        (_tx, _rx) = (new FrameStream(sync, s_station, s_peer, run << 1), new FrameStream(sync, s_peer, s_station, (run << 1) | 1));
        _rings = new FakeNetworkClient(Model.Dma, Buffers, Buffers);
        _client = new ModelClient(_rings, Buffers, _rx);
        _driver = new VirtioNetDriver(Model, Arena, _ => { }, new VirtioNetOptions { TxDescriptors = Entries, RxDescriptors = Entries });
    }

    /// <summary>Of its queues.</summary>
    public static IReadOnlyList<(string Name, VirtioFeatures Features)> Layouts { get; } =
    [
        ("split", Net | VirtioFeatures.EventIndex),
        ("packed", Net | VirtioFeatures.RingPacked | VirtioFeatures.EventIndex),
        ("split in order", Net | VirtioFeatures.InOrder),
        ("packed in order", Net | VirtioFeatures.RingPacked | VirtioFeatures.InOrder | VirtioFeatures.EventIndex),
    ];

    public override StreamCounts Sent => _tx.Counts;

    public override StreamCounts Received => _rx.Counts;

    public override string? Breach => _client.Breach;

    public override IReadOnlyList<ushort> Queues { get; } = [Rx, Tx];

    public override Span<byte> Memory => _rings.RxPool.Memory!.Slice(0, (int)Buffers * FakeNetworkClient.Stride);

    /// <summary>Changes the headers of what is received; null for none.</summary>
    public Action<Span<byte>>? Header { get; set; }

    protected override IDriver Driver => _driver;

    public override void Start()
    {
        _ = _driver.Start();
        _driver.Attach(_rings.Buffers);
        _client.PostAll();
        Poll();
    }

    public override void Arrive()
    {
        for (int i = 0; i < FramesPerRound; i++)
        {
            if (_rings.TxOutstanding < (int)Buffers) _rings.Send(_frame.AsSpan(0, _tx.WriteNext(_frame, 0)));
            Guard(Receive);
        }

        // A device that was not woken looks by itself.
        Guard(() => Serve(Tx));
    }

    public override void Dispose()
    {
        _rings.Dispose();
        base.Dispose();
    }

    protected override void RelentFurther() => Header = null;

    protected override void Poll()
    {
        _ = _driver.TxReturn(_rings.Driver.Completed);
        _ = _driver.RxReturn(_rings.Driver.Received);
        _ = _driver.TxProvide(_rings.Driver.Submit);
        _ = _driver.RxProvide(_rings.Driver.Free);
        _ = _driver.TxReturn(_rings.Driver.Completed);
    }

    protected override void Take() => _client.Take();

    protected override bool Answers(ushort queue) => queue != Rx;

    protected override uint Do(ushort queue, DeviceChain chain)
    {
        if (queue == Control) return chain.Write(Model.Dma, [0]);
        byte[] bytes = chain.Read(Model.Dma);
        if (bytes.Length >= HeaderBytes) _ = _tx.Check(bytes.AsSpan(HeaderBytes));
        return 0;
    }

    private void Receive()
    {
        int length = _rx.WriteNext(_frame, 0);
        if (Silent || Model.Queue(Rx) is not { } queue || queue.Pop() is not { } chain) return;
        byte[] bytes = new byte[HeaderBytes + length];
        // num_buffers [V §5.1.6].
        bytes[10] = 1;
        Header?.Invoke(bytes.AsSpan(0, HeaderBytes));
        _frame.AsSpan(0, length).CopyTo(bytes.AsSpan(HeaderBytes));
        Use(queue, chain, chain.Write(Model.Dma, bytes));
        _ = Model.Flush(Rx);
    }
}
