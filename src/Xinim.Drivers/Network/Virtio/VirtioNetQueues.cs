using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Ipc.Protocols;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>The queues of a device, in memory of the work region; made anew whenever the device is.</summary>
/// <param name="Control">Null where the device has none.</param>
internal sealed record VirtioNetQueues(VirtioNetRx Rx, VirtioNetTx Tx, VirtioNetControl? Control)
{
    public const ushort RxNumber = 0, TxNumber = 1; // [V §5.1.2]

    /// <param name="controlNumber">Where the control queue is; null where there is none.</param>
    /// <param name="offloads">What frames may ask for.</param>
    public static VirtioNetQueues Make(VirtioDevice device, DmaArena arena, VirtioNetOptions options, ushort? controlNumber, NetFlags offloads)
        => VirtQueueFactory.IsPacked(device.Features)
            ? Make<PackedQueue>(device, arena, options, controlNumber, offloads)
            : Make<SplitQueue>(device, arena, options, controlNumber, offloads);

    private static VirtioNetQueues Make<TQueue>(VirtioDevice device, DmaArena arena, VirtioNetOptions options, ushort? controlNumber, NetFlags offloads)
        where TQueue : struct, IVirtQueue
        => new(
            new VirtioNetRxQueue<TQueue>(device.MakeQueue<TQueue>(arena, RxNumber, options.RxDescriptors, VirtioNetRx.MaxBuffers + 1), arena),
            new VirtioNetTxQueue<TQueue>(device.MakeQueue<TQueue>(arena, TxNumber, options.TxDescriptors, VirtioNetTx.MaxBuffers + 1), arena) 
            {
                Offloads = offloads,
                CutsUdp = device.Has(VirtioNetFeatures.HostUso),
            },
            controlNumber is { } number ? new VirtioNetControl<TQueue>(device.MakeQueue<TQueue>(arena, number, VirtioNetControl<TQueue>.Entries, 0), arena) : null);
}
