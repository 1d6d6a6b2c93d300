using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>
/// Virtio network devices [V §5.1]. Read this first: the order of bring-up stands here, the data path in <see cref="VirtioNetTxQueue{TQueue}"/> and
/// <see cref="VirtioNetRxQueue{TQueue}"/>. [V] = Virtual I/O Device (VIRTIO) Version 1.2, OASIS Committee Specification.
/// </summary>
public sealed class VirtioNetDriver : INetworkDriver
{
    /// <summary>Vectors that are of use: configuration, and one a queue.</summary>
    public const int Vectors = 1 + (2 * (int)NetworkRings.MaxPairs);

    private const uint CoalesceFrames = 64;
    private const uint VlanHeader = 18; // Ethernet header and a tag
    private readonly VirtioNetOptions _options;
    private readonly VirtioDevice _device;
    private readonly IVirtioTransport _transport;
    private readonly VirtioNetConfig _config;
    private readonly VirtioNetFilters _filters = new();
    private readonly DmaArena _arena;
    private readonly Action<string> _log;
    private VirtioVectors _vectors;

    /// <summary>The client's; none while there are no queues.</summary>
    private VirtioNetQueues[] _pairs = [];
    private int _pairsWanted = 1;
    private VirtioNetControl? _control;

    /// <summary>Where the memory of the pairs begins.</summary>
    private long _pairsAt;
    private VirtioNetAnnouncement? _announcement;
    private MacAddress _mac;
    private NetworkStatistics _sums;
    private NetworkWishes _wishes;
    private ulong _interrupts;

    /// <exception cref="ArgumentException">An option is unknown or out of range.</exception>
    /// <exception cref="DeviceFaultException">The device is no virtio network device, or broken.</exception>
    public VirtioNetDriver(DriverContext context)
        : this(VirtioTransports.Open(context), context.Arena, context.Log, VirtioNetOptions.Parse(context.Options))
    {
    }

    /// <param name="transport">Owned.</param>
    /// <param name="arena">For the queues.</param>
    /// <inheritdoc cref="VirtioNetDriver(DriverContext)"/>
    public VirtioNetDriver(IVirtioTransport transport, DmaArena arena, Action<string> log, VirtioNetOptions options)
    {
        if (transport.Type != VirtioDeviceType.Network) throw new DeviceFaultException($"{transport.Name} is a virtio device of type {(uint)transport.Type}, no network device (1) [V §5]");
        _options = options;
        _transport = transport;
        _device = new VirtioDevice(transport);
        _config = new VirtioNetConfig(_device);
        _vectors = new VirtioVectors(transport.Vectors, queues: 2);
        _arena = arena;
        _log = log;
    }

    public bool TxBusy => Array.Exists(_pairs, pair => pair.Tx.Busy);

    /// <summary>Of a pair that sends nothing no interrupt comes.</summary>
    public bool TxBacklog => _pairs.Length != 0 && Array.TrueForAll(_pairs, pair => pair.Tx.Backlog);

    public IReadOnlyList<INetworkPair> Pairs => _pairs;

    public LinkState Link { get; private set; }

    public NetworkStatistics Statistics
    {
        get
        {
            NetworkStatistics now = _sums;
            now.Interrupts = _interrupts;
            foreach (VirtioNetQueues pair in _pairs)
            {
                now.RxFrames += pair.Rx.Frames;
                now.RxBytes += pair.Rx.Bytes;
                now.RxDropped += pair.Rx.Dropped;
                now.TxFrames += pair.Tx.Frames;
                now.TxBytes += pair.Tx.Bytes;
                now.TxRejected += pair.Tx.Rejected;
                now.Doorbells += pair.Tx.Doorbells + pair.Rx.Doorbells;
            }

            return now;
        }
    }

