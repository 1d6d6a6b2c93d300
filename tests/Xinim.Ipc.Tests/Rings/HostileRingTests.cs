using CsCheck;
using Xinim.Ipc.Rings;
using Xinim.TestPeer;
using Xunit;

namespace Xinim.Ipc.Tests.Rings;

/// <summary>What a peer that can write anything into a ring can do to the other end: make it throw, nothing else.</summary>
public sealed class HostileRingTests
{
    private const uint Capacity = 8;

    /// <summary>Values at which arithmetic breaks: all with few bits set, their complements, and neighbours.</summary>
    private static readonly uint[] Nonsense =
    [
        .. (from low in Enumerable.Range(0, 32) from high in Enumerable.Range(low, 32 - low) select (1u << low) | (1u << high))
            .SelectMany(value => new[] { value, value - 1, value + 1, ~value }).Append(0u).Append(uint.MaxValue).Distinct().Order(),
    ];

    private static readonly Gen<uint> Word = Gen.OneOf(Gen.UInt, Gen.Int[0, Nonsense.Length - 1].Select(index => Nonsense[index]));

    [Fact]
    public void Every_wrong_magic_is_refused() => EachIsRefused((ring, value) => ring.Magic = value, ring => ring.Magic);

    [Fact]
    public void Every_wrong_version_is_refused() => EachIsRefused((ring, value) => ring.Version = value, ring => ring.Version);

    [Fact]
    public void Every_wrong_element_size_is_refused() => EachIsRefused((ring, value) => ring.ElementSize = value, ring => ring.ElementSize);

    [Fact]
    public void Every_wrong_generation_is_refused() => EachIsRefused((ring, value) => ring.GenerationWord = value, ring => ring.GenerationWord);

    /// <summary>Smaller powers of two describe a ring inside the region, so they are only a shorter ring.</summary>
    [Fact]
    public void Every_capacity_that_leaves_the_region_is_refused() =>
        EachIsRefused((ring, value) => ring.Capacity = value, ring => ring.Capacity, value => value is 2 or 4);

    [Fact]
    public void Every_impossible_index_is_refused_when_attaching() => EachIsRefused(
        (ring, value) => ring.Tail = value, ring => ring.Tail, value => value <= Capacity);

    [Fact]
    public void Any_header_is_refused_or_describes_a_ring_inside() => Gen.Select(Word, Word, Word, Word, Word, Word, Word).Sample(
        (magic, version, size, capacity, generation, tail, head) =>
        {
            using RingFixture<Element32> ring = new(Capacity, atEnd: true);
            uint right = ring.Magic;
            // Half of the runs get past the earlier checks.
            if ((magic & 1) != 0) (ring.Magic, ring.Version, ring.ElementSize, ring.GenerationWord) = (magic, version, size, generation);
            (ring.Capacity, ring.Tail, ring.Head) = ((capacity & 2) != 0 ? capacity : Capacity, tail, (head & 4) != 0 ? head : tail - (head & 15));
            Assert.Equal(Attempt(() => UseAsProducer(ring.Producer())), Attempt(() => UseAsConsumer(ring.Consumer())));
            Assert.True(ring.Magic == right || ring.Magic == magic);
            ring.AssertCanaries();
        }, iter: 3000);

    [Fact]
    public void Every_impossible_index_is_refused_while_running()
    {
        using RingFixture<Element16> ring = new(Capacity, uint.MaxValue - 3);
        foreach (uint value in Nonsense)
        {
            ring.Head = ring.Tail = uint.MaxValue - 3;
            RingProducer<Element16> producer = ring.Producer();
            RingConsumer<Element16> consumer = ring.Consumer();
            producer.Publish(4);
            Assert.Equal(4u, consumer.Peek(4));
            uint ahead = value - (uint.MaxValue - 3);
            ring.Tail = value;
            Assert.Equal(ahead is >= 4 and <= Capacity, !Throws(() => consumer.Peek(8)));
            ring.Head = value;
            Assert.Equal(ahead <= 4, !Throws(() => producer.Reserve(8)));
        }

        ring.AssertCanaries();
    }

    [Fact]
    public void An_index_that_goes_backwards_is_refused()
    {
        using RingFixture<Element16> ring = new(Capacity);
        RingProducer<Element16> producer = ring.Producer();
        RingConsumer<Element16> consumer = ring.Consumer();
        producer.Publish(6);
        Assert.Equal(6u, consumer.Peek(8));
        ring.Tail = 5;
        Assert.Throws<RingException>(() => consumer.Peek(8));
        ring.Head = 4;
        Assert.Equal(6u, producer.Reserve(8));
        ring.Head = 3;
        Assert.Throws<RingException>(() => producer.Reserve(8));
    }

