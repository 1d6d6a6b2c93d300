using Xinim.Drivers.Virtio;

namespace Xinim.Drivers.Block.Virtio;

/// <summary>Feature bits of block devices [V §5.2.3]. [V] = Virtual I/O Device (VIRTIO) Version 1.2.</summary>
internal static class VirtioBlkFeatures
{
    /// <summary>A segment has a largest size.</summary>
    public const VirtioFeatures SizeMax = (VirtioFeatures)(1ul << 1);

    /// <summary>A request has a largest number of segments.</summary>
    public const VirtioFeatures SegmentMax = (VirtioFeatures)(1ul << 2);

    public const VirtioFeatures ReadOnly = (VirtioFeatures)(1ul << 5);

    /// <summary>The configuration has a block size.</summary>
    public const VirtioFeatures BlockSize = (VirtioFeatures)(1ul << 6);

    public const VirtioFeatures Flush = (VirtioFeatures)(1ul << 9);

    /// <summary>The configuration tells of alignment and best sizes.</summary>
    public const VirtioFeatures Topology = (VirtioFeatures)(1ul << 10);

    /// <summary>The write cache can be switched.</summary>
    public const VirtioFeatures ConfigWriteCache = (VirtioFeatures)(1ul << 11);

    /// <summary>Several queues.</summary>
    public const VirtioFeatures MultiQueue = (VirtioFeatures)(1ul << 12);

    public const VirtioFeatures Discard = (VirtioFeatures)(1ul << 13);

    public const VirtioFeatures WriteZeroes = (VirtioFeatures)(1ul << 14);

    /// <summary>All that the driver makes use of.</summary>
    public const VirtioFeatures Known = SizeMax | SegmentMax | ReadOnly | BlockSize | Flush | Topology | ConfigWriteCache | MultiQueue | Discard | WriteZeroes;
}
