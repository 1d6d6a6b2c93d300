using System.Runtime.InteropServices;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>
/// What a driver notes of a port while it works, for its successor: how far each stream is, and where its queues are. Every field is written
/// alone and in an order in which a death between two of them costs nothing; together with the used rings they say where to go on.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PortNotes
{
    /// <summary>The client's; 0 for none.</summary>
    public ulong Session;

    /// <summary>Bytes of the client's that the device has taken.</summary>
    public ulong TxDone;

    /// <summary>Position of the first byte that is not delivered: valid is the one of <see cref="RxTaken"/>'s parity, so that both change at once.</summary>
    public ulong RxBaseEven;

    /// <inheritdoc cref="RxBaseEven"/>
    public ulong RxBaseOdd;

    /// <summary>Pieces delivered: the spool, then the entries of the used ring.</summary>
    public uint RxTaken;

    /// <summary>Entries of the used ring that were looked at.</summary>
    public uint TxTaken;

    /// <summary>Entries of the queues.</summary>
    public uint RxSize;

    /// <inheritdoc cref="RxSize"/>
    public uint TxSize;

    // Where the used rings, the buffers and what is known of them are: bytes from the bank's start.
    public uint RxUsedAt;
    public uint RxBuffersAt;
    public uint RxSlotsAt;
    public uint TxUsedAt;
    public uint TxRecordsAt;
    public uint SpoolAt;

    /// <summary>Bytes that a predecessor's device wrote, and nobody took.</summary>
    public uint SpoolBytes;
    public uint Reserved;
}

/// <summary>What a buffer with the device holds, by its number.</summary>
/// <param name="Session">Whose.</param>
/// <param name="Start">Position of its first byte.</param>
/// <param name="Length">Bytes.</param>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct TxRecord(ulong Session, ulong Start, uint Length, uint Reserved = 0);

/// <summary>
/// The halves of the work region, one of which the present driver works in: its successor takes over what it finds there while it builds the
/// other one, and only then makes that the valid one. A driver may die at any moment of this.
/// </summary>
internal sealed class VirtioConsoleBanks
{
    /// <summary>High half of a valid mark; changes with every change of <see cref="PortNotes"/> or of what they point to.</summary>
    private const uint Magic = 0x58_43_4e_31; // "XCN1"
    private const uint MarkBytes = 64;

    private readonly DmaArena _arena;
    private readonly DmaBuffer<ulong> _marks;
    private readonly int _bytes;
    private readonly int _valid;
    private readonly long _start;

    /// <param name="arena">Reset; what follows is allocated in the new bank. The device is quiet.</param>
    public VirtioConsoleBanks(DmaArena arena)
    {
        _arena = arena;
        _marks = arena.AllocateKept<ulong>(MarkBytes / sizeof(ulong), MarkBytes);
        _bytes = (int)(arena.Free / 2) & ~(int)(MarkBytes - 1);
        _valid = Newest();
        New = _valid == 0 ? 1 : 0;
        arena.Skip(New * (long)_bytes);
        _start = arena.Free;
    }

    /// <summary>What the predecessor left; empty where there was none.</summary>
    public byte[] Former => _valid < 0 ? [] : _arena.Copy(MarkBytes + (_valid * (long)_bytes), _bytes);

    private int New { get; }

    /// <summary>Bytes from the new bank's start.</summary>
    public uint OffsetOf(Iova at) => (uint)(at.Value - _marks.Iova.Value - MarkBytes) - (uint)(New * _bytes);

    /// <summary>The new bank is complete: from now on it is the one that a successor looks at.</summary>
    /// <exception cref="InvalidOperationException">It has outgrown its half.</exception>
    public void Commit()
    {
        if (_start - _arena.Free > _bytes)
            throw new InvalidOperationException($"the driver needs twice {_start - _arena.Free} bytes of its work region, which has twice {_bytes}; raise 'dmaBytes' in its manifest or lower its option 'ports'");
        uint serial = _valid < 0 ? 0 : (uint)_marks[(uint)_valid];
        Volatile.Write(ref _marks[(uint)New], ((ulong)Magic << 32) | (serial + 1));
    }

    private int Newest()
    {
        ulong first = _marks[0], second = _marks[1];
        bool firstValid = first >> 32 == Magic, secondValid = second >> 32 == Magic;
        if (firstValid && secondValid) return (int)((uint)first - (uint)second) > 0 ? 0 : 1;
        return firstValid ? 0 : secondValid ? 1 : -1;
    }
}