    public NetworkDeviceInfo Start()
    {
        BringUp();
        _log($"virtio-net, {_mac}, link {Link}, {(_device.Has(VirtioFeatures.RingPacked) ? "packed" : "split")} queues, features 0x{(ulong)_device.Features:x}");
        return new NetworkDeviceInfo
        {
            Mac = _mac,
            VectorsUsed = (ushort)Math.Max(_transport.Vectors, 1),
            Offloads = Offloads() | (_device.Has(VirtioNetFeatures.GuestChecksum) ? NetFlags.TransportChecksum | NetFlags.PartialChecksum : NetFlags.None),
            MaxFrame = _filters.MaxFrameOfDevice,
            TxDescriptors = _device.SizeOf(VirtioNetQueues.TxNumber, _options.TxDescriptors),
            RxDescriptors = _device.SizeOf(VirtioNetQueues.RxNumber, _options.RxDescriptors),
            RxBufferBytes = VirtioNetRx.MinBuffer,
            Link = Link,
            SumWithLength = 1,
            // The most that it can be, whatever a client wishes for.
            TxHeadroom = _pairs[0].Tx.Headroom == 0 ? (ushort)0 : VirtioNetHeader.BytesWith(_device.Offered),
            RxHeadroom = _pairs[0].Rx.Headroom,
            MaxPairs = (uint)MaxPairs,
            Able = Able,
        };
    }

    /// <summary>What the device is to do for a client is negotiated, once for all that follow with the same wishes.</summary>
    public void Prepare(int pairs, NetworkWishes wishes)
    {
        if (pairs > 1 && pairs > MaxPairs) throw new ArgumentException($"the device has {MaxPairs} pair(s) of queues, not {pairs}; open it with fewer");
        if (wishes != NetworkWishes.None) wishes &= Able;
        // A hash makes headers longer than what may stand before the later buffers of a large frame (NetBuffer.LeadBytes).
        if ((wishes & NetworkWishes.LargeReceive) != 0) wishes &= ~NetworkWishes.ReceiveHash;
        if ((pairs, wishes) == (_pairsWanted, _wishes)) return;
        (_pairsWanted, _wishes) = (pairs, wishes);
        _sums = Statistics;
        _pairs = [];
        BringUp();
    }

    public void Attach(BufferTable buffers)
    {
        _transport.Synchronize();
        foreach (VirtioNetQueues pair in _pairs)
        {
            pair.Rx.Attach(buffers);
            pair.Tx.Attach(buffers);
        }
    }

    /// <summary>A reset is the only thing after which no DMA follows in every device, whatever it offers [V §2.4.1]; of the queues alone where it offers that [V §2.6.1].</summary>
    public void Detach()
    {
        _sums = Statistics;
        VirtioNetQueues[] old = _pairs;
        _pairs = [];
        if (!_device.Has(VirtioFeatures.RingReset))
        {
            BringUp();
            return;
        }

        foreach (VirtioNetQueues pair in old) pair.Reset(_transport);
        _arena.Reset(_pairsAt);
        VirtioNetQueues[] pairs = MakePairs();
        Apply(pairs);
        _pairs = pairs;
    }

    public uint TxProvide(RingConsumer<NetBuffer> submitted) => _pairs[0].TxProvide(submitted);

    public uint TxReturn(RingProducer<NetBuffer> completed) => _pairs[0].TxReturn(completed);

    public uint RxProvide(RingConsumer<NetBuffer> free) => _pairs[0].RxProvide(free);

    public uint RxReturn(RingProducer<NetBuffer> received) => _pairs[0].RxReturn(received);

    public void ArmInterrupts()
    {
        foreach (VirtioNetQueues pair in _pairs)
        {
            pair.Rx.Arm();
            if (pair.Tx.Busy) pair.Tx.Arm();
        }
    }

    public void MaskInterrupts()
    {
        foreach (VirtioNetQueues pair in _pairs)
        {
            pair.Rx.Mask();
            pair.Tx.Mask();
        }
    }

    public void OnInterrupt(int vector)
    {
        _interrupts++;
        // INTx is lowered by reading the ISR [V §4.1.4.5].
        bool configuration = _transport.Vectors == 0 ? (_transport.TakeInterrupts() & VirtioInterrupts.Configuration) != 0 : vector == _vectors.Configuration;
        MaskInterrupts();
        if (configuration) LookAtDevice();
    }

