using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Rings;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// The memory between one client and one driver, for one generation: four rings and two wake words. The supervisor makes and formats it
/// and passes it to both; a reincarnated driver gets a fresh one, so nothing that its predecessor wrote, or still could write, reaches it.
/// </summary>
/// <remarks>
/// submit: client → driver, frames to send. completed: driver → client, buffers sent. free: client → driver, room for frames.
/// received: driver → client, frames.
/// </remarks>
public static class NetworkRings
{
    /// <summary>Most buffers that a ring can hold.</summary>
    public const uint MaxCapacity = 16384;

    /// <summary>Makes and formats the memory.</summary>
    /// <param name="txCapacity">Buffers in submit and in completed, a power of two.</param>
    /// <param name="rxCapacity">Buffers in free and in received, a power of two.</param>
    /// <param name="generation">The driver's life that it is for.</param>
    public static SharedRegion Create(uint txCapacity, uint rxCapacity, uint generation)
    {
        Layout at = Layout.Of(txCapacity, rxCapacity);
        SharedRegion region = RingRegion.Create("xinim-net-rings", at.End);
        MessageRing.Format<NetBuffer>(region, at.Submit, txCapacity, generation);
        MessageRing.Format<NetBuffer>(region, at.Completed, txCapacity, generation);
        MessageRing.Format<NetBuffer>(region, at.Free, rxCapacity, generation);
        MessageRing.Format<NetBuffer>(region, at.Received, rxCapacity, generation);
        return region;
    }

    /// <summary>A header that claims another capacity would make the ring reach into its neighbour.</summary>
    private static void CheckShape(in RingShape shape, uint submit, uint completed, uint free, uint received)
    {
        if (submit != shape.TxCapacity || completed != shape.TxCapacity || free != shape.RxCapacity || received != shape.RxCapacity)
            throw new RingException($"the rings have {submit}, {completed}, {free} and {received} slots; {shape.TxCapacity} to send and {shape.RxCapacity} to receive were announced");
    }

    /// <summary>One shape for what both ends attach to.</summary>
    private readonly record struct Layout(long Submit, long Completed, long Free, long Received, long End)
    {
        public static Layout Of(uint tx, uint rx)
        {
            if (tx > MaxCapacity || rx > MaxCapacity) throw new ArgumentOutOfRangeException(nameof(tx), $"{tx} and {rx} buffers; a ring has at most {MaxCapacity}");
            long txBytes = MessageRing.SizeOf<NetBuffer>(tx);
            long rxBytes = MessageRing.SizeOf<NetBuffer>(rx);
            long free = RingRegion.FirstRing + (2 * txBytes);
            return new Layout(RingRegion.FirstRing, RingRegion.FirstRing + txBytes, free, free + rxBytes, free + (2 * rxBytes));
        }
    }

    /// <summary>The driver's end.</summary>
    public sealed class DriverEnd : IDriverRings
    {
        /// <param name="own">Eventfd that wakes the driver.</param>
        /// <param name="peer">Eventfd that wakes the client.</param>
        public DriverEnd(SharedRegion region, RingShape shape, SafeFileHandle own, SafeFileHandle peer)
        {
            Layout at = Layout.Of(shape.TxCapacity, shape.RxCapacity);
            Submit = new RingConsumer<NetBuffer>(region, at.Submit, shape.Generation);
            Completed = new RingProducer<NetBuffer>(region, at.Completed, shape.Generation);
            Free = new RingConsumer<NetBuffer>(region, at.Free, shape.Generation);
            Received = new RingProducer<NetBuffer>(region, at.Received, shape.Generation);
            CheckShape(shape, Submit.Capacity, Completed.Capacity, Free.Capacity, Received.Capacity);
            Own = new Doorbell(region, RingRegion.DriverWake, own);
            Client = new Doorbell(region, RingRegion.ClientWake, peer);
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

    /// <summary>The client's end.</summary>
    public sealed class ClientEnd
    {
        private readonly SharedRegion _region;

        /// <param name="own">Eventfd that wakes the client.</param>
        /// <param name="peer">Eventfd that wakes the driver.</param>
        public ClientEnd(SharedRegion region, RingShape shape, SafeFileHandle own, SafeFileHandle peer)
        {
            Layout at = Layout.Of(shape.TxCapacity, shape.RxCapacity);
            _region = region;
            Submit = new RingProducer<NetBuffer>(region, at.Submit, shape.Generation);
            Completed = new RingConsumer<NetBuffer>(region, at.Completed, shape.Generation);
            Free = new RingProducer<NetBuffer>(region, at.Free, shape.Generation);
            Received = new RingConsumer<NetBuffer>(region, at.Received, shape.Generation);
            CheckShape(shape, Submit.Capacity, Completed.Capacity, Free.Capacity, Received.Capacity);
            Own = new Doorbell(region, RingRegion.ClientWake, own);
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
public readonly record struct RingShape(uint TxCapacity, uint RxCapacity, uint Generation);
