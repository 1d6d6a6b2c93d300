using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

/// <summary>The features that change a queue, each on and off.</summary>
public static class QueueFeatures
{
    public const int Combinations = 8;

    private static readonly VirtioFeatures[] s_optional = [VirtioFeatures.EventIndex, VirtioFeatures.IndirectDescriptors, VirtioFeatures.InOrder];

    public static TheoryData<VirtioFeatures> All() => [.. Enumerable.Range(0, Combinations).Select(Combination)];

    /// <summary>With sizes, and how many buffers: over 65,536 where the size is such that it takes no time.</summary>
    public static TheoryData<VirtioFeatures, uint, uint> WithSizes()
    {
        TheoryData<VirtioFeatures, uint, uint> all = [];
        foreach ((uint size, uint buffers) in new (uint, uint)[] { (1, 1000), (2, 3000), (8, 3000), (256, 70_000), (32768, 70_000) })
            for (int bits = 0; bits < Combinations; bits++) all.Add(Combination(bits), size, buffers);
        return all;
    }

    /// <summary>With the feature that makes the layout what it is.</summary>
    public static VirtioFeatures For<TQueue>(VirtioFeatures features)
        where TQueue : struct, IVirtQueue
        => typeof(TQueue) == typeof(PackedQueue) ? features | VirtioFeatures.RingPacked : features;

    public static VirtioFeatures Combination(int bits)
        => s_optional.Where((_, i) => (bits >> i & 1) != 0).Aggregate(VirtioFeatures.Version1, (features, feature) => features | feature);
}
