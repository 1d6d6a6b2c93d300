using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

/// <summary>The features that change a queue, each on and off.</summary>
public static class QueueFeatures
{
    private static readonly VirtioFeatures[] s_optional = [VirtioFeatures.EventIndex, VirtioFeatures.IndirectDescriptors, VirtioFeatures.InOrder];

    public static TheoryData<VirtioFeatures> All() => [.. Enumerable.Range(0, 8).Select(Combination)];

    public static TheoryData<VirtioFeatures, uint> WithSizes()
    {
        TheoryData<VirtioFeatures, uint> all = [];
        foreach (uint size in new uint[] { 1, 2, 4, 64, 256, 32768 })
            for (int bits = 0; bits < 8; bits++) all.Add(Combination(bits), size);
        return all;
    }

    /// <summary>With the feature that makes the layout what it is.</summary>
    public static VirtioFeatures For<TQueue>(VirtioFeatures features)
        where TQueue : struct, IVirtQueue
        => typeof(TQueue) == typeof(PackedQueue) ? features | VirtioFeatures.RingPacked : features;

    public static VirtioFeatures Combination(int bits)
        => s_optional.Where((_, i) => (bits >> i & 1) != 0).Aggregate(VirtioFeatures.Version1, (features, feature) => features | feature);
}
