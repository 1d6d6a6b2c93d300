using Xinim.Drivers.Virtio;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>Features of console devices [V §5.3.3]. [V] = Virtual I/O Device (VIRTIO) Version 1.2.</summary>
internal static class VirtioConsoleFeatures
{
    public const VirtioFeatures Size = (VirtioFeatures)(1ul << 0); // [V §5.3.3]
    public const VirtioFeatures Multiport = (VirtioFeatures)(1ul << 1); // [V §5.3.3]
    public const VirtioFeatures EmergencyWrite = (VirtioFeatures)(1ul << 2); // [V §5.3.3]

    /// <summary>
    /// What is asked for. Queues are split ones whose buffers are used entry by entry: their used rings are what a successor reads to know where
    /// its predecessor stopped (<see cref="VirtioConsoleRemains"/>).
    /// </summary>
    public const VirtioFeatures Wanted = Size | Multiport | EmergencyWrite | VirtioFeatures.EventIndex | VirtioFeatures.OrderPlatform;
}
