using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Xinim.Vfio;

namespace Xinim.Drivers.Virtio.Queues;

/// <summary>
/// What a queue remembers of its buffers, in memory that the device cannot reach: who is free, how much the device may write, in which order
/// they went out. Whatever the device says is checked here. Numbers are given in the order in which they came back, so that a device that
/// keeps the order sees the same numbers in the same places lap after lap, as IN_ORDER demands [V §2.7.5, §2.8.8], and nothing need be
/// written anew.
/// </summary>
internal struct BufferLedger
{
    private const int OrderShift = 32;
    private const int PartsShift = 48;

    private readonly string _name;

    /// <summary>By number: bytes that the device may write, the place in the order, descriptors. 0: not with the device.</summary>
    private readonly ulong[] _buffers;

    /// <summary>A ring of numbers: those that are free from <see cref="_opened"/> to <see cref="_closed"/> + size.</summary>
    private readonly ushort[] _free;

    private uint _opened;
    private uint _closed;
    private uint _batchEnd;
    private uint _batchWritten;

    public BufferLedger(string name, uint size)
    {
        _name = name;
        _buffers = new ulong[size];
        _free = new ushort[size];
        Reset();
    }

    /// <summary>Numbers that are free.</summary>
    public readonly uint Free => (uint)_free.Length - (_opened - _closed);

    /// <summary>Buffers added, free-running. A split queue's avail.idx, once they are published.</summary>
    public uint Added { get; private set; }

    /// <summary>Buffers that the device was shown, free-running.</summary>
    public uint Published { get; private set; }

    /// <summary>Buffers taken, free-running.</summary>
    public uint Taken { get; private set; }

    public void Reset()
    {
        for (int i = 0; i < _free.Length; i++) _free[i] = (ushort)i;
        Array.Clear(_buffers);
        _opened = _closed = _batchEnd = _batchWritten = Added = Published = Taken = 0;
    }

    /// <summary>The number that is given next, or the one <paramref name="ahead"/> of it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly uint Next(uint ahead = 0) => _free[(_opened + ahead) & (uint)(_free.Length - 1)];

    /// <summary>A buffer goes out under the next number, which <paramref name="id"/> is.</summary>
    /// <param name="room">Bytes that the device may write.</param>
    /// <param name="parts">Descriptors.</param>
    /// <param name="numbers">Numbers that it takes: of each descriptor in a split queue.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Open(uint id, uint room, uint parts, uint numbers)
    {
        _buffers[id] = room | ((ulong)(ushort)Added << OrderShift) | ((ulong)parts << PartsShift);
        _opened += numbers;
        Added++;
    }

    /// <summary>The device is shown all that was added.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Publish() => Published = Added;

    /// <summary>The device says that it used a buffer.</summary>
    /// <param name="id">As the device says it.</param>
    /// <param name="written">As the device says it; 0 on return where it can have written nothing.</param>
    /// <returns>Descriptors of the buffer.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Close(uint id, ref uint written)
    {
        ulong[] buffers = _buffers;
        if (id >= (uint)buffers.Length) ThrowReturn(id, written);
        ulong buffer = buffers[id];
        // At most 32768 are out, so that the place in the order tells those that the device was not shown yet.
        if (buffer == 0 || (ushort)(Published - 1 - (uint)(buffer >> OrderShift)) >= VirtQueueLayout.MaxSize) ThrowReturn(id, written);
        if (written > (uint)buffer) Limit(id, (uint)buffer, ref written);
        buffers[id] = 0;
        GiveBack(id);
        Taken++;
        return (uint)(buffer >> PartsShift);
    }

    /// <summary>A number is free again.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void GiveBack(uint number)
    {
        _free[_closed & (uint)(_free.Length - 1)] = (ushort)number;
        _closed++;
    }

    /// <summary>With IN_ORDER: true where the next buffer belongs to no batch that the device reported.</summary>
    public readonly bool BatchOver => _batchEnd == Taken;

    /// <summary>With IN_ORDER: the device used all buffers up to one of them, and wrote one entry for the batch [V §2.7.9, §2.8.8].</summary>
    /// <param name="last">As the device says it.</param>
    /// <param name="written">To the last one, as the device says it; the others were used completely.</param>
    /// <param name="limit">Buffers that it can have used.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void BeginBatch(uint last, ref uint written, uint limit)
    {
        ulong[] buffers = _buffers;
        if (last >= (uint)buffers.Length) ThrowReturn(last, written);
        ulong buffer = buffers[last];
        uint before = (ushort)((uint)(buffer >> OrderShift) - Taken);
        if (buffer == 0 || before >= limit) ThrowReturn(last, written);
        if (written > (uint)buffer) Limit(last, (uint)buffer, ref written);
        _batchEnd = Taken + before + 1;
        _batchWritten = written;
    }

    /// <summary>With IN_ORDER: takes the next buffer of a batch.</summary>
    /// <param name="parts">Its descriptors.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint CloseNext(out uint written, out uint parts)
    {
        // Where its number was taken from, that of the oldest buffer still stands: nothing came back in another order.
        uint id = _free[_closed & (uint)(_free.Length - 1)];
        ulong buffer = _buffers[id];
        _buffers[id] = 0;
        GiveBack(id);
        Taken++;
        written = BatchOver ? _batchWritten : (uint)buffer;
        parts = (uint)(buffer >> PartsShift);
        return id;
    }

    /// <summary>Of a buffer that the device only reads the length is reserved [V §2.8.4]: whatever stands there is nothing.</summary>
    private readonly void Limit(uint id, uint room, ref uint written)
    {
        if (room != 0) ThrowReturn(id, written);
        written = 0;
    }

    /// <summary>A used index that moved by more buffers than the device has [V §2.7.8].</summary>
    [DoesNotReturn]
    public readonly void ThrowIndex(ushort index)
        => throw new DeviceFaultException($"{_name}: used index {index} after {(ushort)Taken}, with {Published - Taken} buffers out [V §2.7.8]");

    [DoesNotReturn]
    private readonly void ThrowReturn(uint id, uint written) => throw new DeviceFaultException($"{_name}: {WrongReturn(id, written)}");

    private readonly string WrongReturn(uint id, uint written)
        => id < (uint)_buffers.Length && _buffers[id] != 0 && written > (uint)_buffers[id]
            ? $"{written} bytes written to buffer {id}, which has room for {(uint)_buffers[id]} [V §2.7.8, §2.8.4]"
            : $"buffer {id} came back and is not one that the device has ({Published - Taken} are out) [V §2.7.8, §2.8.13]";
}
