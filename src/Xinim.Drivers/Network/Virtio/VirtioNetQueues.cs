using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>A pair of queues, in memory of the work region; made anew for each client.</summary>
/// <param name="Number">Which pair, from 0.</param>
internal sealed record VirtioNetQueues(VirtioNetRx Rx, VirtioNetTx Tx, int Number) : INetworkPair
{
    public const ushort RxNumber = 0, TxNumber = 1; // of the first pair [V §5.1.2]

    public uint TxProvide(RingConsumer<NetBuffer> submitted) => Tx.Provide(submitted);

    public uint TxReturn(RingProducer<NetBuffer> completed) => Tx.Return(completed);

    public uint RxProvide(RingConsumer<NetBuffer> free) => Rx.Provide(free);

    public uint RxReturn(RingProducer<NetBuffer> received) => Rx.Return(received);

    /// <summary>Of which queues the pair with that number is [V §5.1.2].</summary>
    public static (ushort Rx, ushort Tx) NumbersOf(int pair) => ((ushort)(2 * pair), (ushort)((2 * pair) + 1));

    /// <param name="offloads">What frames may ask for.</param>
    /// <param name="number">Which pair.</param>
    public static VirtioNetQueues Make(VirtioDevice device, DmaArena arena, VirtioNetOptions options, NetFlags offloads, int number)
        => VirtQueueFactory.IsPacked(device.Features) ? Make<PackedQueue>(device, arena, options, offloads, number) : Make<SplitQueue>(device, arena, options, offloads, number);

    /// <param name="number">Where it is.</param>
    public static VirtioNetControl MakeControl(VirtioDevice device, DmaArena arena, ushort number)
        => VirtQueueFactory.IsPacked(device.Features) ? MakeControl<PackedQueue>(device, arena, number) : MakeControl<SplitQueue>(device, arena, number);

    public void SetUp(IVirtioTransport transport, VirtioVectors vectors)
    {
        (ushort rx, ushort tx) = NumbersOf(Number);
        Rx.SetUp(transport, rx, vectors.OfQueue(rx));
        Tx.SetUp(transport, tx, vectors.OfQueue(tx));
    }

    /// <summary>The device lets go of both, where RING_RESET is negotiated [V §2.6.1].</summary>
    public void Reset(IVirtioTransport transport)
    {
        (ushort rx, ushort tx) = NumbersOf(Number);
        transport.ResetQueue(rx);
        transport.ResetQueue(tx);
    }

    private static VirtioNetControl<TQueue> MakeControl<TQueue>(VirtioDevice device, DmaArena arena, ushort number)
        where TQueue : struct, IVirtQueue
        => new(device.MakeQueue<TQueue>(arena, number, VirtioNetControl<TQueue>.Entries, 0), arena);

    private static VirtioNetQueues Make<TQueue>(VirtioDevice device, DmaArena arena, VirtioNetOptions options, NetFlags offloads, int number)
        where TQueue : struct, IVirtQueue
        => new(
            MakeRx(device, arena, device.MakeQueue<TQueue>(arena, NumbersOf(number).Rx, options.RxDescriptors, VirtioNetRx.MaxBuffers + 1), options),
            new VirtioNetTxQueue<TQueue>(device.MakeQueue<TQueue>(arena, NumbersOf(number).Tx, options.TxDescriptors, VirtioNetTx.MaxBuffers + 1), arena)
            {
                HeaderBytes = VirtioNetHeader.BytesWith(device.Features),
                Headroom = options.Headroom ? VirtioNetHeader.BytesWith(device.Features) : (ushort)0,
                Offloads = offloads,
                LateInterrupts = device.Has(VirtioFeatures.EventIndex),
                CutsUdp = device.Has(VirtioNetFeatures.HostUso),
            },
            number);

    private static VirtioNetRx MakeRx<TQueue>(VirtioDevice device, DmaArena arena, TQueue queue, VirtioNetOptions options)
        where TQueue : struct, IVirtQueue
        => device.Has(VirtioNetFeatures.MergeBuffers)
            ? new VirtioNetMergedRxQueue<TQueue>(queue, arena, device.Features)
            : new VirtioNetRxQueue<TQueue>(queue, arena)
            {
                HeaderBytes = VirtioNetHeader.BytesWith(device.Features),
                // What a header can say without these is nothing that anybody reads [V §5.1.6.4].
                Headroom = options.Headroom && (device.Features & (VirtioNetFeatures.GuestChecksum | VirtioNetFeatures.HashReport)) == 0 ? VirtioNetHeader.Bytes : (ushort)0,
            };
}
