using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;

namespace Xinim.TestKit.Virtio;

/// <summary>What a <see cref="VirtioModel"/> is.</summary>
public sealed record VirtioModelOptions(VirtioDeviceType Type)
{
    /// <summary>Offered [V §2.2].</summary>
    public VirtioFeatures Features { get; init; } = VirtioFeatures.Version1;

    /// <summary>Its configuration at the start [V §2.5].</summary>
    public byte[] Config { get; init; } = [];

    public ushort Queues { get; init; } = 2;

    /// <summary>Entries of a queue at the most.</summary>
    public uint QueueSize { get; init; } = 256;

    public int Vectors { get; init; } = 3;

    /// <summary>The device is behind an IOMMU: a driver that does not accept ACCESS_PLATFORM is refused [V §6.2].</summary>
    public bool NeedsAccessPlatform { get; init; }

    public VirtioMisbehaviour Misbehaviour { get; init; }
}

/// <summary>What a broken or hostile device does.</summary>
[Flags]
public enum VirtioMisbehaviour
{
    None = 0,

    /// <summary>FEATURES_OK does not stay set [V §3.1.1].</summary>
    RefusesFeatures = 1 << 0,

    /// <summary>The status never reads 0 after a reset, nor is a queue's reset ever done.</summary>
    StuckReset = 1 << 1,

    /// <summary>Every queue has size 0: there is none [V §4.1.4.3].</summary>
    NoQueues = 1 << 2,

    /// <summary>Sizes that are no powers of two.</summary>
    OddQueueSize = 1 << 3,

    /// <summary>Sizes above 32,768.</summary>
    HugeQueueSize = 1 << 4,

    /// <summary>The generation is another one after every read of the configuration.</summary>
    RestlessConfig = 1 << 5,

    /// <summary>No vector can be had for a queue or for configuration changes.</summary>
    RefusesVectors = 1 << 6,

    /// <summary>DEVICE_NEEDS_RESET as soon as the driver is ready [V §2.1].</summary>
    NeedsReset = 1 << 7,

    /// <summary>Offers every feature bit there is.</summary>
    OffersEverything = 1 << 8,
}
