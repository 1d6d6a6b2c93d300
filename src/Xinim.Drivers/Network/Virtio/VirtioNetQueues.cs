using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
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
        => device.Has(VirtioFeatures.RingPacked)
            ? Make(device, arena, options, controlNumber, offloads, static (device, arena, size) => new PackedQueue(arena, size, device.Features))
            : Make(device, arena, options, controlNumber, offloads, static (device, arena, size) => new SplitQueue(arena, size, device.Features));

    private static VirtioNetQueues Make<TQueue>(
        VirtioDevice device, DmaArena arena, VirtioNetOptions options, ushort? controlNumber, NetFlags offloads, Func<VirtioDevice, DmaArena, uint, TQueue> make)
        where TQueue : struct, IVirtQueue
    {
        TQueue rx = make(device, arena, SizeOf(device.Transport, RxNumber, options.RxDescriptors));
        TQueue tx = make(device, arena, SizeOf(device.Transport, TxNumber, options.TxDescriptors));
        return new VirtioNetQueues(
            new VirtioNetRxQueue<TQueue>(rx, arena),
            new VirtioNetTxQueue<TQueue>(tx, arena) { Offloads = offloads },
            controlNumber is { } number
                ? new VirtioNetControl<TQueue>(make(device, arena, SizeOf(device.Transport, number, VirtioNetControl<TQueue>.Entries)), arena)
                : null);
    }

    private static uint SizeOf(IVirtioTransport transport, ushort queue, uint most) => VirtQueueSize.Choose(transport, queue, most);
}
