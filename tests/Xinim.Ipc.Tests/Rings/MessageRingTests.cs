using CsCheck;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Rings;
using Xinim.TestPeer;
using Xunit;

namespace Xinim.Ipc.Tests.Rings;

public sealed class MessageRingTests
{
    /// <summary>Where a run's indices start: at rest, and so that they wrap within the first few elements.</summary>
    private static readonly Gen<uint> FirstIndex = Gen.OneOf(Gen.Const(0u), Gen.UInt[uint.MaxValue - 40, uint.MaxValue], Gen.UInt[0x7ffffff0, 0x80000010]);

    private static readonly Gen<(bool Produce, uint Count, uint Used)[]> Steps =
        Gen.Select(Gen.Bool, Gen.UInt[0, 40], Gen.UInt[0, 40], (produce, count, used) => (produce, count, used)).Array[0, 200];

    [Fact]
    public void Any_run_equals_a_queue_with_16_byte_elements() => CheckAgainstQueue<Element16>();

    [Fact]
    public void Any_run_equals_a_queue_with_32_byte_elements() => CheckAgainstQueue<Element32>();

    [Fact]
    public void Any_run_equals_a_queue_with_64_byte_elements() => CheckAgainstQueue<Element64>();

    [Theory]
    [InlineData(0)]
    [InlineData(uint.MaxValue - 1)]
    [InlineData(uint.MaxValue)]
    public void A_ring_holds_exactly_its_capacity_also_where_indices_wrap(uint firstIndex)
    {
        using RingFixture<Element16> ring = new(2, firstIndex);
        RingProducer<Element16> producer = ring.Producer();
        RingConsumer<Element16> consumer = ring.Consumer();
        Assert.Equal(0u, consumer.Peek(9));
        Assert.Equal(2u, producer.Reserve(9));
        (producer[0], producer[1]) = (Stamp.Make<Element16>(1), Stamp.Make<Element16>(2));
        producer.Publish(2);
        Assert.Equal(0u, producer.Reserve(1));
        Assert.Equal(2u, consumer.Peek(9));
        Assert.True(Stamp.Is(consumer.Read(0), 1) && Stamp.Is(consumer.Read(1), 2));
        consumer.Release(1);
        Assert.Equal(1u, producer.Reserve(9));
        Assert.Equal(1u, consumer.Peek(9));
        Assert.True(Stamp.Is(consumer.Read(0), 2));
        Assert.Equal((2u, 2u), (producer.Capacity, consumer.Capacity));
    }

    [Fact]
    public void What_is_not_published_is_not_seen()
    {
        using RingFixture<Element16> ring = new(8);
        RingProducer<Element16> producer = ring.Producer();
        RingConsumer<Element16> consumer = ring.Consumer();
        producer.Reserve(4);
        for (uint i = 0; i < 4; i++) producer[i] = Stamp.Make<Element16>(i);
        Assert.Equal(0u, consumer.Peek(4));
        producer.Publish(3);
        Assert.Equal(3u, consumer.Peek(4));
    }

    [Fact]
    public void New_ends_go_on_where_the_old_ones_stood()
    {
        using RingFixture<Element16> ring = new(4, uint.MaxValue);
        RingProducer<Element16> producer = ring.Producer();
        for (uint i = 0; i < 3; i++) producer[i] = Stamp.Make<Element16>(i);
        producer.Publish(3);
        ring.Consumer().Release(1);
        RingConsumer<Element16> consumer = ring.Consumer();
        Assert.Equal(2u, consumer.Peek(4));
        Assert.True(Stamp.Is(consumer.Read(0), 1));
        Assert.Equal(2u, ring.Producer().Reserve(4));
    }

