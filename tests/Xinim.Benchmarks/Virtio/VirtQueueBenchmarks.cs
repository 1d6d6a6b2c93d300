using BenchmarkDotNet.Attributes;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;

namespace Xinim.Benchmarks.Virtio;

/// <summary>What a buffer costs on its way through a virtqueue and back when both ends are in one thread: instructions, not cache misses.</summary>
[MemoryDiagnoser]
public class VirtQueueBenchmarks : IDisposable
{
    private const uint Size = 256;
    private const int Batch = 32;
    private IQueueLoad? _load;

    [Params(false, true)]
    public bool Packed { get; set; }

    [Params(false, true)]
    public bool InOrder { get; set; }

    /// <summary>Descriptors of a buffer.</summary>
    [Params(1, 2)]
    public int Parts { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        VirtioFeatures features = VirtioFeatures.Version1 | (InOrder ? VirtioFeatures.InOrder : VirtioFeatures.None);
        _load = Packed
            ? new QueueLoad<PackedQueue>(features | VirtioFeatures.RingPacked, Size, Parts)
            : new QueueLoad<SplitQueue>(features, Size, Parts);
    }

    /// <summary>Add, publish, the device's echo, take; a buffer's share.</summary>
    [Benchmark(OperationsPerInvoke = Batch)]
    public uint Round() => _load!.Round(Batch);

    [GlobalCleanup]
    public void Dispose()
    {
        _load?.Dispose();
        GC.SuppressFinalize(this);
    }
}
