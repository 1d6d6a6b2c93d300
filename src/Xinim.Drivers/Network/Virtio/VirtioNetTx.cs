using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>A transmit queue, whatever its layout. See <see cref="INetworkDriver"/> for what the verbs promise.</summary>
internal abstract class VirtioNetTx
{
    /// <summary>Buffers that one frame may have.</summary>
    public const uint MaxBuffers = 64;

    private const uint PatienceSeconds = 5;

    private ulong _doneAtCheck;
    private uint _idleChecks;

    /// <summary>Bytes of the largest frame, VLAN tag included.</summary>
    public uint MaxFrame { get; set; } = 1518;

    /// <summary>Of a header.</summary>
    public ushort HeaderBytes { get; init; } = VirtioNetHeader.Bytes;

    /// <summary>Bytes before a frame that may hold its header: all of them, or 0.</summary>
    public ushort Headroom { get; init; }

    /// <summary>Requests that the device can fulfil.</summary>
    public NetFlags Offloads { get; init; }

    /// <summary>The device can be asked for an interrupt in the middle of what it has (EVENT_IDX).</summary>
    public bool LateInterrupts { get; init; }

    /// <summary>The device cuts UDP too.</summary>
    public bool CutsUdp { get; init; }

    public ulong Frames { get; protected set; }

    public ulong Bytes { get; protected set; }

    public ulong Rejected { get; protected set; }

    public ulong Doorbells { get; protected set; }

    /// <summary>Frames that the device is done with.</summary>
    protected ulong Done { get; set; }

    public abstract bool Busy { get; }

    /// <inheritdoc cref="INetworkDriver.TxBacklog"/>
    public abstract bool Backlog { get; }

    public abstract void SetUp(IVirtioTransport transport, ushort queue, int? vector);

    public abstract void Attach(BufferTable buffers);

    public abstract uint Provide(RingConsumer<NetBuffer> submitted);

    public abstract uint Return(RingProducer<NetBuffer> completed);

    public abstract void Arm();

    public abstract void Mask();

    /// <summary>Sends a frame of the driver's own: an announcement. Lost where the queue is full.</summary>
    public abstract void Send(Iova at, uint length);

    /// <summary>Once a second: a device that has work and finishes nothing is broken.</summary>
    /// <param name="excused">The link is down.</param>
    /// <exception cref="DeviceFaultException">Five seconds without a buffer used.</exception>
    public void CheckProgress(bool excused)
    {
        _idleChecks = excused || !Busy || Done != _doneAtCheck ? 0 : _idleChecks + 1;
        _doneAtCheck = Done;
        if (_idleChecks == PatienceSeconds) throw new DeviceFaultException($"no transmit buffer was used for {PatienceSeconds} s (used ring) [V §2.7.8]");
    }
}
