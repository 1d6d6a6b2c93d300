using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Rings;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// The memory between one client and one driver, for one generation: four rings for each pair of queues, a wake word for the driver and one
/// for each pair of the client's, so that a thread each can serve them. The supervisor makes and formats it
/// and passes it to both; a reincarnated driver gets a fresh one, so nothing that its predecessor wrote, or still could write, reaches it.
/// </summary>
/// <remarks>
/// Pairs lie one behind the other, each as the first one does.
/// submit: client → driver, frames to send. completed: driver → client, buffers sent. free: client → driver, room for frames.
/// received: driver → client, frames.
/// </remarks>
public static class NetworkRings
{
    /// <summary>Most buffers that a ring can hold.</summary>
    public const uint MaxCapacity = 16384;

    /// <summary>Most pairs of queues that a client can have: a message carries 16 descriptors, two pools, rings and a doorbell among them.</summary>
    public const uint MaxPairs = 8;

    /// <summary>Makes and formats the memory.</summary>
    /// <param name="shape">Buffers in submit and in completed, and in free and in received, powers of two.</param>
    public static SharedRegion Create(in RingShape shape)
    {
        SharedRegion region = RingRegion.Create("xinim-net-rings", Layout.Of(shape, shape.Pairs - 1).End);
        for (uint pair = 0; pair < shape.Pairs; pair++)
        {
            Layout at = Layout.Of(shape, pair);
            MessageRing.Format<NetBuffer>(region, at.Submit, shape.TxCapacity, shape.Generation);
            MessageRing.Format<NetBuffer>(region, at.Completed, shape.TxCapacity, shape.Generation);
            MessageRing.Format<NetBuffer>(region, at.Free, shape.RxCapacity, shape.Generation);
            MessageRing.Format<NetBuffer>(region, at.Received, shape.RxCapacity, shape.Generation);
        }

        return region;
    }

    /// <summary>A header that claims another capacity would make the ring reach into its neighbour.</summary>
    private static void CheckShape(in RingShape shape, uint submit, uint completed, uint free, uint received)
    {
        if (submit != shape.TxCapacity || completed != shape.TxCapacity || free != shape.RxCapacity || received != shape.RxCapacity)
            throw new RingException($"the rings have {submit}, {completed}, {free} and {received} slots; {shape.TxCapacity} to send and {shape.RxCapacity} to receive were announced");
    }

    /// <summary>One shape for what both ends attach to.</summary>
    private readonly record struct Layout(long ClientWake, long Submit, long Completed, long Free, long Received, long End)
    {
        private const long Line = 128;

        public static Layout Of(in RingShape shape, uint pair)
        {
            (uint tx, uint rx) = (shape.TxCapacity, shape.RxCapacity);
            if (tx > MaxCapacity || rx > MaxCapacity) throw new ArgumentOutOfRangeException(nameof(shape), $"{tx} and {rx} buffers; a ring has at most {MaxCapacity}");
            if (shape.Pairs > MaxPairs || pair >= shape.Pairs) throw new ArgumentOutOfRangeException(nameof(pair), $"pair {pair} of {shape.Pairs}; there are 1 to {MaxPairs}");
            long txBytes = MessageRing.SizeOf<NetBuffer>(tx);
            long rxBytes = MessageRing.SizeOf<NetBuffer>(rx);
            long all = RingRegion.FirstRing + (2 * (txBytes + rxBytes));
            long start = pair * ((all + Line - 1) / Line * Line);
            long submit = start + RingRegion.FirstRing;
            long free = submit + (2 * txBytes);
            return new Layout(start + RingRegion.ClientWake, submit, submit + txBytes, free, free + rxBytes, start + all);
        }
    }

    /// <summary>The driver's ends of all pairs.</summary>
    public sealed class DriverSide : IDriverRings
    {
        private readonly DriverEnd[] _pairs;

        /// <param name="own">Eventfd that wakes the driver.</param>
        /// <param name="peers">Eventfds that wake the client, one a pair.</param>
        public DriverSide(SharedRegion region, RingShape shape, SafeFileHandle own, IReadOnlyList<SafeFileHandle> peers)
            => _pairs = [.. peers.Select((peer, pair) => new DriverEnd(region, shape, own, peer, (uint)pair))];

