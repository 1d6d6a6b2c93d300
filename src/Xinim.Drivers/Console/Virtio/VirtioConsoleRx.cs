using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>
/// The receive queue of a port [V §5.3.6]. Bytes come out of pieces: first the spool, which is what a predecessor's device wrote and nobody
/// took, then the buffers that the device used. A buffer goes back to the device when the client's ring has all of it, so a
/// client that does not read stops the other side. [V] = Virtual I/O Device (VIRTIO) Version 1.2.
/// </summary>
internal sealed class VirtioConsoleRx
{
    public const uint Entries = 16, BufferBytes = 512;

    /// <summary>What is in the spool and what the device has room for, together: a successor's spool takes both.</summary>
    public const uint SpoolBytes = Entries * BufferBytes;

    private readonly DmaBuffer<PortNotes> _notes;
    private readonly uint _port;
    private readonly DmaBuffer<byte> _spool;
    private readonly DmaBuffer<byte> _buffers;
    private readonly DmaBuffer<uint> _slots;
    private readonly uint[] _spare;
    private uint _spareCount;
#pragma warning disable IDE0044 // a struct that changes: readonly would have each call work on a copy
    private SplitQueue _queue;
#pragma warning restore IDE0044
    private VirtioDoorbell? _doorbell;

    /// <summary>Buffers that the device does not get as long as the spool is full.</summary>
    private uint _held;

    /// <summary>The piece that is being delivered; null where there is none.</summary>
    private Piece? _piece;
    private ulong _base;

    /// <param name="former">What the predecessor left.</param>
    public VirtioConsoleRx(VirtioDevice device, DmaArena arena, ushort queue, VirtioConsoleBanks banks, DmaBuffer<PortNotes> notes, uint port, VirtioConsoleRemains former)
    {
        (_notes, _port, _base) = (notes, port, former.RxBase);
        _queue = device.MakeQueue<SplitQueue>(arena, queue, Entries, 0);
        _spool = arena.Allocate<byte>(SpoolBytes, 64);
        _buffers = arena.Allocate<byte>(_queue.Size * BufferBytes, 64);
        _slots = arena.Allocate<uint>(_queue.Size, 64);
        for (int i = 0; i < former.Received.Length; i++) _spool[(uint)i] = former.Received[i];
        uint room = (SpoolBytes - (uint)former.Received.Length) / BufferBytes;
        _spare = new uint[_queue.Size];
        for (uint i = _queue.Size; i-- > 0;) _spare[_spareCount++] = i;
        _held = _queue.Size - Math.Min(room, _queue.Size);
        ref PortNotes note = ref notes[port];
        note.RxSize = _queue.Size;
        note.RxUsedAt = banks.OffsetOf(_queue.Memory.Device);
        note.RxBuffersAt = banks.OffsetOf(_buffers.Iova);
        note.RxSlotsAt = banks.OffsetOf(_slots.Iova);
        note.SpoolAt = banks.OffsetOf(_spool.Iova);
        note.SpoolBytes = (uint)former.Received.Length;
        note.RxBaseEven = note.RxBaseOdd = _base;
        note.RxTaken = former.Received.Length == 0 ? 1u : 0;
    }

    public ulong Bytes { get; private set; }

    public ulong Dropped { get; private set; }

    public ulong Doorbells { get; private set; }

    public void SetUp(IVirtioTransport transport, ushort queue, int? vector)
    {
        _queue.DisableInterrupts();
        _doorbell = transport.SetUpQueue(queue, _queue.Memory, vector);
    }

    /// <summary>Gives the device what buffers it may have.</summary>
    public void Provide()
    {
        while (_spareCount > _held)
        {
            uint slot = _spare[_spareCount - 1];
            int number = _queue.Add(_buffers.Iova + ((ulong)slot * BufferBytes), BufferBytes, deviceWrites: true);
            if (number < 0) break;
            _spareCount--;
            // Before the device can use it: a successor finds the buffer by its number.
            _slots[(uint)number] = slot;
        }

        if (!_queue.Publish()) return;
        _doorbell!.Ring();
        Doorbells++;
    }

    /// <summary>Another client's stream begins. What a former one did not read is gone; what came for nobody is this one's.</summary>
    public void Begin(bool dropFormer)
    {
        if (dropFormer) Drop();
        _base = 0;
        ref PortNotes note = ref _notes[_port];
        note.RxBaseEven = note.RxBaseOdd = 0;
    }

    /// <summary>The same client, with fresh rings: what it may not have is delivered again.</summary>
    public void Rewind()
    {
        if (_piece is { } piece) _piece = piece with { Offset = 0 };
    }

    /// <summary>Forgets what has come so far.</summary>
    public void Drop()
    {
        while (NextPiece() is { } piece)
        {
            Dropped += piece.Length - piece.Offset;
            Finish(piece);
        }

        Provide();
    }

    /// <inheritdoc cref="IConsoleDriver.Receive"/>
    public uint Return(RingProducer<ConsoleChunk> received)
    {
        uint total = 0;
        bool finished = false;
        while (NextPiece() is { } piece)
        {
            uint put = 0;
            uint room = received.Reserve(((piece.Length - piece.Offset) / ConsoleChunk.Room) + 1);
            for (; put < room && piece.Offset < piece.Length; put++) piece = Put(ref received[put], piece);
            if (put != 0) received.Publish(put);
            total += put;
            _piece = piece;
            if (piece.Offset < piece.Length) break;
            // Not before the ring has it: a driver that dies in between delivers it again, and the client knows it by its position.
            Bytes += piece.Length;
            Finish(piece);
            finished = true;
        }

        if (finished) Provide();
        return total;
    }

    public void Arm() => _ = _queue.EnableInterrupts();

    public void Mask() => _queue.DisableInterrupts();

    private Piece Put(ref ConsoleChunk chunk, in Piece piece)
    {
        uint length = Math.Min(piece.Length - piece.Offset, (uint)ConsoleChunk.Room);
        chunk.Position = _base + piece.Offset;
        chunk.Length = length;
        DmaBuffer<byte> from = piece.InSpool ? _spool : _buffers;
        uint at = piece.InSpool ? piece.Offset : (piece.Slot * BufferBytes) + piece.Offset;
        for (uint i = 0; i < length; i++) chunk.Data[(int)i] = from[at + i];
        return piece with { Offset = piece.Offset + length };
    }

    private Piece? NextPiece()
    {
        if (_piece is not null) return _piece;
        ref PortNotes note = ref _notes[_port];
        if (note.RxTaken == 0) return _piece = new Piece(true, 0, note.SpoolBytes, 0);
        int number = _queue.Take(out uint written);
        return number < 0 ? null : _piece = new Piece(false, _slots[(uint)number], written, 0);
    }

    private void Finish(in Piece piece)
    {
        _base += piece.Length;
        ref PortNotes note = ref _notes[_port];
        uint taken = note.RxTaken + 1;
        if ((taken & 1) == 0) note.RxBaseEven = _base;
        else note.RxBaseOdd = _base;
        Volatile.Write(ref note.RxTaken, taken);
        if (piece.InSpool) _held = 0;
        else _spare[_spareCount++] = piece.Slot;
        _piece = null;
    }

    private readonly record struct Piece(bool InSpool, uint Slot, uint Length, uint Offset);
}
