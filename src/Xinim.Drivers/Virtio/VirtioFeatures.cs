namespace Xinim.Drivers.Virtio;

/// <summary>
/// Features that no device type owns [V §6]; bits 0 to 23 and 50 on are the device type's, named beside its driver. [V] = Virtual I/O Device
/// (VIRTIO) Version 1.2.
/// </summary>
[Flags]
public enum VirtioFeatures : ulong
{
    None = 0,

    /// <summary>A descriptor may point to a table of descriptors [V §2.7.5.3].</summary>
    IndirectDescriptors = 1ul << 28,

    /// <summary>Notifications are suppressed by index [V §2.7.7, §2.7.10].</summary>
    EventIndex = 1ul << 29,

    /// <summary>Of vhost-user alone: protocol features follow. Never part of what a driver accepts.</summary>
    VhostUserProtocol = 1ul << 30,

    /// <summary>Not a legacy device [V §6.1].</summary>
    Version1 = 1ul << 32,

    /// <summary>Memory is reached as the platform says, through the IOMMU [V §6.1].</summary>
    AccessPlatform = 1ul << 33,

    /// <summary>Packed queues [V §2.8].</summary>
    RingPacked = 1ul << 34,

    /// <summary>Buffers are used in the order in which they were made available [V §2.7.9].</summary>
    InOrder = 1ul << 35,

    /// <summary>Memory accesses are ordered as between a processor and a device [V §6.1].</summary>
    OrderPlatform = 1ul << 36,

    /// <summary>A queue can be reset alone [V §2.6.1].</summary>
    RingReset = 1ul << 40,
}