    [Fact]
    public void Any_slot_index_stays_in_the_ring()
    {
        using RingFixture<Element64> ring = new(Capacity, 3);
        for (uint i = 0; i < Capacity; i++) ring.Producer()[i] = Stamp.Make<Element64>(100 + i);
        RingConsumer<Element64> consumer = ring.Consumer();
        foreach (uint index in Nonsense) Assert.True(Stamp.Is(consumer.Read(index), 100 + (index % Capacity)));
        foreach (uint index in Nonsense) ring.Producer()[index] = default;
        ring.AssertCanaries();
    }

    [Fact]
    public void A_header_that_changes_after_the_check_is_not_believed()
    {
        using RingFixture<Element16> ring = new(Capacity);
        RingProducer<Element16> producer = ring.Producer();
        RingConsumer<Element16> consumer = ring.Consumer();
        (ring.Capacity, ring.ElementSize, ring.Magic) = (1 << 20, 1 << 20, 0);
        Assert.Equal(Capacity, producer.Reserve(uint.MaxValue));
        Assert.Equal(Capacity, consumer.Capacity);
        producer[uint.MaxValue] = default;
        ring.AssertCanaries();
    }

    /// <summary>A second thread scribbles over both indices while the ends run.</summary>
    [Fact]
    public void A_peer_that_scribbles_all_the_time_causes_exceptions_only()
    {
        using RingFixture<Element32> ring = new(Capacity);
        bool stop = false;
        Thread scribbler = new(() => Scribble(ring, ref stop));
        scribbler.Start();
        int refused = 0;
        for (int i = 0; i < 20_000; i++)
        {
            refused += Attempt(() => UseAsConsumer(ring.Consumer())) ? 0 : 1;
            refused += Attempt(() => UseAsProducer(ring.Producer())) ? 0 : 1;
        }

        Volatile.Write(ref stop, true);
        scribbler.Join();
        Assert.True(refused > 0, "the scribbler was never noticed");
        ring.AssertCanaries();
    }

    private static void Scribble(RingFixture<Element32> ring, ref bool stop)
    {
        Random random = new(1);
        while (!Volatile.Read(ref stop))
        {
            Volatile.Write(ref ring.Tail, random.Next(4) == 0 ? (uint)random.Next() : ring.Head + (uint)random.Next(12));
            Volatile.Write(ref ring.Head, random.Next(4) == 0 ? (uint)random.Next() : ring.Tail - (uint)random.Next(12));
        }
    }

    private static void UseAsConsumer(RingConsumer<Element32> consumer)
    {
        for (int round = 0; round < 3; round++)
        {
            uint ready = consumer.Peek(uint.MaxValue);
            Assert.InRange(ready, 0u, consumer.Capacity);
            for (uint i = 0; i < ready; i++) Assert.False(RingFixture<Element32>.IsCanary(consumer.Read(i)));
            consumer.Release(ready);
        }
    }

    private static void UseAsProducer(RingProducer<Element32> producer)
    {
        for (int round = 0; round < 3; round++)
        {
            uint free = producer.Reserve(uint.MaxValue);
            Assert.InRange(free, 0u, producer.Capacity);
            for (uint i = 0; i < free; i++) producer[i] = default;
            producer.Publish(free);
        }
    }

    private static void EachIsRefused(WriteWord write, Func<RingFixture<Element32>, uint> read, Func<uint, bool>? alsoRight = null)
    {
        using RingFixture<Element32> ring = new(Capacity, atEnd: true);
        uint right = read(ring);
        foreach (uint value in Nonsense.Append(right))
        {
            write(ring, value);
            bool expected = value == right || alsoRight?.Invoke(value) == true;
            Assert.Equal(expected, Attempt(() => ring.Consumer()));
            Assert.Equal(expected, Attempt(() => ring.Producer()));
        }
    }

    /// <summary>True where nothing was thrown; anything but a <see cref="RingException"/> fails the test.</summary>
    private static bool Attempt(Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (RingException)
        {
            return false;
        }
    }

    private static bool Throws(Action action) => !Attempt(action);

    private delegate void WriteWord(RingFixture<Element32> ring, uint value);
}
