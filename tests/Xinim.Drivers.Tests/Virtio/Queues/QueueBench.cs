using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Ipc.Memory;
using Xinim.TestKit.Fakes;
using Xinim.TestKit.Virtio;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

/// <summary>A queue of one layout, a device at its other end, and memory for buffers.</summary>
internal sealed class QueueBench<TQueue> : IDisposable
    where TQueue : struct, IVirtQueue
{
    private readonly DmaRegion _data;
    private TQueue _queue;

    public QueueBench(VirtioFeatures features, uint size, uint indirectParts = 16)
    {
        features = QueueFeatures.For<TQueue>(features);
        Dma.Enabled = true;
        // 26 bytes an entry for rings, 16 a part for tables, and some for alignment.
        DmaRegion work = Dma.Map("work", (64L * size) + (16L * size * indirectParts) + 4096, RegionAccess.ReadWrite);
        _data = Dma.Map("data", 1 << 20, RegionAccess.ReadWrite);
        _queue = VirtQueueFactory.Create<TQueue>(features, new DmaArena(work), size, "queue 0", indirectParts);
        Device = DeviceQueue.Of(Dma, _queue.Memory, features);
    }

    public FakeDma Dma { get; } = new();

    public ref TQueue Queue => ref _queue;

    public DeviceQueue Device { get; private set; }

    /// <summary>Memory of the driver's buffers.</summary>
    public Span<byte> Data(int offset, int length) => _data.Memory!.Slice(offset, length);

    public VirtSegment Segment(int offset, uint length) => new(_data.Iova + (ulong)offset, length);

    /// <summary>Both sides as they were when they were made.</summary>
    public void Reset()
    {
        _queue.Reset();
        Device = DeviceQueue.Of(Dma, _queue.Memory, Device.Features);
    }

    /// <summary>The device uses all that it finds, full to the last byte.</summary>
    /// <returns>Buffers.</returns>
    public int DrainDevice()
    {
        int count = 0;
        for (; Device.Pop() is { } chain; count++) Device.Use(chain, chain.WritableBytes);
        _ = Device.Flush();
        return count;
    }

    /// <returns>Buffers.</returns>
    public int TakeAll()
    {
        int count = 0;
        while (_queue.Take(out _) >= 0) count++;
        return count;
    }

    /// <summary>Nothing is out, nothing is lost, nothing was wrong.</summary>
    public void AssertIdle()
    {
        Assert.Equal((0u, _queue.Size), (_queue.Outstanding, _queue.Free));
        Assert.Empty(Device.Violations);
        Assert.Empty(Dma.Faults);
    }

    public void Dispose() => Dma.Dispose();
}
