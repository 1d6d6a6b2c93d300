using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>
/// The transmit queue of a port [V §5.3.6]. A client's chunks are gathered into buffers and stay on its ring until the device has used
/// them; the position of each buffer is noted before the device sees it. [V] = Virtual I/O Device (VIRTIO) Version 1.2.
/// </summary>
internal sealed class VirtioConsoleTx
{
    public const uint Entries = 16, BufferBytes = 512;

    private readonly DmaBuffer<PortNotes> _notes;
    private readonly uint _port;
    private readonly DmaBuffer<byte> _buffers;
    private readonly DmaBuffer<TxRecord> _records;
    private readonly uint[] _spare;
    private readonly Given[] _given;
    private readonly Queue<uint> _order = [];
    private uint _spareCount;
#pragma warning disable IDE0044 // a struct that changes: readonly would have each call work on a copy
    private SplitQueue _queue;
#pragma warning restore IDE0044
    private VirtioDoorbell? _doorbell;
    private uint _last;
    private uint _held;
    private ulong _next;

    /// <summary>No chunk of the client has come yet: <see cref="_next"/> is what a predecessor noted.</summary>
    private bool _unsure = true;

    /// <param name="former">What the predecessor left.</param>
    public VirtioConsoleTx(VirtioDevice device, DmaArena arena, ushort queue, VirtioConsoleBanks banks, DmaBuffer<PortNotes> notes, uint port, VirtioConsoleRemains former)
    {
        (_notes, _port, _next) = (notes, port, former.TxDone);
        _queue = device.MakeQueue<SplitQueue>(arena, queue, Entries, 0);
        _buffers = arena.Allocate<byte>(_queue.Size * BufferBytes, 64);
        _records = arena.Allocate<TxRecord>(_queue.Size, 64);
        _given = new Given[_queue.Size];
        _spare = new uint[_queue.Size];
        for (uint i = _queue.Size; i-- > 0;) _spare[_spareCount++] = i;
        ref PortNotes note = ref notes[port];
        note.TxSize = _queue.Size;
        note.TxUsedAt = banks.OffsetOf(_queue.Memory.Device);
        note.TxRecordsAt = banks.OffsetOf(_records.Iova);
        note.TxDone = former.TxDone;
    }

    public bool Busy => _order.Count != 0;

    public ulong Bytes { get; private set; }

    public ulong Doorbells { get; private set; }

    public void SetUp(IVirtioTransport transport, ushort queue, int? vector)
    {
        _queue.DisableInterrupts();
        _doorbell = transport.SetUpQueue(queue, _queue.Memory, vector);
    }

    /// <summary>Another client's stream begins. What a former one gave the device still goes its way.</summary>
    public void Begin()
    {
        _next = 0;
        _unsure = true;
        _notes[_port].TxDone = 0;
        Rewind();
    }

    /// <summary>The same client, with fresh rings: nothing of it is held any more.</summary>
    public void Rewind()
    {
        _held = 0;
        for (int i = 0; i < _given.Length; i++) _given[i].Chunks = 0;
    }

    /// <summary>Gives the device what it has room for.</summary>
    /// <returns>Bytes.</returns>
    /// <exception cref="RingException">A chunk that cannot be.</exception>
    public uint Provide(RingConsumer<ConsoleChunk> submitted, ulong session)
    {
        uint ready = submitted.Peek(submitted.Capacity);
        uint total = 0;
        if (_unsure && ready != 0) Locate(submitted);
        while (_held < ready && _spareCount != 0)
        {
            uint chunks = Gather(submitted, ready, session, out uint bytes);
            total += bytes;
            if (bytes == 0 && Skip(submitted, chunks)) ready -= chunks;
        }

        if (!_queue.Publish()) return total;
        _doorbell!.Ring();
        Doorbells++;
        return total;
    }

