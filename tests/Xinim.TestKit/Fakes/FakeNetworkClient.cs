using Microsoft.Win32.SafeHandles;
using Xinim.Drivers;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Vfio.Dma;

namespace Xinim.TestKit.Fakes;

/// <summary>
/// Both ends of a client's four rings with its two pools, for tests of a network driver without a supervisor: a transmit pool that the
/// device may only read and a receive pool that it may write.
/// </summary>
public sealed class FakeNetworkClient : IDisposable
{
    /// <summary>Bytes of a buffer.</summary>
    public const int BufferBytes = 2048;

    /// <summary>Bytes before each buffer.</summary>
    public const int HeadroomBytes = 64;

    /// <summary>Bytes from one buffer of a pool to the next.</summary>
    public const int Stride = HeadroomBytes + BufferBytes;

    private readonly SharedRegion _rings;
    private readonly SafeFileHandle _event = Descriptor.CreateEvent();
    private readonly GrantTable _grants = new();
    private readonly Queue<uint> _freeTx = new();
    private readonly bool[] _pooled;
    private readonly Dictionary<ulong, uint> _posted = [];

    /// <param name="dma">Where the pools are mapped.</param>
    /// <param name="txCapacity">Buffers in the transmit rings and in the transmit pool.</param>
    /// <param name="rxCapacity">The same for receive.</param>
    public FakeNetworkClient(FakeDma dma, uint txCapacity = 1024, uint rxCapacity = 1024)
        : this(dma.Map, txCapacity, rxCapacity)
    {
    }

    /// <param name="map">Makes a region of a name and a size, mapped for the device with an access.</param>
    /// <param name="txCapacity">Buffers in the transmit rings and in the transmit pool.</param>
    /// <param name="rxCapacity">The same for receive.</param>
    public FakeNetworkClient(Func<string, long, RegionAccess, DmaRegion> map, uint txCapacity = 1024, uint rxCapacity = 1024)
    {
        const uint generation = 1;
        RingShape shape = new(txCapacity, rxCapacity, generation);
        _rings = NetworkRings.Create(shape);
        Driver = new NetworkRings.DriverEnd(_rings, shape, _event, _event);
        Client = new NetworkRings.ClientEnd(_rings, shape, _event, _event);
        TxPool = map("tx-pool", (long)txCapacity * Stride, RegionAccess.Read);
        RxPool = map("rx-pool", (long)rxCapacity * Stride, RegionAccess.Write);
        TxGrant = _grants.Create(TxPool.Id, (ulong)TxPool.Size, 0, (ulong)txCapacity * Stride, RegionAccess.Read);
        RxGrant = _grants.Create(RxPool.Id, (ulong)RxPool.Size, 0, (ulong)rxCapacity * Stride, RegionAccess.Write);
        _pooled = new bool[txCapacity];
        for (uint i = 0; i < txCapacity; i++) _freeTx.Enqueue(i);
        Buffers = new BufferTable([.. _grants.Active], [TxPool, RxPool]);
    }

    public NetworkRings.DriverEnd Driver { get; }

    public NetworkRings.ClientEnd Client { get; }

    public DmaRegion TxPool { get; }

    public DmaRegion RxPool { get; }

    public Grant TxGrant { get; }

    public Grant RxGrant { get; }

    public BufferTable Buffers { get; }

    /// <summary>Whether buffers go with what is before them: zeroes on transmit, room on receive.</summary>
    public NetFlags Headroom { get; set; }

    /// <summary>Transmit buffers that are with the driver.</summary>
    public int TxOutstanding => (int)TxPool.Size / Stride - _freeTx.Count;

    /// <summary>Copies a frame into the transmit pool and submits it, cut into pieces where a size is given.</summary>
    /// <param name="frame">Bytes from the destination address on.</param>
    /// <param name="request">Offload fields of the first buffer; lengths, grant and cookie are filled in.</param>
    /// <param name="pieces">Bytes a buffer, at most <see cref="BufferBytes"/>.</param>
    public void Send(ReadOnlySpan<byte> frame, NetBuffer request = default, int pieces = BufferBytes)
    {
        int count = Math.Max(1, (frame.Length + pieces - 1) / pieces);
        if (Client.Submit.Reserve((uint)count) < count || _freeTx.Count < count) throw new InvalidOperationException("the transmit ring or pool is full");
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> piece = frame.Slice(i * pieces, Math.Min(pieces, frame.Length - (i * pieces)));
            uint index = _freeTx.Dequeue();
            NetBuffer buffer = i == 0 ? request with { Flags = request.Flags | Headroom } : default;
            buffer.Grant = TxGrant.Handle;
            buffer.Offset = OffsetOf(index);
            piece.CopyTo(TxPool.Memory!.Slice(buffer.Offset, piece.Length));
            buffer.Length = (uint)piece.Length;
            buffer.Cookie = index;
            _pooled[index] = true;
            if (i < count - 1) buffer.Flags |= NetFlags.More;
            Client.Submit[(uint)i] = buffer;
        }

