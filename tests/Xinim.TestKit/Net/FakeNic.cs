using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.TestKit.Net;

/// <summary>
/// One life of a NIC's driver, played by hand: the driver's end of a client's rings without a device behind it. Its rings are open to
/// tests that play a driver gone mad.
/// </summary>
public sealed class FakeNic
{
    private readonly SharedRegion _rx;

    internal FakeNic(SharedRegion memory, RingShape shape, SafeFileHandle own, SafeFileHandle peer, SharedRegion tx, SharedRegion rx, uint pair = 0)
    {
        Memory = memory;
        Shape = shape;
        Pair = pair;
        TxPool = tx;
        _rx = rx;
        Rings = new NetworkRings.DriverEnd(memory, shape, own, peer, pair);
    }

    public NetworkRings.DriverEnd Rings { get; }

    /// <summary>What the rings lie in, for a driver's end elsewhere.</summary>
    public SharedRegion Memory { get; }

    public RingShape Shape { get; }

    /// <summary>Which pair of queues it is.</summary>
    public uint Pair { get; }

    /// <summary>The client's memory to send from.</summary>
    public SharedRegion TxPool { get; }

    /// <summary>Transmit buffers that were taken and not completed, oldest first.</summary>
    public Queue<NetBuffer> Taken { get; } = [];

    /// <summary>Receive buffers that were taken and not returned, oldest first.</summary>
    public Queue<NetBuffer> Free { get; } = [];

    /// <summary>Whole frames that were taken, oldest first.</summary>
    public Queue<byte[]> Frames { get; } = [];

    private readonly List<byte> _open = [];

    /// <summary>Takes everything that the client has handed over.</summary>
    /// <returns>False where there was nothing.</returns>
    public bool Take()
    {
        uint sent = Rings.Submit.Peek(Rings.Submit.Capacity);
        for (uint i = 0; i < sent; i++)
        {
            NetBuffer buffer = Rings.Submit.Read(i);
            Taken.Enqueue(buffer);
            _open.AddRange(TxPool.Slice(buffer.Offset, (int)buffer.Length));
            if ((buffer.Flags & NetFlags.More) != 0) continue;
            Frames.Enqueue([.. _open]);
            _open.Clear();
        }

        Rings.Submit.Release(sent);
        uint room = Rings.Free.Peek(Rings.Free.Capacity);
        for (uint i = 0; i < room; i++) Free.Enqueue(Rings.Free.Read(i));
        Rings.Free.Release(room);
        return (sent | room) != 0;
    }

    /// <summary>Says that the oldest taken buffers were sent.</summary>
    public void Complete(int count = int.MaxValue, NetFlags flags = NetFlags.None)
    {
        for (count = Math.Min(count, Taken.Count); count > 0; count--)
        {
            NetBuffer buffer = Taken.Dequeue();
            buffer.Flags |= flags;
            Put(Rings.Completed, buffer);
        }

        Rings.Client.Ring();
    }

    /// <summary>Delivers a frame, over several buffers where one is too small; without a buffer it is lost, as on any NIC.</summary>
    /// <param name="hash">Comes with the last buffer.</param>
    public bool Deliver(ReadOnlySpan<byte> frame, (uint Value, HashKind Kind)? hash = null)
    {
        while (Free.TryDequeue(out NetBuffer buffer))
        {
            int part = (int)Math.Min((uint)frame.Length, buffer.Length);
            frame[..part].CopyTo(_rx.Slice(buffer.Offset, part));
            frame = frame[part..];
            buffer.Length = (uint)part;
            buffer.Flags = frame.Length == 0 ? NetFlags.None : NetFlags.More;
            if (frame.Length == 0 && hash is { } told)
            {
                buffer.Flags = NetFlags.Hash;
                (buffer.Hash, buffer.HashKind) = told;
            }

            Put(Rings.Received, buffer);
            if (frame.Length != 0) continue;
            Rings.Client.Ring();
            return true;
        }

        return false;
    }

    /// <summary>Puts one element on a ring, whatever it says.</summary>
    public static void Put(RingProducer<NetBuffer> ring, NetBuffer buffer)
    {
        if (ring.Reserve(1) == 0) throw new InvalidOperationException("the ring is full");
        ring[0] = buffer;
        ring.Publish(1);
    }

    internal void Close() => RingRegion.Close(Memory);
}