    public void OnTimer()
    {
        LookAtDevice();
        foreach (VirtioNetQueues pair in _pairs)
        {
            pair.Rx.CheckProgress();
            if (VirtioNetSteering.NeedsReminders(_device, _pairs.Length)) pair.Rx.Notify();
            pair.Tx.CheckProgress(excused: Link.Up == 0);
        }
    }

    public void SetFilters(in NetworkFilters filters)
    {
        NetworkFilters former = _filters.Current;
        _filters.Set(filters, _options.VlanFilter && (_pairs.Length == 0 || _device.Has(VirtioNetFeatures.ControlVlan)));
        if (_pairs.Length == 0) return;
        try
        {
            _filters.Write(_device, _control, fresh: false);
            Apply(_pairs);
        }
        catch (ArgumentException)
        {
            // What was refused is not kept, nor the half of it that the device took.
            _filters.Set(former, filtersVlans: true);
            _filters.Write(_device, _control, fresh: false);
            Apply(_pairs);
            throw;
        }
    }

    public void StopReceiving()
    {
        foreach (VirtioNetQueues pair in _pairs) pair.Rx.Close();
    }

    public void Stop()
    {
        _pairs = [];
        _transport.Reset();
    }

    public void Dispose()
    {
        try
        {
            if (_pairs.Length != 0) Stop();
        }
        catch (DeviceFaultException gone)
        {
            _log(gone.Message);
        }

        _transport.Dispose();
    }

    /// <summary>[V §3.1.1], with step 7 for network devices [V §5.1.5].</summary>
    private void BringUp()
    {
        _device.Negotiate(offered => VirtioNetFeatures.Choose(offered, _options, _wishes, _pairsWanted) | _options.QueueFeatures);
        _arena.Reset();
        _mac = _options.Mac ?? _config.ReadMac() ?? MadeUpMac(_transport.Name);
        _filters.LimitFrame(LargestFrame());
        // It follows all pairs that there are [V §5.1.2].
        ushort? control = _device.Has(VirtioNetFeatures.ControlQueue) ? (ushort)(2 * _config.ReadMaxPairs()) : null;
        _control = control is { } at ? VirtioNetQueues.MakeControl(_device, _arena, at) : null;
        _announcement = new VirtioNetAnnouncement(_arena, _mac);
        _pairsAt = _arena.Used;
        _vectors = new VirtioVectors(_transport.Vectors, 2 * _pairsWanted);
        _transport.SetConfigVector(_vectors.Configuration);
        VirtioNetQueues[] pairs = MakePairs();
        if (control is { } number) _control!.SetUp(_transport, number);
        _device.Begin();
        _pairs = pairs;
        if (_pairsWanted > 1 && !_transport.PairsNeedNoCommand) VirtioNetSteering.Enable(_device, _config, _control!, _pairsWanted);
        if (control is not null) VirtioNetSteering.EnableHashes(_device, _config, _control!, _pairsWanted);
        if (_options.Mac is { } own && _device.Has(VirtioNetFeatures.ControlMac | VirtioNetFeatures.ControlReceive) && !_control!.Do(VirtioNetControl.SetMac, own))
            throw new DeviceFaultException($"{_transport.Name} refuses the address {own} (VIRTIO_NET_ERR) [V §5.1.6.5.2]");
        _filters.Write(_device, _control, fresh: true);
        Apply(pairs);
        // It costs latency and nothing else where the device does not do it.
        if (_device.Has(VirtioNetFeatures.Coalescing) && !_control!.Coalesce(CoalesceFrames, _options.CoalesceMicroseconds))
            _log($"the device refuses to gather interrupts for {_options.CoalesceMicroseconds} µs (VIRTIO_NET_ERR); it goes on as it is");
        LookAtDevice();
    }

