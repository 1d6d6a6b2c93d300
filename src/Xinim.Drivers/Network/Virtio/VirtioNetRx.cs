using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>A receive queue, whatever its layout. See <see cref="INetworkDriver"/> for what the verbs promise.</summary>
internal abstract class VirtioNetRx
{
    /// <summary>
    /// Least room of a client's buffer: an ordinary frame with its tag, so that it takes one buffer. With the header more than the 1,526 bytes that a
    /// device may ask for [V §5.1.6.3.1].
    /// </summary>
    public const uint MinBuffer = 1518;

    /// <summary>Buffers that one frame can fill: a jumbo frame of 9,018 bytes takes six.</summary>
    public const uint MaxBuffers = 8;

    /// <summary>Buffers that one frame can fill where buffers are merged: the largest one with its header.</summary>
    public const uint MaxPieces = (NetBuffer.MaxSegmentedFrame + VirtioNetHeader.Bytes + MinBuffer - 1) / MinBuffer;

    /// <summary>Bytes of the least frame.</summary>
    protected const uint MinFrame = 14;

    /// <summary>Bytes of a buffer at the most.</summary>
    protected const uint MaxRoom = 1 << 30;

    /// <summary>Of a header.</summary>
    public ushort HeaderBytes { get; init; } = VirtioNetHeader.Bytes;

    /// <summary>Bytes before a client's buffer that may take the header; 0: none.</summary>
    public ushort Headroom { get; init; }

    /// <summary>Bytes of the largest frame to deliver.</summary>
    public uint MaxFrame { get; set; } = 1518;

    /// <summary>True where checksum results are reported.</summary>
    public bool ReportChecksums { get; set; }

    public ulong Frames { get; protected set; }

    public ulong Bytes { get; protected set; }

    /// <summary>Frames given back as unused because they were too short or too long.</summary>
    public ulong Dropped { get; protected set; }

    public ulong Doorbells { get; private set; }

    /// <summary>Set when the queue is set up.</summary>
    protected VirtioDoorbell? Doorbell { get; set; }

    public abstract void SetUp(IVirtioTransport transport, ushort queue, int? vector);

    public abstract void Attach(BufferTable buffers);

    public abstract uint Provide(RingConsumer<NetBuffer> free);

    public abstract uint Return(RingProducer<NetBuffer> received);

    public abstract void Arm();

    public abstract void Mask();

    /// <summary>Once a second: a device that has begun a frame ends it.</summary>
    /// <exception cref="Vfio.DeviceFaultException">It does not.</exception>
    public virtual void CheckProgress()
    {
    }

    /// <summary>Tells the device to look at the queue.</summary>
    public void Notify()
    {
        Doorbell!.Ring();
        Doorbells++;
    }

    /// <summary>No further buffers are given; frames that come into those that the device has are delivered.</summary>
    public abstract void Close();
}
