using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;

namespace Xinim.Benchmarks.Virtio;

/// <summary>A data path over a queue, as a driver has one: generic over the layout, so that every call is inlined.</summary>
internal sealed class QueueLoad<TQueue> : IQueueLoad
    where TQueue : struct, IVirtQueue
{
    private readonly SharedRegion _memory = SharedRegion.Create("bench", 1 << 20, PageChoice.Ordinary);
    private readonly EchoDevice _device;
    private readonly int _parts;
    private readonly Iova _buffers;

    // Not private: an analyzer would have it read-only, and every call would then work on a copy.
    internal TQueue Queue;

    public QueueLoad(VirtioFeatures features, uint size, int parts)
    {
        DmaRegion work = new(1, new Iova(0x12_0000_0000), _memory.Size, RegionAccess.ReadWrite, _memory);
        _buffers = work.Iova;
        _parts = parts;
        Queue = VirtQueueFactory.Create<TQueue>(features, new DmaArena(work), size, "bench");
        _device = new EchoDevice(work, Queue.Memory, VirtQueueFactory.IsPacked(features));
    }

    /// <summary>Adds, publishes, lets the device run, and takes.</summary>
    /// <returns>A sum of what was taken.</returns>
    public uint Round(uint batch)
    {
        for (uint i = 0; i < batch; i++)
        {
            Iova at = new(_buffers.Value + (i * 2048));
            _ = _parts == 1
                ? Queue.Add(at, 60, deviceWrites: false)
                : Queue.Add(new VirtSegment(_buffers, 12), new VirtSegment(at, 60), readable: 2);
        }

        bool ring = Queue.Publish();
        uint used = _device.Run();
        uint sum = 0;
        while (Queue.Take(out uint written) is >= 0 and int id) sum += (uint)id + written;
        return ring || used != batch ? throw new InvalidOperationException($"{used} of {batch} buffers were used") : sum;
    }

    public void Dispose() => _memory.Dispose();
}

/// <summary>For a benchmark that chooses the layout by a parameter.</summary>
internal interface IQueueLoad : IDisposable
{
    uint Round(uint batch);
}
