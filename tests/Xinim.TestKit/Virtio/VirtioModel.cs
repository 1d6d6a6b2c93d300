using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;

namespace Xinim.TestKit.Virtio;

/// <summary>
/// A virtio device in this process, behind the interface that drivers see. It does nothing by itself: a test pops from <see cref="Queue"/>,
/// uses, and calls <see cref="Flush"/>. What the driver does against [V §3.1.1, §2.1] is written down. [V] = Virtual I/O Device (VIRTIO)
/// Version 1.2.
/// </summary>
public sealed class VirtioModel : IVirtioTransport
{
    private const int ConfigAttempts = 100;

    private readonly VirtioModelOptions _options;
    private readonly byte[] _config;
    private readonly DeviceQueue?[] _queues;
    private readonly int?[] _vectors;
    private readonly List<string> _violations = [];
    private VirtioStatus _status;
    private VirtioInterrupts _pending;
    private int? _configVector;
    private bool _featuresWritten;
    private VirtioMisbehaviour _late;

    public VirtioModel(VirtioModelOptions options)
    {
        _options = options;
        _config = [.. options.Config];
        _queues = new DeviceQueue?[options.Queues];
        _vectors = new int?[options.Queues];
        Notified = new int[options.Queues];
        Raised = new int[options.Vectors];
        Dma.Enabled = true;
    }

    /// <summary>What the driver did that a device need not bear; those of its queues among them.</summary>
    public IEnumerable<string> Violations => _queues.OfType<DeviceQueue>().SelectMany(queue => queue.Violations).Concat(_violations);

    /// <summary>Memory that the device reaches.</summary>
    public FakeDma Dma { get; } = new();

    /// <summary>What the driver accepted.</summary>
    public VirtioFeatures Accepted { get; private set; }

    /// <summary>How often each queue's doorbell was rung.</summary>
    public int[] Notified { get; }

    /// <summary>How often each vector was raised.</summary>
    public int[] Raised { get; }

    /// <summary>Called for each vector that is raised: a test passes it on to the driver.</summary>
    public Action<int>? Interrupt { get; set; }

    /// <summary>Called for each doorbell: a test lets the device work.</summary>
    public Action<ushort>? Notify { get; set; }

    public int Resets { get; private set; }

    /// <summary>Calls of <see cref="Synchronize"/>.</summary>
    public int Synchronized { get; private set; }

    /// <summary>The configuration as it is.</summary>
    public ReadOnlySpan<byte> Config => _config;

    public uint Generation { get; private set; }

    public string Name => $"virtio {Type} model";

    public VirtioDeviceType Type => _options.Type;

    public bool NeedsAccessPlatform => _options.NeedsAccessPlatform;

    public ushort QueueCount => _options.Queues;

    public int Vectors => _options.Vectors;

    public int ConfigLength => _config.Length;

    public VirtioStatus Status
    {
        get => _status;
        set
        {
            if ((_status & ~value & ~VirtioStatus.NeedsReset) != 0) Violation($"status {value} clears bits of {_status} [V §2.1.1]");
            _status |= Accept(value & ~_status);
            if ((_status & VirtioStatus.DriverOk) != 0 && Misbehaves(VirtioMisbehaviour.NeedsReset)) FailNow();
        }
    }

    /// <summary>The device's end of a queue; null while it is not set up.</summary>
    public DeviceQueue? Queue(ushort queue) => _queues[queue];

    /// <summary>From now on.</summary>
    public void Misbehave(VirtioMisbehaviour how) => _late |= how;

    public void Reset()
    {
        Resets++;
        if (Misbehaves(VirtioMisbehaviour.StuckReset)) throw new DeviceFaultException($"{Name}: device_status does not become 0 after a reset [V §4.1.4.3.2]");
        _status = VirtioStatus.None;
        Accepted = VirtioFeatures.None;
        _featuresWritten = false;
        _configVector = null;
        _pending = VirtioInterrupts.None;
        foreach (DeviceQueue queue in _queues.OfType<DeviceQueue>()) _violations.AddRange(queue.Violations);
        Array.Clear(_queues);
        Array.Clear(_vectors);
    }

