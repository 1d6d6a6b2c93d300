using System.Buffers.Binary;
using Xinim.Drivers;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio.Dma;

namespace Xinim.Benchmarks.Isolation;

/// <summary>
/// A driver's end of a client's rings with a device that has sent whatever it is given: takes, checks against the grant, keeps cookie and
/// flags, returns and rings, as a NIC's driver does. It has no descriptors and no registers, for they cost the same on both sides of a hop.
/// </summary>
internal sealed class HopDriver
{
    private const uint Batch = 64;
    private readonly NetworkRings.DriverEnd _rings;
    private readonly BufferTable _buffers;
    private readonly SharedRegion? _checked;
    private readonly Given[] _given = new Given[Batch];
    private ulong _next;
    private HopTally _tally;

    /// <param name="pool">The client's transmit pool; looked at only when checking.</param>
    public HopDriver(NetworkRings.DriverEnd rings, SharedRegion pool, in HopRequest request)
    {
        _rings = rings;
        _checked = request.Check != 0 ? pool : null;
        Grant grant = new(request.Grant, 1, 0, (ulong)request.PoolBytes, RegionAccess.Read);
        _buffers = new BufferTable([grant], [new DmaRegion(1, new Iova(1L << 32), request.PoolBytes, RegionAccess.Read)]);
    }

    public HopTally Tally => _tally;

    /// <summary>Takes what is there, up to a batch, and returns it.</summary>
    /// <returns>False where there was nothing.</returns>
    public bool Poll()
    {
        uint taken = Provide();
        if (taken == 0) return false;
        Return(taken);
        _rings.Client.Ring();
        return true;
    }

    private uint Provide()
    {
        uint ready = _rings.Submit.Peek(Batch);
        if (ready == 0) return 0;
        RingView<NetBuffer> from = _rings.Submit.Ready;
        for (uint i = 0; i < ready; i++)
        {
            NetBuffer buffer = from[i];
            bool inside = _buffers.TryLocate(in buffer, RegionAccess.Read, out Iova address);
            if (!inside) _tally.Refused++;
            _tally.Bytes += buffer.Length;
            if (_checked is { } pool) Check(pool, buffer);
            _given[i] = new Given(address, buffer.Cookie, inside ? NetFlags.None : NetFlags.Rejected);
        }

        _rings.Submit.Release(ready);
        _tally.Frames += ready;
        _tally.Batches++;
        return ready;
    }

    private void Return(uint count)
    {
        uint room = _rings.Completed.Reserve(count);
        if (room < count) throw new InvalidOperationException($"the completed ring has room for {room} of {count} buffers; it is as long as the submit ring");
        RingView<NetBuffer> to = _rings.Completed.Reserved;
        for (uint i = 0; i < count; i++)
        {
            ref NetBuffer slot = ref to[i];
            slot.Cookie = _given[i].Cookie;
            slot.Flags = _given[i].Flags;
        }

        _rings.Completed.Publish(count);
    }

    private void Check(SharedRegion pool, in NetBuffer buffer)
    {
        ulong number = BinaryPrimitives.ReadUInt64LittleEndian(pool.Slice(buffer.Offset, (int)buffer.Length));
        if (number == _next) _tally.InOrder++;
        _next = number + 1;
    }

    /// <summary>What a descriptor would say, and what goes back.</summary>
    private readonly record struct Given(Iova Address, ulong Cookie, NetFlags Flags);
}
