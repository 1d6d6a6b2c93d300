using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Vfio;
using Xinim.Vfio.VhostUser;

namespace Xinim.Drivers.Virtio.Transports;

/// <summary>
/// A virtio device over vhost-user: a virtual switch or a block server on this machine. What the protocol leaves to the front end, which for a
/// virtual machine is QEMU, is done here: the device status where the back end keeps none, and what takes a control queue, which no
/// back end has.
/// </summary>
public sealed class VhostUserTransport : IVirtioTransport
{
    /// <summary>Entries that every back end takes: the limit of libvhost-user and of rust-vmm's; DPDK takes more. The protocol has no question for it.</summary>
    private const uint MaxEntries = 1024;

    /// <summary>Both indices 0 and both wrap counters 1, as a new packed ring has them [V §2.8.1]: available in the lower half, used in the upper.</summary>
    private const uint PackedStart = 0x8000_8000;

    /// <summary>
    /// What QEMU would answer to itself. ACCESS_PLATFORM asks for an IOMMU's messages: the addresses here are those of the memory table. Bit 26
    /// logs what is written, for migration; bit 30 is the protocol's own.
    /// </summary>
    private const VirtioFeatures NotOffered = VirtioFeatures.AccessPlatform | VirtioFeatures.VhostUserProtocol | (VirtioFeatures)(1ul << 26);

    /// <summary>Of a NIC what needs a control queue: offloads, receive modes, VLANs, announcements, pairs of queues, MAC, coalescing, hashes [V §5.1.3.1].</summary>
    private const VirtioFeatures WithControlQueue = (VirtioFeatures)(1ul << 2 | 0x7Ful << 17 | 1ul << 52 | 1ul << 53 | 1ul << 57 | 1ul << 60);

    /// <summary>Of a NIC what stands in its configuration: MTU, address, status, speed [V §5.1.4].</summary>
    private const VirtioFeatures WithConfiguration = (VirtioFeatures)(1ul << 3 | 1ul << 5 | 1ul << 16 | 1ul << 63);

    /// <summary>Lengths of the configuration in [V §5.1.4, §5.2.4] and in what came before and after, longest first.</summary>
    private static readonly int[] NetworkLengths = [24, 17, 12, 10, 8, 6];
    private static readonly int[] BlockLengths = [96, 72, 60, 36, 24, 8];

    private readonly VhostUserDevice _device;
    private readonly IDeviceInterrupts _interrupts;
    private VirtioStatus _status;
    private VirtioFeatures _features;

    /// <param name="device">Owned by the caller.</param>
    /// <param name="interrupts">Enabled on it; owned by the caller.</param>
    public VhostUserTransport(VhostUserDevice device, IDeviceInterrupts interrupts)
    {
        _device = device;
        _interrupts = interrupts;
        ConfigLength = FindConfigLength();
    }

    public string Name => _device.Name;

    public VirtioDeviceType Type => (VirtioDeviceType)_device.Type;

    /// <summary>False: a back end reaches the memory table and nothing else, at the addresses that it was told.</summary>
    public bool NeedsAccessPlatform => false;

    public ushort QueueCount => _device.QueueCount;

    public bool PairsNeedNoCommand => true;

    public int Vectors => _interrupts.Count;

    public int ConfigLength { get; }

    private bool KeepsStatus => _device.Protocol.HasFlag(VhostUserFeatures.Status);

    /// <summary>
    /// Stops every ring. A back end may still finish requests that it has taken from one; that it has is certain when it answers the supervisor on
    /// the next connection, before the next driver.
    /// </summary>
    public void Reset()
    {
        _device.Reset();
        _status = VirtioStatus.None;
        _features = VirtioFeatures.None;
    }

    public VirtioStatus Status
    {
        get => KeepsStatus ? (VirtioStatus)_device.ReadStatus() : _status;
        set
        {
            _status |= value;
            if (KeepsStatus) _device.WriteStatus((byte)_status);
        }
    }

    public VirtioFeatures ReadFeatures()
    {
        VirtioFeatures offered = (VirtioFeatures)_device.ReadFeatures() & ~NotOffered;
        if (Type == VirtioDeviceType.Network) offered &= ~(WithControlQueue | (ConfigLength == 0 ? WithConfiguration : 0));
        if (!offered.HasFlag(VirtioFeatures.Version1)) throw new DeviceFaultException($"{Name}: the back end offers 0x{(ulong)offered:x}, without VERSION_1; legacy devices are not driven");
        return offered;
    }

    public void WriteFeatures(VirtioFeatures features)
    {
        if ((features & NotOffered) != 0) throw new ArgumentException($"{Name} did not offer 0x{(ulong)(features & NotOffered):x}", nameof(features));
        _device.WriteFeatures((ulong)features);
        _features = features;
    }

    public uint MaxQueueSize(ushort queue) => queue < QueueCount ? MaxEntries : 0;

    public VirtioDoorbell SetUpQueue(ushort queue, in VirtQueueMemory memory, int? vector)
        => new KickDoorbell(_device.StartRing(
            queue, memory.Size, _features.HasFlag(VirtioFeatures.RingPacked) ? PackedStart : 0, memory.Descriptors, available: memory.Driver, used: memory.Device, vector));

    public void ResetQueue(ushort queue) => _device.StopRing(queue);

    public void SetConfigVector(int? vector) => _device.SetConfigVector(vector);

    /// <summary>One message, so that no generation is needed; <paramref name="width"/> means nothing here.</summary>
    public void ReadConfig(int offset, Span<byte> into, int width)
    {
        if (offset < 0 || into.Length > ConfigLength || offset > ConfigLength - into.Length)
            throw new DeviceFaultException($"{Name} has {ConfigLength} bytes of configuration; bytes {offset} to {offset + into.Length - 1} are not among them");
        Span<byte> all = stackalloc byte[offset + into.Length];
        if (!_device.TryReadConfig(all)) throw new DeviceFaultException($"{Name}: the back end gives {all.Length} bytes of its configuration no more, which it gave before");
        all[offset..].CopyTo(into);
    }

    public void WriteConfig(int offset, ReadOnlySpan<byte> value) => _device.WriteConfig(offset, value);

    /// <summary>Both: an eventfd does not say what it was.</summary>
    public VirtioInterrupts TakeInterrupts() => VirtioInterrupts.Queue | VirtioInterrupts.Configuration;

    public void Synchronize() => _device.Synchronize();

    /// <summary>Nothing: the device is its maker's.</summary>
    public void Dispose()
    {
    }

    /// <summary>The longest that the back end gives; 0 where it has none, as DPDK's.</summary>
    private int FindConfigLength()
    {
        Span<byte> room = stackalloc byte[BlockLengths[0]];
        foreach (int length in Type == VirtioDeviceType.Network ? NetworkLengths : BlockLengths)
        {
            if (_device.TryReadConfig(room[..length])) return length;
        }

        return 0;
    }

    /// <summary>A system call; a back end that polls says in the ring that it wants none.</summary>
    private sealed class KickDoorbell(SafeFileHandle kick) : VirtioDoorbell
    {
        public override void Ring() => Descriptor.Signal(kick);
    }
}