    [Fact]
    public void A_ring_can_be_as_large_as_allowed()
    {
        using RingFixture<Element16> ring = new(1 << 20, uint.MaxValue - 5);
        RingProducer<Element16> producer = ring.Producer();
        Assert.Equal(1u << 20, producer.Reserve(uint.MaxValue));
        producer[(1 << 20) - 1] = Stamp.Make<Element16>(9);
        producer.Publish(1 << 20);
        Assert.True(Stamp.Is(ring.Consumer().Read((1 << 20) - 1), 9));
        ring.AssertCanaries();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(6)]
    [InlineData((1 << 20) + 1)]
    [InlineData(1 << 21)]
    [InlineData(1u << 31)]
    [InlineData(uint.MaxValue)]
    public void A_capacity_that_is_none_is_refused(uint capacity) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => MessageRing.SizeOf<Element16>(capacity));

    [Fact]
    public void Elements_of_other_sizes_are_refused()
    {
        Assert.Throws<ArgumentException>(() => MessageRing.SizeOf<ulong>(4));
        Assert.Throws<ArgumentException>(() => MessageRing.SizeOf<Int128Pair>(4));
    }

    [Theory]
    [InlineData(-128)]
    [InlineData(64)]
    [InlineData(8)]
    [InlineData(1)]
    [InlineData(4096)]
    [InlineData(long.MaxValue - 127)]
    public void A_ring_cannot_be_made_or_attached_to_where_it_does_not_fit(long offset)
    {
        using SharedRegion region = SharedRegion.Create("test", 4096, PageChoice.Ordinary);
        Assert.Throws<ArgumentOutOfRangeException>(() => MessageRing.Format<Element16>(region, offset, 4, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RingConsumer<Element16>(region, offset, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RingProducer<Element16>(region, offset, 1));
    }

    [Fact]
    public void Ring_and_doorbell_need_a_writable_mapping()
    {
        using RingFixture<Element16> ring = new(4);
        using SharedRegion readOnly = SharedRegion.Open(Descriptor.Duplicate(ring.Region.Handle), ring.Region.Size, RegionAccess.Read);
        Assert.Throws<ArgumentException>(() => MessageRing.Format<Element16>(readOnly, 128, 4, 1));
        Assert.Throws<ArgumentException>(() => new RingConsumer<Element16>(readOnly, 128, 5));
        Assert.Throws<ArgumentException>(() => new RingProducer<Element16>(readOnly, 128, 5));
        Assert.Throws<ArgumentException>(() => new Doorbell(readOnly, 0, ring.Region.Handle));
    }

    [Fact]
    public void Formatting_again_makes_the_ring_empty_and_the_old_generation_unwelcome()
    {
        using RingFixture<Element16> ring = new(4);
        ring.Producer().Publish(3);
        MessageRing.Format<Element16>(ring.Region, ring.Offset, 4, 6);
        Assert.Equal(0u, ring.Consumer(6).Peek(4));
        Assert.Contains("generation", Assert.Throws<RingException>(() => ring.Producer()).Message, StringComparison.Ordinal);
        Assert.Throws<RingException>(() => ring.Consumer());
    }

    private static void CheckAgainstQueue<T>()
        where T : unmanaged
        => Gen.Select(Gen.Int[1, 6], FirstIndex, Steps).Sample((power, firstIndex, steps) =>
        {
            using RingFixture<T> ring = new(1u << power, firstIndex);
            (RingProducer<T> producer, RingConsumer<T> consumer) = (ring.Producer(), ring.Consumer());
            Queue<ulong> queue = new();
            ulong next = 1;
            foreach ((bool produce, uint count, uint used) in steps)
            {
                if (produce) Produce(producer, queue, ref next, count, used);
                else Consume(consumer, queue, count, used);
            }

            ring.AssertCanaries();
        }, iter: 300);

    private static void Produce<T>(RingProducer<T> producer, Queue<ulong> queue, ref ulong next, uint count, uint used)
        where T : unmanaged
    {
        uint reserved = producer.Reserve(count);
        Assert.Equal(Math.Min(count, producer.Capacity - (uint)queue.Count), reserved);
        used = Math.Min(used, reserved);
        // All reserved slots are written to, some of them are published: the others must not show.
        for (uint i = 0; i < reserved; i++) producer[i] = Stamp.Make<T>(i < used ? next + i : ulong.MaxValue);
        producer.Publish(used);
        for (uint i = 0; i < used; i++) queue.Enqueue(next++);
    }

    private static void Consume<T>(RingConsumer<T> consumer, Queue<ulong> queue, uint count, uint used)
        where T : unmanaged
    {
        uint ready = consumer.Peek(count);
        Assert.Equal(Math.Min(count, (uint)queue.Count), ready);
        ulong[] expected = [.. queue.Take((int)ready)];
        for (uint i = 0; i < ready; i++) Assert.True(Stamp.Is(consumer.Read(i), expected[i]));
        used = Math.Min(used, ready);
        consumer.Release(used);
        for (uint i = 0; i < used; i++) queue.Dequeue();
    }

    private readonly record struct Int128Pair(Int128 First, Int128 Second, Int128 Third);
}
