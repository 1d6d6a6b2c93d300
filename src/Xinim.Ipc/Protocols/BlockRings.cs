using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Rings;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// The memory between one client of a disk and one driver, for one generation: submission (client → driver) with
/// <see cref="RingShape.TxCapacity"/> elements and completion (driver → client) with <see cref="RingShape.RxCapacity"/>, which are the requests
/// that a client may have outstanding. New memory for every driver, as <see cref="NetworkRings"/>.
/// </summary>
public static class BlockRings
{
    /// <summary>Most elements that a ring can hold.</summary>
    public const uint MaxCapacity = 16384;

    /// <summary>Makes and formats the memory.</summary>
    public static SharedRegion Create(RingShape shape)
    {
        (long completed, long end) = Layout(shape);
        SharedRegion region = RingRegion.Create("xinim-block-rings", end);
        MessageRing.Format<BlockRequest>(region, RingRegion.FirstRing, shape.TxCapacity, shape.Generation);
        MessageRing.Format<BlockCompletion>(region, completed, shape.RxCapacity, shape.Generation);
        return region;
    }

    private static (long Completed, long End) Layout(RingShape shape)
    {
        if (shape.TxCapacity > MaxCapacity || shape.RxCapacity > MaxCapacity)
            throw new ArgumentOutOfRangeException(nameof(shape), $"{shape.TxCapacity} requests and {shape.RxCapacity} completions; a ring has at most {MaxCapacity}");
        long completed = RingRegion.FirstRing + MessageRing.SizeOf<BlockRequest>(shape.TxCapacity);
        return (completed, completed + MessageRing.SizeOf<BlockCompletion>(shape.RxCapacity));
    }

    /// <summary>A header that claims another capacity would make the ring reach into its neighbour.</summary>
    private static void CheckShape(RingShape shape, uint submitted, uint completed)
    {
        if (submitted != shape.TxCapacity || completed != shape.RxCapacity)
            throw new RingException($"the rings have {submitted} and {completed} slots; {shape.TxCapacity} for requests and {shape.RxCapacity} for completions were announced");
    }

    /// <summary>The driver's end.</summary>
    public sealed class DriverEnd : IDriverRings
    {
        /// <param name="own">Eventfd that wakes the driver.</param>
        /// <param name="peer">Eventfd that wakes the client.</param>
        public DriverEnd(SharedRegion region, RingShape shape, SafeFileHandle own, SafeFileHandle peer)
        {
            Submitted = new RingConsumer<BlockRequest>(region, RingRegion.FirstRing, shape.Generation);
            Completed = new RingProducer<BlockCompletion>(region, Layout(shape).Completed, shape.Generation);
            CheckShape(shape, Submitted.Capacity, Completed.Capacity);
            Own = new Doorbell(region, RingRegion.DriverWake, own);
            Client = new Doorbell(region, RingRegion.ClientWake, peer);
        }

        public RingConsumer<BlockRequest> Submitted { get; }

        public RingProducer<BlockCompletion> Completed { get; }

        public Doorbell Own { get; }

        public Doorbell Client { get; }

        public void WakeClient() => Client.Ring();
    }

    /// <summary>The client's end.</summary>
    public sealed class ClientEnd
    {
        private readonly SharedRegion _region;

        /// <param name="own">Eventfd that wakes the client.</param>
        /// <param name="peer">Eventfd that wakes the driver.</param>
        public ClientEnd(SharedRegion region, RingShape shape, SafeFileHandle own, SafeFileHandle peer)
        {
            _region = region;
            Submitted = new RingProducer<BlockRequest>(region, RingRegion.FirstRing, shape.Generation);
            Completed = new RingConsumer<BlockCompletion>(region, Layout(shape).Completed, shape.Generation);
            CheckShape(shape, Submitted.Capacity, Completed.Capacity);
            Own = new Doorbell(region, RingRegion.ClientWake, own);
            Driver = new Doorbell(region, RingRegion.DriverWake, peer);
        }

        public RingProducer<BlockRequest> Submitted { get; }

        public RingConsumer<BlockCompletion> Completed { get; }

        /// <summary>Wakes the client.</summary>
        public Doorbell Own { get; }

        /// <summary>Wakes the driver.</summary>
        public Doorbell Driver { get; }

        /// <summary>True when this generation is over; one load, for the client's loop.</summary>
        public bool IsClosed => RingRegion.IsClosed(_region);
    }
}