        public DriverEnd this[int pair] => _pairs[pair];

        public Doorbell Own => _pairs[0].Own;

        public int Count => _pairs.Length;

        public void WakeClient()
        {
            foreach (DriverEnd pair in _pairs) pair.Client.Ring();
        }
    }

    /// <summary>The driver's end of a pair.</summary>
    public sealed class DriverEnd
    {
        /// <param name="own">Eventfd that wakes the driver.</param>
        /// <param name="peer">Eventfd that wakes the client.</param>
        public DriverEnd(SharedRegion region, RingShape shape, SafeFileHandle own, SafeFileHandle peer, uint pair = 0)
        {
            Layout at = Layout.Of(shape, pair);
            Submit = new RingConsumer<NetBuffer>(region, at.Submit, shape.Generation);
            Completed = new RingProducer<NetBuffer>(region, at.Completed, shape.Generation);
            Free = new RingConsumer<NetBuffer>(region, at.Free, shape.Generation);
            Received = new RingProducer<NetBuffer>(region, at.Received, shape.Generation);
            CheckShape(shape, Submit.Capacity, Completed.Capacity, Free.Capacity, Received.Capacity);
            Own = new Doorbell(region, RingRegion.DriverWake, own);
            Client = new Doorbell(region, at.ClientWake, peer);
        }

        public RingConsumer<NetBuffer> Submit { get; }

        public RingProducer<NetBuffer> Completed { get; }

        public RingConsumer<NetBuffer> Free { get; }

        public RingProducer<NetBuffer> Received { get; }

        /// <summary>Wakes the driver.</summary>
        public Doorbell Own { get; }

        /// <summary>Wakes the client.</summary>
        public Doorbell Client { get; }
    }

    /// <summary>The client's end of a pair.</summary>
    public sealed class ClientEnd
    {
        private readonly SharedRegion _region;

        /// <param name="own">Eventfd that wakes the client.</param>
        /// <param name="peer">Eventfd that wakes the driver.</param>
        public ClientEnd(SharedRegion region, RingShape shape, SafeFileHandle own, SafeFileHandle peer, uint pair = 0)
        {
            Layout at = Layout.Of(shape, pair);
            _region = region;
            Submit = new RingProducer<NetBuffer>(region, at.Submit, shape.Generation);
            Completed = new RingConsumer<NetBuffer>(region, at.Completed, shape.Generation);
            Free = new RingProducer<NetBuffer>(region, at.Free, shape.Generation);
            Received = new RingConsumer<NetBuffer>(region, at.Received, shape.Generation);
            CheckShape(shape, Submit.Capacity, Completed.Capacity, Free.Capacity, Received.Capacity);
            Own = new Doorbell(region, at.ClientWake, own);
            Driver = new Doorbell(region, RingRegion.DriverWake, peer);
        }

        public RingProducer<NetBuffer> Submit { get; }

        public RingConsumer<NetBuffer> Completed { get; }

        public RingProducer<NetBuffer> Free { get; }

        public RingConsumer<NetBuffer> Received { get; }

        /// <summary>Wakes the client.</summary>
        public Doorbell Own { get; }

        /// <summary>Wakes the driver.</summary>
        public Doorbell Driver { get; }

        /// <summary>True when this generation is over; one load, for the client's loop.</summary>
        public bool IsClosed => RingRegion.IsClosed(_region);
    }
}

/// <summary>Shape of a client's rings of any class. Travels in messages.</summary>
/// <param name="TxCapacity">Slots of the rings for what goes out: frames and what became of them, requests.</param>
/// <param name="RxCapacity">Slots of the rings for what comes in: room and frames, completions.</param>
/// <param name="Generation">The driver's life that they are for.</param>
/// <param name="Pairs">How many times a NIC's client has them: once for each pair of queues.</param>
public readonly record struct RingShape(uint TxCapacity, uint RxCapacity, uint Generation, uint Pairs = 1);
