using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>A pair of queues, in memory of the work region; made anew for each client.</summary>
internal sealed record VirtioNetQueues(VirtioNetRx Rx, VirtioNetTx Tx)
{
    public const ushort RxNumber = 0, TxNumber = 1; // [V §5.1.2]

    /// <param name="offloads">What frames may ask for.</param>
    public static VirtioNetQueues Make(VirtioDevice device, DmaArena arena, VirtioNetOptions options, NetFlags offloads)
        => VirtQueueFactory.IsPacked(device.Features) ? Make<PackedQueue>(device, arena, options, offloads) : Make<SplitQueue>(device, arena, options, offloads);

    /// <param name="number">Where it is.</param>
    public static VirtioNetControl MakeControl(VirtioDevice device, DmaArena arena, ushort number)
        => VirtQueueFactory.IsPacked(device.Features) ? MakeControl<PackedQueue>(device, arena, number) : MakeControl<SplitQueue>(device, arena, number);

    public void SetUp(IVirtioTransport transport, VirtioVectors vectors)
    {
        Rx.SetUp(transport, RxNumber, vectors.OfQueue(0));
        Tx.SetUp(transport, TxNumber, vectors.OfQueue(1));
    }

    private static VirtioNetControl<TQueue> MakeControl<TQueue>(VirtioDevice device, DmaArena arena, ushort number)
        where TQueue : struct, IVirtQueue
        => new(device.MakeQueue<TQueue>(arena, number, VirtioNetControl<TQueue>.Entries, 0), arena);

    private static VirtioNetQueues Make<TQueue>(VirtioDevice device, DmaArena arena, VirtioNetOptions options, NetFlags offloads)
        where TQueue : struct, IVirtQueue
        => new(
            MakeRx(device, arena, device.MakeQueue<TQueue>(arena, RxNumber, options.RxDescriptors, VirtioNetRx.MaxBuffers + 1), options),
            new VirtioNetTxQueue<TQueue>(device.MakeQueue<TQueue>(arena, TxNumber, options.TxDescriptors, VirtioNetTx.MaxBuffers + 1), arena)
            {
                Headroom = options.Headroom ? VirtioNetHeader.Bytes : (ushort)0,
                Offloads = offloads,
                LateInterrupts = device.Has(VirtioFeatures.EventIndex),
                CutsUdp = device.Has(VirtioNetFeatures.HostUso),
            });

    private static VirtioNetRx MakeRx<TQueue>(VirtioDevice device, DmaArena arena, TQueue queue, VirtioNetOptions options)
        where TQueue : struct, IVirtQueue
        => device.Has(VirtioNetFeatures.MergeBuffers)
            ? new VirtioNetMergedRxQueue<TQueue>(queue, arena, device.Features)
            : new VirtioNetRxQueue<TQueue>(queue, arena)
            {
                // What a header can say without GUEST_CSUM is nothing that anybody reads [V §5.1.6.4].
                Headroom = options.Headroom && !device.Has(VirtioNetFeatures.GuestChecksum) ? VirtioNetHeader.Bytes : (ushort)0,
            };
}