    public VirtioFeatures ReadFeatures() => Misbehaves(VirtioMisbehaviour.OffersEverything) ? (VirtioFeatures)ulong.MaxValue : _options.Features;

    public void WriteFeatures(VirtioFeatures features)
    {
        if ((_status & VirtioStatus.Driver) == 0 || (_status & VirtioStatus.FeaturesOk) != 0) Violation($"features written in status {_status} [V §3.1.1]");
        if ((features & ~ReadFeatures()) is not VirtioFeatures.None and var beyond) Violation($"accepts {beyond}, which is not offered [V §2.2.1]");
        Accepted = features;
        _featuresWritten = true;
    }

    public uint MaxQueueSize(ushort queue)
    {
        if (queue >= QueueCount || Misbehaves(VirtioMisbehaviour.NoQueues)) return 0;
        if (Misbehaves(VirtioMisbehaviour.HugeQueueSize)) return 65536;
        return Misbehaves(VirtioMisbehaviour.OddQueueSize) ? _options.QueueSize - 1 : _options.QueueSize;
    }

    public VirtioDoorbell SetUpQueue(ushort queue, in VirtQueueMemory memory, int? vector)
    {
        if (queue >= QueueCount) throw new DeviceFaultException($"{Name}: there is no queue {queue} [V §4.1.4.3]");
        if ((_status & VirtioStatus.FeaturesOk) == 0) Violation($"queue {queue} set up in status {_status} [V §3.1.1]");
        if (_queues[queue] is not null) Violation($"queue {queue} set up twice [V §4.1.4.3.2]");
        if (memory.Size == 0 || memory.Size > MaxQueueSize(queue)) Violation($"queue {queue} of {memory.Size} entries, {MaxQueueSize(queue)} at the most");
        _vectors[queue] = Take(vector, $"queue {queue}");
        _queues[queue] = DeviceQueue.Of(Dma, memory, Accepted);
        return new ModelDoorbell(this, queue);
    }

    public void ResetQueue(ushort queue)
    {
        if ((Accepted & VirtioFeatures.RingReset) == 0) Violation($"queue {queue} reset without RING_RESET [V §2.6.1]");
        if (Misbehaves(VirtioMisbehaviour.StuckReset)) throw new DeviceFaultException($"{Name}: the reset of queue {queue} is never done [V §2.6.1]");
        if (_queues[queue] is { } old) _violations.AddRange(old.Violations);
        _queues[queue] = null;
        _vectors[queue] = null;
    }

    public void SetConfigVector(int? vector) => _configVector = Take(vector, "configuration changes");

    public void ReadConfig(int offset, Span<byte> into, int width)
    {
        if (width is not (1 or 2 or 4)) throw new ArgumentOutOfRangeException(nameof(width), width, "accesses are of 1, 2 or 4 bytes");
        if (offset < 0 || into.Length > ConfigLength - offset)
            throw new DeviceFaultException($"{Name}: {into.Length} bytes at {offset} of a configuration of {ConfigLength} [V §2.5]");
        if (offset % width != 0 || into.Length % width != 0) Violation($"{into.Length} bytes of configuration at {offset} in accesses of {width} [V §4.1.3.1]");
        for (int attempt = 0; attempt < ConfigAttempts; attempt++)
        {
            uint before = Generation;
            _config.AsSpan(offset, into.Length).CopyTo(into);
            if (Misbehaves(VirtioMisbehaviour.RestlessConfig)) Generation++;
            if (Generation == before) return;
        }

        throw new DeviceFaultException($"{Name}: config_generation is another one after each of {ConfigAttempts} reads [V §2.5.3]");
    }

