using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Xinim.Drivers.Virtio.Queues;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>
/// What a driver left of a port when it died: how far its client's bytes got, and what had come for it. Read from a copy of its notes and its
/// used rings, once the device is quiet. A driver that died of corrupting memory may have left nonsense: then nothing is known.
/// </summary>
/// <param name="Session">The client's; 0 for none.</param>
/// <param name="TxDone">Bytes of the client's that the device has taken.</param>
/// <param name="RxBase">Position of the first byte of <paramref name="Received"/>.</param>
/// <param name="Received">What the device wrote and was not delivered.</param>
internal sealed record VirtioConsoleRemains(ulong Session, ulong TxDone, ulong RxBase, byte[] Received)
{
    public static VirtioConsoleRemains Nothing { get; } = new(0, 0, 0, []);

    /// <param name="bank">The former driver's; empty where there was none.</param>
    /// <param name="port">Its number.</param>
    public static VirtioConsoleRemains Read(ReadOnlySpan<byte> bank, uint port)
    {
        if (bank.IsEmpty) return Nothing;
        try
        {
            PortNotes notes = MemoryMarshal.Read<PortNotes>(bank[(int)(port * Unsafe.SizeOf<PortNotes>())..]);
            if (!IsSize(notes.RxSize) || !IsSize(notes.TxSize)) return Nothing;
            ulong from = (notes.RxTaken & 1) == 0 ? notes.RxBaseEven : notes.RxBaseOdd;
            return new VirtioConsoleRemains(notes.Session, FindTxDone(bank, notes), from, Collect(bank, notes));
        }
        catch (ArgumentOutOfRangeException)
        {
            return Nothing;
        }
    }

    private static bool IsSize(uint size) => size is >= 1 and <= VirtioConsoleTx.Entries && uint.IsPow2(size);

    /// <summary>The buffers that the device has used and the driver had not seen, as far as they follow each other.</summary>
    private static ulong FindTxDone(ReadOnlySpan<byte> bank, in PortNotes notes)
    {
        ulong done = notes.TxDone;
        ReadOnlySpan<TxRecord> records = MemoryMarshal.Cast<byte, TxRecord>(bank.Slice((int)notes.TxRecordsAt, (int)notes.TxSize * Unsafe.SizeOf<TxRecord>()));
        for (uint i = notes.TxTaken; i != notes.TxTaken + Fresh(bank, notes.TxUsedAt, notes.TxTaken, notes.TxSize); i++)
        {
            (uint id, _) = Used(bank, notes.TxUsedAt, i, notes.TxSize);
            if (id >= notes.TxSize) break;
            TxRecord record = records[(int)id];
            if (record.Session == notes.Session && record.Start == done && record.Length <= VirtioConsoleTx.BufferBytes) done += record.Length;
        }

        return done;
    }

    /// <summary>The spool, where it was not delivered, then what the device wrote.</summary>
    private static byte[] Collect(ReadOnlySpan<byte> bank, in PortNotes notes)
    {
        List<byte> bytes = [];
        uint taken = notes.RxTaken;
        if (taken == 0)
        {
            bytes.AddRange(bank.Slice((int)notes.SpoolAt, (int)Math.Min(notes.SpoolBytes, VirtioConsoleRx.SpoolBytes)));
            taken = 1;
        }

        uint first = taken - 1;
        uint fresh = Fresh(bank, notes.RxUsedAt, first, notes.RxSize);
        ReadOnlySpan<uint> slots = MemoryMarshal.Cast<byte, uint>(bank.Slice((int)notes.RxSlotsAt, (int)notes.RxSize * sizeof(uint)));
        for (uint i = first; i != first + fresh; i++)
        {
            (uint id, uint length) = Used(bank, notes.RxUsedAt, i, notes.RxSize);
            if (id >= notes.RxSize || slots[(int)id] >= notes.RxSize || length > VirtioConsoleRx.BufferBytes) break;
            bytes.AddRange(bank.Slice((int)(notes.RxBuffersAt + (slots[(int)id] * VirtioConsoleRx.BufferBytes)), (int)length));
        }

        return [.. bytes.Take((int)VirtioConsoleRx.SpoolBytes)];
    }

    /// <summary>Entries between the one that the driver saw last and used.idx [V §2.7.8]; none where that cannot be. [V] = Virtual I/O Device (VIRTIO) Version 1.2.</summary>
    private static uint Fresh(ReadOnlySpan<byte> bank, uint usedAt, uint taken, uint size)
    {
        uint fresh = (ushort)(MemoryMarshal.Read<ushort>(bank[(int)(usedAt + VirtQueueLayout.IndexOffset)..]) - (ushort)taken);
        return fresh <= size ? fresh : 0;
    }

    private static (uint Id, uint Length) Used(ReadOnlySpan<byte> bank, uint usedAt, uint index, uint size)
    {
        ReadOnlySpan<byte> entry = bank[(int)(usedAt + VirtQueueLayout.RingOffset + ((index & (size - 1)) * 8))..];
        return (MemoryMarshal.Read<uint>(entry), MemoryMarshal.Read<uint>(entry[4..]));
    }
}
