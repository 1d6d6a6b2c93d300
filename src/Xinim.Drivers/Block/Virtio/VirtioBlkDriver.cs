using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Block.Virtio;

/// <summary>
/// Virtio block devices [V §5.2]. Read this first: the order of bring-up stands here, the data path in <see cref="VirtioBlkQueue{TQueue}"/>.
/// [V] = Virtual I/O Device (VIRTIO) Version 1.2, OASIS Committee Specification.
/// </summary>
public sealed class VirtioBlkDriver : IBlockDriver
{
    /// <summary>Vectors that are of use: configuration, and one a queue.</summary>
    public const int Vectors = 17;

    /// <summary>Seconds without any request finished after which a device counts as broken; a disk on a slow network may take that long.</summary>
    private const uint PatienceSeconds = 120;

    private readonly VirtioBlkOptions _options;
    private readonly VirtioDevice _device;
    private readonly IVirtioTransport _transport;
    private readonly VirtioBlkConfig _config;
    private readonly DmaArena _arena;
    private readonly Action<string> _log;
    private VirtioBlkQueue[] _queues = [];
    private BlockIntake _intake = new(default);
    private BlockDeviceInfo _info;
    private BlockStatistics _statistics;
    private ulong _doorbells;
    private VirtioVectors _vectors;
    private uint _sectorsPerBlock = 1;
    private uint _next;
    private bool _changed;
    private ulong _doneAtCheck;
    private uint _idleChecks;

    /// <exception cref="ArgumentException">An option is unknown or out of range.</exception>
    /// <exception cref="DeviceFaultException">The device is no virtio block device, or broken.</exception>
    public VirtioBlkDriver(DriverContext context)
        : this(VirtioTransports.Open(context), context.Arena, context.Log, VirtioBlkOptions.Parse(context.Options))
    {
    }

    /// <param name="transport">Owned.</param>
    /// <param name="arena">For the queues.</param>
    /// <inheritdoc cref="VirtioBlkDriver(DriverContext)"/>
    public VirtioBlkDriver(IVirtioTransport transport, DmaArena arena, Action<string> log, VirtioBlkOptions options)
    {
        if (transport.Type != VirtioDeviceType.Block) throw new DeviceFaultException($"{transport.Name} is a virtio device of type {(uint)transport.Type}, no block device (2) [V §5]");
        _options = options;
        _transport = transport;
        _device = new VirtioDevice(transport);
        _config = new VirtioBlkConfig(_device);
        _vectors = new VirtioVectors(transport.Vectors, queues: 1);
        _arena = arena;
        _log = log;
    }

    public bool Busy => Array.Exists(_queues, queue => queue.Busy) || _intake.HasRefusals;

    public BlockStatistics Statistics => _statistics with
    {
        Rejected = _statistics.Rejected + _intake.Rejected,
        Doorbells = _doorbells + (ulong)_queues.Sum(queue => (long)queue.Doorbells),
    };

    public BlockDeviceInfo Start()
    {
        BringUp();
        _info.Serial = FixedText.From(_queues[0].ReadId());
        _info.Model = FixedText.From("virtio-blk");
        _log($"virtio-blk, {_info.Blocks} blocks of {_info.LogicalBlockBytes} bytes, {_queues.Length} {(VirtQueueFactory.IsPacked(_device.Features) ? "packed" : "split")} queue(s), features 0x{(ulong)_device.Features:x}");
        return _info;
    }

    public void Attach(BufferTable buffers)
    {
        _transport.Synchronize();
        _intake.Attach(buffers);
    }

    /// <summary>A reset: the only thing after which no DMA follows in every device, whatever it offers [V §2.4.1].</summary>
    public void Detach()
    {
        _doorbells += (ulong)_queues.Sum(queue => (long)queue.Doorbells);
        _statistics.Rejected += _intake.Rejected;
        _queues = [];
        (FixedText serial, FixedText model) = (_info.Serial, _info.Model);
        BringUp();
        _info.Serial = serial;
        _info.Model = model;
    }

    public uint Submit(RingConsumer<BlockRequest> submitted)
    {
        VirtioBlkQueue[] queues = _queues;
        while (_intake.TryPeek(submitted, out BlockCommand command))
        {
            VirtioBlkQueue queue = queues[_next % (uint)queues.Length];
            if (!queue.TryGive(command, _sectorsPerBlock)) break;
            _next++;
            _intake.Accept(submitted);
        }

        uint taken = _intake.TakeCount();
        if (taken == 0) return 0;
        foreach (VirtioBlkQueue queue in queues) queue.Notify();
        return taken;
    }

    public uint Complete(RingProducer<BlockCompletion> completed)
    {
        uint told = _intake.TellRefusals(completed);
        bool busy = false;
        foreach (VirtioBlkQueue queue in _queues) busy |= queue.Busy;
        if (!busy) return told;
        uint room = completed.Reserve(completed.Capacity);
        RingView<BlockCompletion> slots = completed.Reserved;
        uint put = 0;
        foreach (VirtioBlkQueue queue in _queues) queue.Complete(slots, room, ref put, ref _statistics);
        if (put != 0) completed.Publish(put);
        return told + put;
    }

    public bool TryTakeChange(out BlockDeviceInfo info)
    {
        info = _info;
        bool changed = _changed;
        _changed = false;
        return changed;
    }

