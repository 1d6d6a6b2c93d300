using System.Buffers.Binary;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.TestKit.Virtio;

/// <summary>
/// The registers of a virtio device on PCI, written from [V §4.1] and not from the transport; it has no queues behind them. What a driver does
/// against [V] is written down, and what it does to the device in which order. [V] = Virtual I/O Device (VIRTIO) Version 1.2.
/// </summary>
public sealed class VirtioPciModel : RegisterChannel
{
    private const int FirstCapability = 0x40;

    private readonly VirtioPciModelOptions _options;
    private readonly byte[] _config;
    private readonly QueueRegisters[] _queues;
    private readonly List<string> _events = [];
    private int _accessAt;
    private uint _deviceSelect;
    private uint _driverSelect;
    private ushort _configVector = ushort.MaxValue;
    private int? _selected;
    private int _resetReads;
    private int _configChanges;
    private byte _generation;

    public VirtioPciModel(VirtioPciModelOptions options)
    {
        _options = options;
        _config = [.. options.Config];
        _configChanges = options.ConfigChanges;
        _queues = [.. options.Queues.Select(size => new QueueRegisters(size))];
        Device = new FakePciDevice(options.Identity, this, options.Bars, new InterruptSupport(true, 0, 64));
        Device.FakeConfig.BusMasterChanged = on => _events.Add(on ? "bus master on" : "bus master off");
        LayOut(Device.FakeConfig);
    }

    public FakePciDevice Device { get; }

    /// <summary>What [V] forbids, as it was done.</summary>
    public List<string> Violations { get; } = [];

    /// <summary>Resets, status, features, bus mastering, queues, doorbells, in their order.</summary>
    public IReadOnlyList<string> Events => _events;

    public byte Status { get; set; }

    /// <summary>What the driver accepted.</summary>
    public ulong Accepted { get; private set; }

    /// <summary>Reading clears it.</summary>
    public byte Isr { get; set; }

    /// <summary>Widths of the accesses to the device configuration, each with its offset.</summary>
    public List<(uint Offset, int Size)> ConfigAccesses { get; } = [];

    /// <summary>Accesses through the window in configuration space.</summary>
    public int WindowAccesses { get; private set; }

    public ReadOnlySpan<byte> Config => _config;

    public QueueRegisters Queue(int number) => _queues[number];

    public override ulong Read(int bar, uint offset, int size)
    {
        (byte type, uint at) = Find(bar, offset);
        switch (type)
        {
            case VirtioPciCapability.CommonType: return ReadCommon(at, size);
            case VirtioPciCapability.DeviceType: return ReadConfig(at, size);
            case VirtioPciCapability.IsrType:
                byte isr = Isr;
                Isr = 0;
                return isr;
            default:
                Violations.Add($"{size} bytes read at 0x{offset:x} of BAR {bar}");
                return 0;
        }
    }

    public override void Write(int bar, uint offset, int size, ulong value)
    {
        (byte type, uint at) = Find(bar, offset);
        switch (type)
        {
            case VirtioPciCapability.CommonType: WriteCommon(at, size, value); break;
            case VirtioPciCapability.NotifyType when size == 2: _events.Add($"doorbell 0x{at:x} = {value}"); break;
            case VirtioPciCapability.DeviceType: Put(at, size, value); break;
            default: Violations.Add($"{size} bytes written at 0x{offset:x} of BAR {bar}"); break;
        }
    }

    /// <summary>Takes what was done so far away.</summary>
    public void ForgetEvents() => _events.Clear();

    private ulong ReadCommon(uint at, int size) => (at, size) switch
    {
        (0, 4) => _deviceSelect,
        (4, 4) => _deviceSelect < 2 ? (uint)(_options.Features >> (int)(32 * _deviceSelect)) : 0,
        (16, 2) => _configVector,
        (18, 2) => (ulong)_queues.Length,
        (20, 1) => ShowStatus(),
        (21, 1) => _generation,
        (24, 2) => Selected()?.Size ?? 0ul,
        (26, 2) => Selected()?.Vector ?? 0ul,
        (28, 2) => Selected()?.Enabled ?? 0ul,
        (30, 2) => _options.NotifyOffsets.TryGetValue(_selected ?? 0, out ushort offset) ? offset : (ulong)(_selected ?? 0),
        (58, 2) => Selected()?.ShowReset() ?? 0ul,
        _ => Wrong($"{size} bytes read at {at} of the common configuration [V §4.1.3.1]"),
    };

    private void WriteCommon(uint at, int size, ulong value)
    {
        switch (at, size)
        {
            case (0, 4): _deviceSelect = (uint)value; break;
            case (8, 4): _driverSelect = (uint)value; break;
            case (12, 4): Accepted = _driverSelect == 0 ? (Accepted & ~0xffff_fffful) | value : (Accepted & 0xffff_ffff) | (value << 32); break;
            case (16, 2): _configVector = value < (ulong)_options.RefusedVectors ? (ushort)value : ushort.MaxValue; break;
            case (20, 1): WriteStatus((byte)value); break;
            case (22, 2): _selected = (int)value; break;
            case (24, 2): Change("size", queue => queue.Size = (ushort)value); break;
            case (26, 2): Change("vector", queue => queue.Vector = value < (ulong)_options.RefusedVectors ? (ushort)value : ushort.MaxValue); break;
            case (28, 2): Enable(value); break;
            case ( >= 32 and < 56, 4): Change("address", queue => queue.PutAddress(at - 32, (uint)value)); break;
            case (58, 2): Reset(value); break;
            default: _ = Wrong($"{size} bytes written at {at} of the common configuration [V §4.1.3.1, §4.1.4.3.2]"); break;
        }
    }