    public void WriteConfig(int offset, ReadOnlySpan<byte> value)
    {
        if (offset < 0 || value.Length > ConfigLength - offset) throw new DeviceFaultException($"{Name}: {value.Length} bytes at {offset} of a configuration of {ConfigLength} [V §2.5]");
        value.CopyTo(_config.AsSpan(offset));
    }

    public VirtioInterrupts TakeInterrupts()
    {
        VirtioInterrupts pending = _pending;
        _pending = VirtioInterrupts.None;
        return pending;
    }

    public void Synchronize() => Synchronized++;

    /// <summary>The device changes its configuration, and says so [V §2.5.2].</summary>
    public void ChangeConfig(int offset, ReadOnlySpan<byte> value)
    {
        value.CopyTo(_config.AsSpan(offset));
        Generation++;
        RaiseConfig();
    }

    /// <summary>The device gives up [V §2.1.2].</summary>
    public void FailNow()
    {
        if ((_status & VirtioStatus.NeedsReset) != 0) return;
        _status |= VirtioStatus.NeedsReset;
        if ((_status & VirtioStatus.DriverOk) != 0) RaiseConfig();
    }

    /// <summary>Shows the driver what was used in a queue, and interrupts where it wants that.</summary>
    /// <returns>True where it was interrupted.</returns>
    public bool Flush(ushort queue)
    {
        if (_queues[queue]?.Flush() != true) return false;
        _pending |= VirtioInterrupts.Queue;
        Raise(_vectors[queue]);
        return true;
    }

    public void Dispose() => Dma.Dispose();

    /// <summary>The bits of a status that the device takes, in the order that [V §3.1.1] prescribes.</summary>
    private VirtioStatus Accept(VirtioStatus added)
    {
        Demand(added, VirtioStatus.Driver, VirtioStatus.Acknowledge);
        Demand(added, VirtioStatus.FeaturesOk, VirtioStatus.Driver);
        Demand(added, VirtioStatus.DriverOk, VirtioStatus.FeaturesOk);
        if ((added & VirtioStatus.FeaturesOk) == 0) return added;
        if (!_featuresWritten) Violation("FEATURES_OK before features were written [V §3.1.1]");
        bool agreed = (Accepted & ~ReadFeatures()) == 0
            && (Accepted & VirtioFeatures.Version1) != 0
            && (!NeedsAccessPlatform || (Accepted & VirtioFeatures.AccessPlatform) != 0)
            && !Misbehaves(VirtioMisbehaviour.RefusesFeatures);
        return agreed ? added : added & ~VirtioStatus.FeaturesOk;
    }

    private void Demand(VirtioStatus added, VirtioStatus bit, VirtioStatus before)
    {
        if ((added & bit) != 0 && ((_status | added) & before) == 0) Violation($"{bit} without {before} [V §3.1.1]");
    }

    private int? Take(int? vector, string what)
    {
        if (vector is not { } wanted) return null;
        if (wanted < 0 || wanted >= Vectors || Misbehaves(VirtioMisbehaviour.RefusesVectors))
            throw new DeviceFaultException($"{Name}: vector {wanted} is refused for {what} [V §4.1.5.1.2]");
        return wanted;
    }

    private void RaiseConfig()
    {
        _pending |= VirtioInterrupts.Configuration;
        Raise(_configVector);
    }

    private void Raise(int? vector)
    {
        if (vector is not { } number) return;
        Raised[number]++;
        Interrupt?.Invoke(number);
    }

    private bool Misbehaves(VirtioMisbehaviour how) => ((_options.Misbehaviour | _late) & how) != 0;

    private void Violation(string what) => _violations.Add(what);

    private sealed class ModelDoorbell(VirtioModel model, ushort queue) : VirtioDoorbell
    {
        public override void Ring()
        {
            if ((model._status & VirtioStatus.DriverOk) == 0) model.Violation($"doorbell of queue {queue} in status {model._status} [V §3.1.1]");
            if (model._queues[queue] is null) model.Violation($"doorbell of queue {queue}, which is not set up");
            model.Notified[queue]++;
            model.Notify?.Invoke(queue);
        }
    }
}