        Client.Submit.Publish((uint)count);
    }

    /// <summary>Submits buffers as they are.</summary>
    public void SendRaw(params ReadOnlySpan<NetBuffer> buffers)
    {
        if (Client.Submit.Reserve((uint)buffers.Length) < buffers.Length) throw new InvalidOperationException("the transmit ring is full");
        for (int i = 0; i < buffers.Length; i++) Client.Submit[(uint)i] = buffers[i];
        Client.Submit.Publish((uint)buffers.Length);
    }

    /// <summary>Takes back what the driver completed.</summary>
    public List<NetBuffer> TakeCompleted()
    {
        List<NetBuffer> taken = [];
        uint count = Client.Completed.Peek(Client.Completed.Capacity);
        for (uint i = 0; i < count; i++) taken.Add(Client.Completed.Read(i));
        Client.Completed.Release(count);
        foreach (NetBuffer buffer in taken)
            if (buffer.Cookie < (ulong)_pooled.Length && _pooled[buffer.Cookie]) Free((uint)buffer.Cookie);
        return taken;

        void Free(uint index)
        {
            _pooled[index] = false;
            _freeTx.Enqueue(index);
        }
    }

    /// <summary>Gives receive buffers <paramref name="first"/> to <paramref name="first"/> + <paramref name="count"/> − 1 to the driver.</summary>
    public void Post(uint count, uint first = 0)
    {
        if (Client.Free.Reserve(count) < count) throw new InvalidOperationException("the free ring is full");
        for (uint i = 0; i < count; i++)
        {
            Client.Free[i] = new NetBuffer { Grant = RxGrant.Handle, Offset = OffsetOf(first + i), Length = BufferBytes, Cookie = first + i, Flags = Headroom };
            _posted[first + i] = OffsetOf(first + i);
        }

        Client.Free.Publish(count);
    }

    /// <summary>Posts buffers as they are.</summary>
    public void PostRaw(params ReadOnlySpan<NetBuffer> buffers)
    {
        for (int i = 0; i < buffers.Length; i++)
        {
            Client.Free[(uint)i] = buffers[i];
            _posted[buffers[i].Cookie] = buffers[i].Offset;
        }

        Client.Free.Publish((uint)buffers.Length);
    }

    /// <summary>Where a buffer of a pool begins.</summary>
    public static uint OffsetOf(uint index) => (index * Stride) + HeadroomBytes;

    /// <summary>The first buffers of the frames that were taken, ever.</summary>
    public List<NetBuffer> FirstOfFrames { get; } = [];

    /// <summary>Takes what was received, and posts the same buffers again where asked to.</summary>
    public List<(NetBuffer Last, byte[] Frame)> TakeReceived(bool repost = true)
    {
        List<(NetBuffer, byte[])> frames = [];
        List<NetBuffer> parts = [];
        uint count = Client.Received.Peek(Client.Received.Capacity);
        for (uint i = 0; i < count; i++)
        {
            NetBuffer buffer = Client.Received.Read(i);
            parts.Add(buffer);
            if ((buffer.Flags & NetFlags.More) != 0) continue;
            frames.Add((buffer, (buffer.Flags & NetFlags.Rejected) != 0 ? [] : [.. parts.SelectMany(BytesOf)]));
            FirstOfFrames.Add(parts[0]);
            if (repost) foreach (NetBuffer part in parts.Where(part => (part.Flags & NetFlags.Rejected) == 0)) Post(1, (uint)part.Cookie);
            parts.Clear();
        }

        if (parts.Count != 0) throw new InvalidOperationException("the driver returned a part of a frame");
        Client.Received.Release(count);
        return frames;
    }

    private byte[] BytesOf(NetBuffer part)
    {
        Span<byte> lead = stackalloc byte[NetBuffer.LeadBytes];
        if ((part.Flags & NetFlags.Lead) == 0) return RxPool.Memory!.Slice(_posted[part.Cookie], (int)part.Length).ToArray();
        part.GetLead(lead);
        int first = (int)Math.Min(part.Length, NetBuffer.LeadBytes);
        return [.. lead[..first], .. RxPool.Memory!.Slice(_posted[part.Cookie], (int)part.Length - first)];
    }

    public void Dispose()
    {
        _rings.Dispose();
        _event.Dispose();
    }
}