    /// <summary>What MTU and receive queue let through: a place is one buffer, and takes an entry for each part and one for the header.</summary>
    private uint LargestFrame()
    {
        uint entries = _device.SizeOf(VirtioNetQueues.RxNumber, _options.RxDescriptors);
        uint least = Math.Min(entries, _device.SizeOf(VirtioNetQueues.TxNumber, _options.TxDescriptors));
        if (least < 2) throw new DeviceFaultException($"{_transport.Name}: a queue of {least} entries holds no frame, which takes two [V §5.1.6]");
        uint room = (entries - 1) * VirtioNetRx.MinBuffer;
        return _config.ReadMtu() is { } mtu ? Math.Min(mtu + VlanHeader, room) : room;
    }

    private VirtioNetQueues[] MakePairs()
    {
        VirtioNetQueues[] pairs = [.. Enumerable.Range(0, _pairsWanted).Select(number => VirtioNetQueues.Make(_device, _arena, _options, Offloads(), number))];
        foreach (VirtioNetQueues pair in pairs) pair.SetUp(_transport, _vectors);
        return pairs;
    }

    private void Apply(VirtioNetQueues[] pairs)
    {
        foreach (VirtioNetQueues pair in pairs)
        {
            pair.Rx.MaxFrame = pair.Tx.MaxFrame = _filters.MaxFrame;
            pair.Rx.ReportChecksums = _filters.ReportChecksums && _device.Has(VirtioNetFeatures.GuestChecksum);
        }
    }

    /// <summary>What the device has, and a client can have.</summary>
    private int MaxPairs => (int)Math.Min(NetworkRings.MaxPairs, _transport.PairsNeedNoCommand ? (uint)_transport.QueueCount / 2 : _config.ReadMaxPairs());

    /// <summary>Large frames need a queue that holds the largest: two entries a buffer. Hashes are switched on by the control queue.</summary>
    private NetworkWishes Able
        => (Offers(VirtioNetFeatures.MergeBuffers) && _device.SizeOf(VirtioNetQueues.RxNumber, _options.RxDescriptors) >= 2 * VirtioNetRx.MaxPieces
                ? NetworkWishes.LargeReceive : NetworkWishes.None)
            | (Offers(VirtioNetFeatures.HashReport | VirtioNetFeatures.ControlQueue) ? NetworkWishes.ReceiveHash : NetworkWishes.None);

    private bool Offers(VirtioFeatures features) => (_device.Offered & features) == features;

    private NetFlags Offloads()
    {
        if (!_device.Has(VirtioNetFeatures.Checksum)) return NetFlags.None;
        NetFlags offloads = NetFlags.TcpChecksum | NetFlags.UdpChecksum | NetFlags.Ipv6;
        // One flag for all kinds of segmentation: offered where the device has the common ones.
        return _device.Has(VirtioNetFeatures.HostTso4 | VirtioNetFeatures.HostTso6) ? offloads | NetFlags.Segment : offloads;
    }

    private void LookAtDevice()
    {
        _device.CheckHealth();
        (LinkState link, bool announce) = _config.ReadStatus();
        Link = link;
        if (!announce || !_device.Has(VirtioNetFeatures.Announce) || _control is not { } control || _pairs.Length == 0) return;
        _log("the device asks for an announcement; sent");
        _pairs[0].Tx.Send(_announcement!.At, VirtioNetAnnouncement.Bytes);
        _ = control.Do(VirtioNetControl.AcknowledgeAnnounce, []);
    }

    /// <summary>Locally administered [V §5.1.5], and made of the device's name: a driver's successor has the same.</summary>
    private static MacAddress MadeUpMac(string name)
    {
        // FNV-1a, 64 bits.
        ulong hash = 0xcbf29ce484222325;
        foreach (char character in name) hash = unchecked((hash ^ character) * 0x100000001b3);
        Span<byte> bytes = stackalloc byte[8];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(bytes, hash);
        bytes[0] = (byte)((bytes[0] & 0xfc) | 2);
        return MacAddress.From(bytes);
    }
}