    /// <summary>Takes back what the device has used.</summary>
    /// <param name="submitted">The client's ring; null where there is none any more.</param>
    /// <returns>Chunks released.</returns>
    public uint Return(RingConsumer<ConsoleChunk>? submitted, ulong session)
    {
        if (!Busy) return 0;
        ref PortNotes note = ref _notes[_port];
        uint taken = 0, chunks = 0;
        while (_queue.Take(out _) is >= 0 and int number)
        {
            _given[number].Used = true;
            taken++;
        }

        if (taken == 0) return 0;
        while (_order.TryPeek(out uint oldest) && _given[oldest].Used)
        {
            _order.Dequeue();
            TxRecord record = _records[oldest];
            if (record.Session == session && session != 0) note.TxDone = record.Start + record.Length;
            Bytes += record.Length;
            chunks += _given[oldest].Chunks;
            _spare[_spareCount++] = _given[oldest].Slot;
        }

        // Behind what it stands for: what a successor finds between the two, it counts once.
        Volatile.Write(ref note.TxTaken, note.TxTaken + taken);
        if (submitted is null || chunks == 0) return 0;
        _held -= chunks;
        submitted.Release(chunks);
        return chunks;
    }

    public void Arm() => _ = _queue.EnableInterrupts();

    public void Mask() => _queue.DisableInterrupts();

    /// <summary>
    /// A client goes on where it was acknowledged last, which is no more than its ring behind what the device has taken. Where the notes say
    /// something else they are nonsense, or lost, and the client is right.
    /// </summary>
    private void Locate(RingConsumer<ConsoleChunk> submitted)
    {
        _unsure = false;
        ulong position = submitted.Read(0).Position;
        if (position <= _next && _next - position <= submitted.Capacity * ConsoleChunk.Room) return;
        _notes[_port].TxDone = _next = position;
    }

    /// <summary>Fills one buffer and gives it.</summary>
    /// <param name="bytes">In it; 0 where the chunks held nothing new, and none was given.</param>
    /// <returns>Chunks.</returns>
    private uint Gather(RingConsumer<ConsoleChunk> submitted, uint ready, ulong session, out uint bytes)
    {
        uint at = _spare[_spareCount - 1] * BufferBytes;
        uint chunks = 0;
        ulong next = _next;
        bytes = 0;
        for (; _held + chunks < ready; chunks++)
        {
            ConsoleChunk chunk = submitted.Read(_held + chunks);
            if (chunk.Length is 0 or > ConsoleChunk.Room) throw new RingException($"a chunk of {chunk.Length} bytes; 1 to {ConsoleChunk.Room} are allowed");
            if (chunk.Position > next) throw new RingException($"a chunk of position {chunk.Position}, where {next} comes next");
            ulong known = next - chunk.Position;
            if (known >= chunk.Length) continue;
            uint length = chunk.Length - (uint)known;
            if (bytes + length > BufferBytes) break;
            for (uint i = 0; i < length; i++) _buffers[at + bytes + i] = chunk.Data[(int)(known + i)];
            bytes += length;
            next += length;
        }

        if (bytes != 0) Give(chunks, new TxRecord(session, _next, bytes));
        _next = next;
        return chunks;
    }

    private void Give(uint chunks, in TxRecord record)
    {
        uint slot = _spare[--_spareCount];
        // There is a descriptor for every slot.
        uint number = (uint)_queue.Add(_buffers.Iova + ((ulong)slot * BufferBytes), record.Length, deviceWrites: false);
        _records[number] = record;
        _given[number] = new Given { Slot = slot, Chunks = chunks };
        _order.Enqueue(number);
        _last = number;
        _held += chunks;
    }

    /// <summary>Chunks that the device has already, or will have when the last buffer is used.</summary>
    /// <returns>True where they were released.</returns>
    private bool Skip(RingConsumer<ConsoleChunk> submitted, uint chunks)
    {
        if (!Busy)
        {
            submitted.Release(chunks);
            return true;
        }

        _given[_last].Chunks += chunks;
        _held += chunks;
        return false;
    }

    private struct Given
    {
        public uint Slot;
        public uint Chunks;
        public bool Used;
    }
}
