using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Pci;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Virtio.Transports;

/// <summary>
/// Virtio over PCI [V §4.1], the modern interface; of a transitional device that part of it which is modern. [V] = Virtual I/O Device (VIRTIO)
/// Version 1.2, OASIS Committee Specification.
/// </summary>
public sealed class VirtioPciTransport : IVirtioTransport
{
    private const ushort VirtioVendor = 0x1af4; // [V §4.1.2]
    private const ushort FirstTransitional = 0x1000, FirstModern = 0x1040, LastModern = 0x107f; // [V §4.1.2]
    private const ushort NoVector = 0xffff; // VIRTIO_MSI_NO_VECTOR [V §4.1.5.1.2]
    private const uint MaxQueueEntries = 32768; // [V §2.7]

    // struct virtio_pci_common_cfg [V §4.1.4.3].
    private const uint DeviceFeatureSelect = 0, DeviceFeature = 4, DriverFeatureSelect = 8, DriverFeature = 12;
    private const uint ConfigVector = 16, QueueNumber = 18, DeviceStatus = 20, ConfigGeneration = 21;
    private const uint QueueSelect = 22, QueueSize = 24, QueueVector = 26, QueueEnable = 28, QueueNotifyOffset = 30;
    private const uint QueueDescriptors = 32, QueueDriver = 40, QueueDevice = 48, QueueReset = 58;
    private const uint CommonBytes = 56, CommonBytesWithReset = 60;

    private const int ConfigTries = 64;

    /// <summary>For a reset of the device or of a queue; [V] gives none. QEMU needs none, hardware some milliseconds.</summary>
    private static readonly TimeSpan s_resetLimit = TimeSpan.FromSeconds(1);

    private readonly IPciDevice _device;
    private readonly bool _messages;
    private readonly VirtioPciStructure _common;
    private readonly VirtioPciStructure _notify;
    private readonly VirtioPciStructure _isr;
    private readonly VirtioPciStructure _config;
    private readonly uint _multiplier;

    /// <param name="interrupts">As they are routed: MSI-X, or INTx.</param>
    /// <exception cref="DeviceFaultException">It is no virtio device, a legacy one only, or its capabilities are broken.</exception>
    public VirtioPciTransport(IPciDevice device, IDeviceInterrupts interrupts)
    {
        _device = device;
        Type = TypeOf(device);
        _messages = interrupts.Kind == InterruptKind.MsiX;
        Vectors = _messages ? interrupts.Count : 0;
        VirtioPciLayout layout = VirtioPciLayout.Read(device.Config);
        _common = VirtioPciStructure.Open(device, layout.Common, layout.ConfigAccess, "common configuration [V §4.1.4.3]", CommonBytes, 4);
        _notify = VirtioPciStructure.Open(device, layout.Notify, layout.ConfigAccess, "notification structure [V §4.1.4.4]", 2, 2);
        _isr = VirtioPciStructure.Open(device, layout.Isr, layout.ConfigAccess, "ISR status [V §4.1.4.5]", 1, 1);
        _config = VirtioPciStructure.Open(device, layout.Device, layout.ConfigAccess, "device configuration [V §4.1.4.6]", 1, 4);
        _multiplier = layout.NotifyMultiplier;
        if (_multiplier % 2 != 0) throw new DeviceFaultException($"{Name}: notify_off_multiplier is {_multiplier}, an odd number [V §4.1.4.4.1]");
    }

    public string Name => _device.Name;

    public VirtioDeviceType Type { get; }

    public bool NeedsAccessPlatform => true;

    public ushort QueueCount => _common.Read16(QueueNumber);

    public int Vectors { get; }

    public VirtioStatus Status
    {
        get => (VirtioStatus)_common.Read8(DeviceStatus);
        set => _common.Write8(DeviceStatus, (byte)value);
    }

    public int ConfigLength => (int)Math.Min(_config.Length, 4096);

    /// <summary>Only after the reset may the device reach memory again: what a former driver left it with would be written to.</summary>
    public void Reset()
    {
        _common.Write8(DeviceStatus, 0);
        Wait.Until(() => _common.Read8(DeviceStatus) == 0, s_resetLimit, $"{Name}: device_status 0 after a reset [V §4.1.4.3.2]", TimeSpan.FromMilliseconds(1));
        ushort command = _device.Config.Read16(PciConfigSpace.Command);
        _device.Config.Write16(PciConfigSpace.Command, (ushort)(command | PciConfigSpace.CommandBusMaster));
    }

    public VirtioFeatures ReadFeatures()
    {
        _common.Write32(DeviceFeatureSelect, 0);
        ulong low = _common.Read32(DeviceFeature);
        _common.Write32(DeviceFeatureSelect, 1);
        return (VirtioFeatures)(low | ((ulong)_common.Read32(DeviceFeature) << 32));
    }

    public void WriteFeatures(VirtioFeatures features)
    {
        _common.Write32(DriverFeatureSelect, 0);
        _common.Write32(DriverFeature, (uint)features);
        _common.Write32(DriverFeatureSelect, 1);
        _common.Write32(DriverFeature, (uint)((ulong)features >> 32));
    }

    public uint MaxQueueSize(ushort queue)
    {
        if (queue >= QueueCount) return 0;
        _common.Write16(QueueSelect, queue);
        uint size = _common.Read16(QueueSize);
        if (size > MaxQueueEntries) throw new DeviceFaultException($"{Name}: queue {queue} has {size} entries, more than {MaxQueueEntries} [V §2.7]");
        return size;
    }

