using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Rings;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// The memory between one client of a console port and the driver, for one generation. submit: client → driver, bytes to send, released when the
/// device has taken them. received: driver → client. The device never reaches it.
/// </summary>
public static class ConsoleRings
{
    /// <summary>Chunks that each ring holds.</summary>
    public const uint Capacity = 512;

    /// <summary>Makes and formats the memory.</summary>
    public static SharedRegion Create(RingShape shape)
    {
        Layout at = Layout.Of(shape);
        SharedRegion region = RingRegion.Create("xinim-console", at.End);
        MessageRing.Format<ConsoleChunk>(region, at.Submit, shape.TxCapacity, shape.Generation);
        MessageRing.Format<ConsoleChunk>(region, at.Received, shape.RxCapacity, shape.Generation);
        return region;
    }

    private static void CheckShape(in RingShape shape, uint submit, uint received)
    {
        if (submit != shape.TxCapacity || received != shape.RxCapacity)
            throw new RingException($"the rings have {submit} and {received} slots; {shape.TxCapacity} to send and {shape.RxCapacity} to receive were announced");
    }

    private readonly record struct Layout(long Submit, long Received, long End)
    {
        public static Layout Of(in RingShape shape)
        {
            if (shape.TxCapacity > Capacity || shape.RxCapacity > Capacity)
                throw new ArgumentOutOfRangeException(nameof(shape), $"{shape.TxCapacity} and {shape.RxCapacity} chunks; a ring has at most {Capacity}");
            long received = RingRegion.FirstRing + MessageRing.SizeOf<ConsoleChunk>(shape.TxCapacity);
            return new Layout(RingRegion.FirstRing, received, received + MessageRing.SizeOf<ConsoleChunk>(shape.RxCapacity));
        }
    }

    /// <summary>The driver's end.</summary>
    public sealed class DriverEnd : IDriverRings
    {
        /// <param name="own">Eventfd that wakes the driver.</param>
        /// <param name="peer">Eventfd that wakes the client.</param>
        public DriverEnd(SharedRegion region, RingShape shape, SafeFileHandle own, SafeFileHandle peer)
        {
            Layout at = Layout.Of(shape);
            Submit = new RingConsumer<ConsoleChunk>(region, at.Submit, shape.Generation);
            Received = new RingProducer<ConsoleChunk>(region, at.Received, shape.Generation);
            CheckShape(shape, Submit.Capacity, Received.Capacity);
            Own = new Doorbell(region, RingRegion.DriverWake, own);
            Client = new Doorbell(region, RingRegion.ClientWake, peer);
        }

        public RingConsumer<ConsoleChunk> Submit { get; }

        public RingProducer<ConsoleChunk> Received { get; }

        /// <summary>Wakes the driver.</summary>
        public Doorbell Own { get; }

        /// <summary>Wakes the client.</summary>
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
            Layout at = Layout.Of(shape);
            _region = region;
            Submit = new RingProducer<ConsoleChunk>(region, at.Submit, shape.Generation);
            Received = new RingConsumer<ConsoleChunk>(region, at.Received, shape.Generation);
            CheckShape(shape, Submit.Capacity, Received.Capacity);
            Own = new Doorbell(region, RingRegion.ClientWake, own);
            Driver = new Doorbell(region, RingRegion.DriverWake, peer);
        }

        public RingProducer<ConsoleChunk> Submit { get; }

        public RingConsumer<ConsoleChunk> Received { get; }

        /// <summary>Wakes the client.</summary>
        public Doorbell Own { get; }

        /// <summary>Wakes the driver.</summary>
        public Doorbell Driver { get; }

        /// <summary>True when this generation is over.</summary>
        public bool IsClosed => RingRegion.IsClosed(_region);
    }
}
