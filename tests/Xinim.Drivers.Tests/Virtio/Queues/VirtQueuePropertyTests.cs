using CsCheck;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.TestKit.Virtio;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Queues;

/// <summary>Random schedules of driver and device: the device sees what was added in its order, every buffer comes back once, with what was written.</summary>
public abstract class VirtQueuePropertyTests<TQueue>
    where TQueue : struct, IVirtQueue
{
    [Fact]
    public void Any_schedule_keeps_order_and_loses_nothing()
        => Gen.Select(Gen.Int[0, QueueFeatures.Combinations - 1], Gen.Int[0, 7], Gen.Select(Gen.Int[0, 4], Gen.Int[1, 40], Gen.UInt).Array[1, 80]).Sample(
            Run, iter: 400, threads: 1);

    private static void Run(int bits, int shift, (int Action, int Count, uint Seed)[] steps)
    {
        using Schedule schedule = new(QueueFeatures.Combination(bits), 1u << shift);
        schedule.Run(steps);
    }

    private sealed class Schedule(VirtioFeatures features, uint size) : IDisposable
    {
        private readonly QueueBench<TQueue> _bench = new(features, size);
        private readonly Queue<Buffer> _added = new();
        private readonly List<(Buffer Buffer, DeviceChain Chain)> _held = [];
        private readonly Queue<(Buffer Buffer, uint Written)> _used = new();
        private readonly bool _inOrder = (features & VirtioFeatures.InOrder) != 0;
        private int _published;

        public void Run((int Action, int Count, uint Seed)[] steps)
        {
            foreach ((int action, int count, uint seed) in steps)
            {
                switch (action)
                {
                    case 0: Add(count, seed); break;
                    case 1: Publish(); break;
                    case 2: Pop(count); break;
                    case 3: Use(count, seed); break;
                    default: Take(count); break;
                }
            }

            Publish();
            Pop(int.MaxValue);
            while (_held.Count > 0) Use(1000, 7);
            Take(int.MaxValue);
            Assert.Empty(_used);
            Assert.Empty(_added);
            _bench.AssertIdle();
        }

        public void Dispose() => _bench.Dispose();

        private void Add(int count, uint seed)
        {
            for (uint i = 0; i < count; i++)
            {
                uint hash = (seed + i) * 2654435761u;
                int length = (int)Math.Min(1 + (hash >> 8) % 5, size);
                VirtSegment[] parts = [.. Enumerable.Range(0, length).Select(j => _bench.Segment((int)((hash + ((uint)j * 977)) % 4096), 1 + (hash >> j) % 97))];
                int readable = (int)((hash >> 16) % (uint)(length + 1));
                uint before = _bench.Queue.Free;
                int id = length switch
                {
                    1 when (hash & 1) == 0 => _bench.Queue.Add(parts[0].At, parts[0].Length, readable == 0),
                    2 when (hash & 1) == 0 => _bench.Queue.Add(parts[0], parts[1], readable),
                    _ => _bench.Queue.Add(parts, readable),
                };
                bool table = length > 2 && (features & VirtioFeatures.IndirectDescriptors) != 0 && size > 2;
                Assert.Equal(id < 0, before < (table ? 1 : length));
                if (id < 0) return;
                _added.Enqueue(new Buffer(id, parts, readable));
            }
        }

        private void Publish()
        {
            _ = _bench.Queue.Publish();
            _published = _added.Count;
        }

        private void Pop(int count)
        {
            for (; count > 0 && _bench.Device.Pop() is { } chain; count--)
            {
                Assert.True(_published-- > 0, "the device saw what was not published");
                Buffer buffer = _added.Dequeue();
                Assert.Equal(buffer.Parts.Take(buffer.Readable).Select(part => (part.At.Value, part.Length)), chain.Readable);
                Assert.Equal(buffer.Parts.Skip(buffer.Readable).Select(part => (part.At.Value, part.Length)), chain.Writable);
                _held.Add((buffer, chain));
            }

            if (count > 0) Assert.Equal(0, _published);
        }

        private void Use(int count, uint seed)
        {
            for (uint i = 0; i < count && _held.Count > 0; i++)
            {
                uint hash = (seed + i) * 2246822519u;
                int batch = _inOrder ? 1 + (int)(hash % (uint)Math.Min(_held.Count, 5)) : 1;
                int first = _inOrder ? 0 : (int)(hash % (uint)_held.Count);
                uint written = (hash >> 4) % (_held[first + batch - 1].Chain.WritableBytes + 1);
                DeviceChain[] chains = [.. _held.Skip(first).Take(batch).Select(held => held.Chain)];
                for (int j = 0; j < batch; j++) _used.Enqueue((_held[first + j].Buffer, j == batch - 1 ? written : chains[j].WritableBytes));
                _held.RemoveRange(first, batch);
                _bench.Device.UseBatch(chains, written);
            }

            _ = _bench.Device.Flush();
        }

        private void Take(int count)
        {
            for (; count > 0 && _bench.Queue.Take(out uint written) is >= 0 and int id; count--)
            {
                (Buffer buffer, uint expected) = _used.Dequeue();
                Assert.Equal((buffer.Id, expected), (id, written));
            }

            if (count > 0) Assert.Empty(_used);
        }

        private sealed record Buffer(int Id, VirtSegment[] Parts, int Readable);
    }
}