    public VirtioDoorbell SetUpQueue(ushort queue, in VirtQueueMemory memory, int? vector)
    {
        if (memory.Size > MaxQueueSize(queue)) throw new DeviceFaultException($"{Name}: queue {queue} has no {memory.Size} entries [V §4.1.5.1.3]");
        _common.Write16(QueueSize, (ushort)memory.Size);
        SetVector(QueueVector, vector, $"queue {queue}");
        _common.Write64(QueueDescriptors, memory.Descriptors.Value);
        _common.Write64(QueueDriver, memory.Driver.Value);
        _common.Write64(QueueDevice, memory.Device.Value);
        ulong notify = (ulong)_common.Read16(QueueNotifyOffset) * _multiplier;
        if (notify > _notify.Length - sizeof(ushort))
            throw new DeviceFaultException($"{Name}: the doorbell of queue {queue} is at 0x{notify:x}; the notification structure has {_notify.Length} bytes [V §4.1.4.4.1]");
        _common.Write16(QueueEnable, 1);
        return new Doorbell(_notify, (uint)notify, queue);
    }

    public void ResetQueue(ushort queue)
    {
        if (_common.Length < CommonBytesWithReset) throw new DeviceFaultException($"{Name}: it offers RING_RESET and has no queue_reset [V §4.1.4.3]");
        _common.Write16(QueueSelect, queue);
        _common.Write16(QueueReset, 1);
        Wait.Until(() => _common.Read16(QueueReset) == 0, s_resetLimit, $"{Name}: queue_reset 0 of queue {queue} [V §2.6.1.2]");
    }

    public void SetConfigVector(int? vector) => SetVector(ConfigVector, vector, "configuration changes");

    public void ReadConfig(int offset, Span<byte> into, int width)
    {
        if (offset + into.Length > ConfigLength)
            throw new DeviceFaultException($"{Name}: its configuration has {ConfigLength} bytes, a field ends at {offset + into.Length} [V §4.1.4.6]");
        for (int tries = 0; tries < ConfigTries; tries++)
        {
            byte generation = _common.Read8(ConfigGeneration);
            for (int at = 0; at < into.Length; at += width) ReadField((uint)(offset + at), into.Slice(at, width));
            if (_common.Read8(ConfigGeneration) == generation) return;
        }

        throw new DeviceFaultException($"{Name}: its configuration changed at each of {ConfigTries} looks (config_generation) [V §2.5.3]");
    }

    public void WriteConfig(int offset, ReadOnlySpan<byte> value)
    {
        if (offset + value.Length > ConfigLength) throw new ArgumentOutOfRangeException(nameof(offset), offset, "outside the configuration");
        switch (value.Length)
        {
            case 1: _config.Write8((uint)offset, value[0]); break;
            case 2: _config.Write16((uint)offset, BitConverter.ToUInt16(value)); break;
            case 4: _config.Write32((uint)offset, BitConverter.ToUInt32(value)); break;
            default: throw new ArgumentOutOfRangeException(nameof(value), value.Length, "fields have 1, 2 or 4 bytes");
        }
    }

    /// <summary>Reading clears it, and lowers INTx.</summary>
    public VirtioInterrupts TakeInterrupts() => (VirtioInterrupts)_isr.Read8(0);

    /// <summary>The IOMMU's mappings were made before this process heard of them.</summary>
    public void Synchronize()
    {
    }

    /// <summary>The device belongs to whoever made this.</summary>
    public void Dispose()
    {
    }

    private static VirtioDeviceType TypeOf(IPciDevice device)
    {
        (ushort vendor, ushort id) = (device.Config.Read16(PciConfigSpace.VendorId), device.Config.Read16(PciConfigSpace.DeviceId));
        if (vendor != VirtioVendor || id is < FirstTransitional or > LastModern) throw new DeviceFaultException($"{device.Name} is {vendor:x4}:{id:x4}, no virtio device [V §4.1.2]");
        // A transitional device says what it is in its subsystem id [V §4.1.2.3].
        return (VirtioDeviceType)(id >= FirstModern ? id - FirstModern : device.Config.Read16(PciConfigSpace.SubsystemId));
    }

    /// <summary>A device without room for the mapping shows so by NO_VECTOR [V §4.1.5.1.2.1].</summary>
    private void SetVector(uint register, int? vector, string what)
    {
        if (!_messages) return;
        ushort value = vector is { } number ? checked((ushort)number) : NoVector;
        _common.Write16(register, value);
        ushort seen = _common.Read16(register);
        if (seen != value) throw new DeviceFaultException($"{Name}: it refuses vector {value} for {what} and shows {seen} [V §4.1.5.1.2.1]");
    }

    private void ReadField(uint offset, Span<byte> into)
    {
        switch (into.Length)
        {
            case 1: into[0] = _config.Read8(offset); break;
            case 2: BitConverter.TryWriteBytes(into, _config.Read16(offset)); break;
            case 4: BitConverter.TryWriteBytes(into, _config.Read32(offset)); break;
            default: throw new ArgumentOutOfRangeException(nameof(into), into.Length, "accesses have 1, 2 or 4 bytes [V §4.1.3.1]");
        }
    }

    private sealed class Doorbell(VirtioPciStructure notify, uint offset, ushort queue) : VirtioDoorbell
    {
        /// <summary>The queue's number, 16 bits [V §4.1.5.2].</summary>
        public override void Ring()
        {
            MemoryOrder.DescriptorsBeforeDoorbell();
            notify.Write16(offset, queue);
        }
    }
}
