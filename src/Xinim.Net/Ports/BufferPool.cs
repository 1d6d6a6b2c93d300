using System.Runtime.CompilerServices;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;

namespace Xinim.Net.Ports;

/// <summary>
/// A client's view of one pool: equal buffers, which of them the driver holds, and with what request. A buffer that a driver returns is looked
/// up here, so one that it does not hold is noticed; what it still holds when it dies is posted again from here.
/// </summary>
internal sealed class BufferPool
{
    /// <summary>
    /// Bytes before each buffer, for a header of the device's: a line, so that buffers begin on one, and equal places of buffers of a power of two lie
    /// in different sets of a cache. The caller never sees them: in a pool to send from they stay the zeroes that new memory is made of.
    /// </summary>
    public const uint Headroom = 64;

    private readonly SharedRegion _region;
    private readonly uint _grant;
    private readonly uint _bufferBytes;
    private readonly uint _stride;
    private readonly uint _first;
    private readonly uint[] _free;
    private readonly Posted[] _posted;
    private uint _freeCount;
    private ulong _sequence;

    /// <param name="part">Which of several pools of that size in the region, one behind the other.</param>
    public BufferPool(SharedRegion region, uint grant, uint buffers, uint bufferBytes, int part = 0)
    {
        _region = region;
        _grant = grant;
        _bufferBytes = bufferBytes;
        _stride = Headroom + bufferBytes;
        _first = checked((uint)(BytesOf(buffers, bufferBytes) * (uint)part)) + Headroom;
        _free = new uint[buffers];
        _posted = new Posted[buffers];
        for (uint i = 0; i < buffers; i++) _free[i] = buffers - 1 - i;
        _freeCount = buffers;
    }

    /// <summary>Bytes of a pool.</summary>
    public static ulong BytesOf(uint buffers, uint bufferBytes) => (ulong)buffers * (Headroom + bufferBytes);

    public uint FreeCount => _freeCount;

    public uint Count => (uint)_posted.Length;

    /// <summary>Takes a buffer that nobody uses.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRent(out uint slot)
    {
        if (_freeCount == 0)
        {
            slot = 0;
            return false;
        }

        slot = _free[--_freeCount];
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Return(uint slot) => _free[_freeCount++] = slot;

    public Span<byte> Memory(uint slot) => _region.Slice(((long)slot * _stride) + _first, (int)_bufferBytes);

    /// <summary>Bytes from <paramref name="lead"/> bytes before the buffer on.</summary>
    public Span<byte> Memory(uint slot, int lead, int length) => _region.Slice(((long)slot * _stride) + _first - lead, length);

    /// <summary>Notes that the driver is to hold the buffer, and completes its request.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref readonly NetBuffer Post(uint slot, ref NetBuffer request, bool startsFrame)
    {
        ref Posted posted = ref _posted[slot];
        if (posted.WithDriver) Misuse(slot);
        request.Grant = _grant;
        request.Offset += (slot * _stride) + _first;
        request.Cookie = slot;
        posted.Request = request;
        posted.Sequence = ++_sequence;
        posted.WithDriver = true;
        posted.StartsFrame = startsFrame;
        return ref posted.Request;
    }

    /// <summary>Takes a returned buffer back from the driver.</summary>
    /// <returns>False where the driver does not hold it.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryTake(ulong cookie, out uint slot)
    {
        slot = (uint)cookie;
        if (cookie >= (uint)_posted.Length || !_posted[slot].WithDriver) return false;
        _posted[slot].WithDriver = false;
        return true;
    }

    /// <summary>Undoes <see cref="TryTake"/>: the buffer is with the driver again, in its old place in the order.</summary>
    public void Untake(uint slot) => _posted[slot].WithDriver = true;

    /// <summary>
    /// What a dead driver held, in the order in which it was posted, for its successor. The rest of a frame whose start was acknowledged
    /// was sent with it: those buffers are free instead.
    /// </summary>
    /// <param name="finished">Frames that ended so.</param>
    public List<NetBuffer> TakeOutstanding(out uint finished)
    {
        List<NetBuffer> again = [];
        finished = 0;
        bool insideFrame = false;
        foreach (uint slot in Enumerable.Range(0, _posted.Length).Select(i => (uint)i).Where(i => _posted[i].WithDriver).OrderBy(i => _posted[i].Sequence))
        {
            ref Posted posted = ref _posted[slot];
            bool more = (posted.Request.Flags & NetFlags.More) != 0;
            insideFrame |= posted.StartsFrame;
            if (insideFrame)
            {
                again.Add(posted.Request);
                insideFrame = more;
                continue;
            }

            posted.WithDriver = false;
            Return(slot);
            if (!more) finished++;
        }

        return again;
    }

    private static void Misuse(uint slot) => throw new InvalidOperationException($"buffer {slot} is with the driver; it can be sent again when it has come back");

    private struct Posted
    {
        public NetBuffer Request;

        /// <summary>Order of posting.</summary>
        public ulong Sequence;

        /// <summary>False while the client holds the buffer.</summary>
        public bool WithDriver;
        public bool StartsFrame;
    }
}