    private byte ShowStatus()
    {
        if (_resetReads == 0) return Status;
        if (_resetReads > 0) _resetReads--;
        return 0xf;
    }

    private void WriteStatus(byte value)
    {
        _events.Add($"status {value}");
        if (value != 0 && _resetReads != 0) Violations.Add("status written before the reset was done [V §4.1.4.3.2]");
        Status = value;
        if (value != 0) return;
        _resetReads = _options.ResetReads;
        _selected = null;
        _configVector = ushort.MaxValue;
        Accepted = 0;
        for (int i = 0; i < _queues.Length; i++) _queues[i] = new QueueRegisters(_options.Queues[i]);
    }

    /// <summary>Registers of a queue count for the one that was selected.</summary>
    private QueueRegisters? Selected()
    {
        if (_selected is null) Violations.Add("a queue's register without queue_select [V §4.1.5.1.3]");
        return _selected is { } number && number < _queues.Length ? _queues[number] : null;
    }

    private void Change(string what, Action<QueueRegisters> change)
    {
        if (Selected() is not { } queue) return;
        if (queue.Enabled != 0) Violations.Add($"{what} of queue {_selected} after it was enabled [V §4.1.4.3.2]");
        change(queue);
    }

    private void Enable(ulong value)
    {
        if (value != 1) Violations.Add($"{value} in queue_enable [V §4.1.4.3.2]");
        if (Selected() is { } queue) queue.Enabled = (ushort)value;
        _events.Add($"queue {_selected} enabled");
    }

    private void Reset(ulong value)
    {
        if (value != 1 || (Accepted >> 40 & 1) == 0) Violations.Add($"{value} in queue_reset [V §4.1.4.3.2]");
        _events.Add($"queue {_selected} reset");
        Selected()?.Reset(_options.QueueResetReads);
    }

    private ulong ReadConfig(uint at, int size)
    {
        ConfigAccesses.Add((at, size));
        if (_configChanges != 0)
        {
            if (_configChanges > 0) _configChanges--;
            _generation++;
            if (at < _config.Length) _config[at]++;
        }

        ulong value = 0;
        for (int i = 0; i < size && at + i < _config.Length; i++) value |= (ulong)_config[at + i] << (8 * i);
        return value;
    }

    private void Put(uint at, int size, ulong value)
    {
        ConfigAccesses.Add((at, size));
        for (int i = 0; i < size; i++) _config[at + i] = (byte)(value >> (8 * i));
    }

    private (byte Type, uint At) Find(int bar, uint offset)
    {
        VirtioPciCapability? found = _options.Capabilities.FirstOrDefault(place
            => place.Type is >= VirtioPciCapability.CommonType and <= VirtioPciCapability.DeviceType && place.Bar == bar && offset >= place.Offset && offset - place.Offset < place.Length);
        return found is null ? ((byte)0, 0) : (found.Type, offset - found.Offset);
    }

    private void LayOut(FakeConfig config)
    {
        if (_options.HasList) config.Poke(0x06, 0x10, 0);
        config.Poke(0x34, FirstCapability);
        int at = FirstCapability;
        for (int i = 0; i < _options.Capabilities.Count; i++)
        {
            VirtioPciCapability place = _options.Capabilities[i];
            byte[] bytes = new byte[20];
            bool last = i == _options.Capabilities.Count - 1;
            ((ReadOnlySpan<byte>)[0x09, last ? _options.Loops ? (byte)FirstCapability : (byte)0 : (byte)(at + 20), place.ShownBytes, place.Type, place.Bar]).CopyTo(bytes);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), place.Offset);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), place.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(16), place.Type == VirtioPciCapability.NotifyType ? _options.Multiplier : 0);
            config.Poke(at, bytes);
            if (place.Type == VirtioPciCapability.AccessType) _accessAt = at;
            at += 20;
        }

        if (_accessAt == 0) return;
        config.Reading = (offset, size) => offset - _accessAt == 16 ? (uint)Read(Window(config, size, out uint where), where, size) : null;
        config.Writing = (offset, size, value) =>
        {
            if (offset - _accessAt != 16) return false;
            Write(Window(config, size, out uint where), where, size, value);
            return true;
        };
    }

    /// <summary>The window shows what bar, offset and length say [V §4.1.4.9].</summary>
    private int Window(FakeConfig config, int size, out uint offset)
    {
        WindowAccesses++;
        offset = config.Read32(_accessAt + 8);
        uint length = config.Read32(_accessAt + 12);
        if (length != size || offset % length != 0) Violations.Add($"a window of {length} bytes at 0x{offset:x}, accessed by {size} [V §4.1.4.9.2]");
        return config.Read8(_accessAt + 4);
    }

    private ulong Wrong(string what)
    {
        Violations.Add(what);
        return 0;
    }

    /// <summary>What the common configuration has for each queue [V §4.1.4.3].</summary>
    public sealed class QueueRegisters(ushort size)
    {
        private readonly uint[] _address = new uint[6];
        private int _resetReads;

        public ushort Size { get; set; } = size;

        public ushort Vector { get; set; } = ushort.MaxValue;

        public ushort Enabled { get; set; }

        /// <summary>queue_desc, queue_driver, queue_device.</summary>
        public ulong Address(int part) => _address[2 * part] | ((ulong)_address[(2 * part) + 1] << 32);

        internal void PutAddress(uint at, uint value) => _address[at / 4] = value;

        internal void Reset(int reads)
        {
            Enabled = 0;
            _resetReads = reads;
        }

        internal ulong ShowReset()
        {
            if (_resetReads == 0) return 0;
            if (_resetReads > 0) _resetReads--;
            return 1;
        }
    }
}
