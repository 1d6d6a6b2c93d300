using BenchmarkDotNet.Attributes;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Benchmarks;

/// <summary>What a message through a ring costs when both ends are in one thread: instructions, not cache misses.</summary>
[MemoryDiagnoser]
public class RingBenchmarks : IDisposable
{
    private SharedRegion? _region;
    private RingProducer<NetBuffer>? _producer;
    private RingConsumer<NetBuffer>? _consumer;

    /// <summary>Messages a batch.</summary>
    [Params(1, 32)]
    public uint Batch { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _region = SharedRegion.Create("bench", MessageRing.SizeOf<NetBuffer>(1024), PageChoice.Ordinary);
        MessageRing.Format<NetBuffer>(_region, 0, 1024, 1);
        _producer = new RingProducer<NetBuffer>(_region, 0, 1);
        _consumer = new RingConsumer<NetBuffer>(_region, 0, 1);
    }

    /// <summary>Reserve, fill, publish, peek, read, release.</summary>
    [Benchmark]
    public uint Pass()
    {
        RingProducer<NetBuffer> producer = _producer!;
        RingConsumer<NetBuffer> consumer = _consumer!;
        uint room = producer.Reserve(Batch);
        for (uint i = 0; i < room; i++) producer[i] = new NetBuffer { Length = i };
        producer.Publish(room);
        uint sum = 0;
        uint ready = consumer.Peek(Batch);
        for (uint i = 0; i < ready; i++) sum += consumer.Read(i).Length;
        consumer.Release(ready);
        return sum;
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _region?.Dispose();
        GC.SuppressFinalize(this);
    }
}