    public void SetWriteCache(bool on)
    {
        if (!_info.Has(BlockFeatures.WriteCacheSwitch)) throw new ArgumentException("the device has no write cache that can be switched (CONFIG_WCE)");
        _config.WriteCache(on);
        LookAtDevice();
    }

    public void ArmInterrupts()
    {
        foreach (VirtioBlkQueue queue in _queues)
            if (queue.Busy) queue.Arm();
    }

    public void MaskInterrupts()
    {
        foreach (VirtioBlkQueue queue in _queues) queue.Mask();
    }

    public void OnInterrupt(int vector)
    {
        _statistics.Interrupts++;
        // INTx is lowered by reading the ISR [V §4.1.4.5].
        bool configuration = _transport.Vectors == 0 ? (_transport.TakeInterrupts() & VirtioInterrupts.Configuration) != 0 : vector == _vectors.Configuration;
        MaskInterrupts();
        if (configuration) LookAtDevice();
    }

    public void OnTimer()
    {
        LookAtDevice();
        ulong done = (ulong)_queues.Sum(queue => (long)queue.Done);
        _idleChecks = !Array.Exists(_queues, queue => queue.Busy) || done != _doneAtCheck ? 0 : _idleChecks + 1;
        _doneAtCheck = done;
        if (_idleChecks == PatienceSeconds) throw new DeviceFaultException($"{_transport.Name}: no request was finished for {PatienceSeconds} s [V §5.2.6]");
    }

    public void Stop()
    {
        _queues = [];
        _transport.Reset();
    }

    public void Dispose()
    {
        try
        {
            if (_queues.Length != 0) Stop();
        }
        catch (DeviceFaultException gone)
        {
            _log(gone.Message);
        }

        _transport.Dispose();
    }

    /// <summary>[V §3.1.1], with step 7 for block devices [V §5.2.5].</summary>
    private void BringUp()
    {
        _device.Negotiate(_ => VirtioBlkFeatures.Known | _options.QueueFeatures);
        _arena.Reset();
        // Of a device without queues the first one is asked for all the same, and found missing.
        uint count = Math.Max(1, Math.Min(Math.Min(_config.ReadQueues(), _options.Queues), _transport.QueueCount));
        _info = _config.Read();
        _sectorsPerBlock = _info.LogicalBlockBytes / VirtioBlkConfig.SectorBytes;
        VirtioBlkQueue[] queues = VirtQueueFactory.IsPacked(_device.Features) ? MakeQueues<PackedQueue>(count) : MakeQueues<SplitQueue>(count);
        _vectors = new VirtioVectors(_transport.Vectors, (int)count);
        _transport.SetConfigVector(_vectors.Configuration);
        for (ushort i = 0; i < count; i++) queues[i].SetUp(_transport, i, _vectors.OfQueue(i));
        _device.Begin();
        _info.Queues = count;
        _info.VectorsUsed = (uint)Math.Max(_transport.Vectors, 1);
        _intake = new BlockIntake(_info);
        _queues = queues;
    }

    /// <summary>Without tables a request takes as many entries as it has parts, and one that is larger than the queue cannot be.</summary>
    private VirtioBlkQueue[] MakeQueues<TQueue>(uint count)
        where TQueue : struct, IVirtQueue
    {
        bool tables = _device.Has(VirtioFeatures.IndirectDescriptors);
        VirtioBlkQueue[] queues = new VirtioBlkQueue[count];
        uint entries = uint.MaxValue;
        for (ushort i = 0; i < count; i++) entries = Math.Min(entries, _device.SizeOf(i, _options.Descriptors));
        if (entries <= VirtioBlkQueue.ExtraParts) throw new DeviceFaultException($"{_transport.Name}: a queue of {entries} entries holds no request [V §5.2.6]");
        _info.MaxSegments = Math.Min(_info.MaxSegments, entries - VirtioBlkQueue.ExtraParts);
        _info.MaxRequestBytes = (uint)Math.Min(_info.MaxRequestBytes, (ulong)_info.MaxSegments * _info.MaxSegmentBytes / _info.LogicalBlockBytes * _info.LogicalBlockBytes);
        _info.QueueDepth = count * (tables ? entries : entries / (1 + VirtioBlkQueue.ExtraParts));
        for (ushort i = 0; i < count; i++)
            queues[i] = new VirtioBlkQueue<TQueue>(_device.MakeQueue<TQueue>(_arena, i, entries, _info.MaxSegments + VirtioBlkQueue.ExtraParts), _arena, _info);
        return queues;
    }

    /// <summary>Size and write cache can change while the device runs [V §5.2.5.1].</summary>
    private void LookAtDevice()
    {
        _device.CheckHealth();
        BlockDeviceInfo now = _config.Read();
        const BlockFeatures switched = BlockFeatures.WriteCache;
        if (now.Blocks == _info.Blocks && (now.Features & switched) == (_info.Features & switched)) return;
        _info.Blocks = now.Blocks;
        _info.Features = (_info.Features & ~switched) | (now.Features & switched);
        _intake.Info = _info;
        _changed = true;
        _log($"the device has changed: {_info.Blocks} blocks, write cache {((_info.Features & switched) != 0 ? "on" : "off")}");
    }
}
