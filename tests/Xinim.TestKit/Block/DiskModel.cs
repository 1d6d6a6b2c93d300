using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Xinim.Ipc.Protocols;
using Xinim.Vfio.Registers;

namespace Xinim.TestKit.Block;

/// <summary>
/// A disk in memory behind a device of our own: 64 commands in a table, a doorbell, an interrupt. It keeps its contents over resets and drivers,
/// fails where a test wants it to, and holds commands back for as long as a test likes. Registers are accessed on one thread; the knobs may
/// be turned on another.
/// </summary>
public sealed class DiskModel(uint blocks, uint blockBytes = 512) : RegisterChannel
{
    public const uint Depth = 64;
    public const uint BarBytes = 4096;
    public const uint Magic = 0x4b534944; // "DISK"
    public const uint IdRegister = 0x00, ResetRegister = 0x04, QueueLow = 0x08, QueueHigh = 0x0c, Doorbell = 0x10, Cause = 0x14, Enable = 0x18, Blocks = 0x1c, BlockBytes = 0x20, SerialRegister = 0x24, Temperature = 0x28, Power = 0x2c;

    private readonly byte[] _contents = new byte[(long)blocks * blockBytes];
    private readonly bool[] _held = new bool[Depth];
    private readonly Lock _lock = new();
    private ulong _queue;
    private bool _enabled;
    private bool _cause;

    public delegate bool ReadMemory(ulong iova, Span<byte> to);

    public delegate bool WriteMemory(ulong iova, ReadOnlySpan<byte> from);

    /// <summary>How the device reaches memory.</summary>
    public required ReadMemory Fetch { get; set; }

    /// <inheritdoc cref="Fetch"/>
    public required WriteMemory Store { get; set; }

    /// <summary>Called with the level of the interrupt line.</summary>
    public Action<bool> Line { get; set; } = _ => { };

    /// <summary>Logical blocks; a test may change it.</summary>
    public uint Capacity { get; set; } = blocks;

    public uint Serial { get; set; } = 4711;

    /// <summary>False: it is pulled. Its commands fail, its registers are silent.</summary>
    public bool Present { get; set; } = true;

    /// <summary>Degrees; 0 for a disk that does not tell.</summary>
    public uint Degrees { get; set; }

    /// <summary>The power mode that was asked for last.</summary>
    public uint PowerMode { get; private set; }

    /// <summary>Blocks that cannot be read or written.</summary>
    public HashSet<ulong> BadBlocks { get; } = [];

    /// <summary>Commands stay with the device until <see cref="Release"/> or a reset.</summary>
    public bool HoldBack { get; set; }

    /// <summary>The last command of a batch is done first.</summary>
    public bool Backwards { get; set; }

    /// <summary>Commands done, ever.</summary>
    public int Executed { get; private set; }

    /// <summary>Doorbell writes, ever.</summary>
    public int Rings { get; private set; }

    /// <summary>Flushes done, ever.</summary>
    public int Flushes { get; private set; }

    /// <summary>Commands that are held back now.</summary>
    public int Held
    {
        get
        {
            lock (_lock) return _held.Count(held => held);
        }
    }

    /// <summary>The contents, for a test to compare.</summary>
    public Span<byte> Contents(ulong lba, uint count) => _contents.AsSpan((int)(lba * blockBytes), (int)(count * blockBytes));

    /// <summary>Does what was held back.</summary>
    public void Release()
    {
        lock (_lock)
        {
            HoldBack = false;
            Work();
        }
    }

    /// <summary>Forgets every command and touches memory no more, until it is set up again.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _queue = 0;
            _enabled = _cause = false;
            Array.Clear(_held);
            Line(false);
        }
    }

    public override ulong Read(int bar, uint offset, int size)
    {
        lock (_lock)
        {
            switch (offset)
            {
                case IdRegister: return Present ? Magic : 0;
                case Blocks: return Capacity;
                case BlockBytes: return blockBytes;
                case SerialRegister: return Serial;
                case Temperature: return Degrees;
                case Cause:
                    bool was = _cause;
                    _cause = false;
                    Line(false);
                    return was ? 1u : 0;
                default: return 0;
            }
        }
    }

    public override void Write(int bar, uint offset, int size, ulong value)
    {
        if (offset == ResetRegister)
        {
            Reset();
            return;
        }

        lock (_lock)
        {
            switch (offset)
            {
                case QueueLow: _queue = (_queue & ~0xffff_fffful) | value; break;
                case QueueHigh: _queue = (_queue & 0xffff_ffff) | (value << 32); break;
                case Enable:
                    _enabled = value != 0;
                    if (_enabled && _cause) Line(true);
                    break;
                case Power: PowerMode = (uint)value; break;
                case Doorbell:
                    Rings++;
                    Work();
                    break;
            }
        }
    }

    private void Work()
    {
        if (_queue == 0) return;
        for (uint i = 0; i < Depth; i++) Look(Backwards ? Depth - 1 - i : i);
    }

    private void Look(uint index)
    {
        DiskEntry entry = default;
        ulong at = _queue + (index * (ulong)Unsafe.SizeOf<DiskEntry>());
        if (!Fetch(at, MemoryMarshal.AsBytes(new Span<DiskEntry>(ref entry))) || entry.State != DiskEntry.Submitted) return;
        _held[index] = HoldBack;
        if (HoldBack) return;
        (BlockStatus status, ulong failed) = Execute(entry);
        Executed++;
        ulong failedLba = failed;
        uint code = (uint)status, done = DiskEntry.Done;
        Store(at + 8, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in failedLba)));
        Store(at + DiskEntry.StatusOffset, MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in code)));
        // The driver looks at the state first: it is written last, and on x86-64 it is seen last.
        Store(at + DiskEntry.StateOffset, MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in done)));
        _cause = true;
        if (_enabled) Line(true);
    }

    private (BlockStatus Status, ulong FailedLba) Execute(in DiskEntry entry)
    {
        if (!Present) return (BlockStatus.NoMedium, entry.Lba);
        for (ulong lba = entry.Lba; lba < entry.Lba + entry.Count; lba++)
        {
            if (BadBlocks.Contains(lba)) return (BlockStatus.IoError, lba);
        }

        switch ((BlockOperation)entry.Operation)
        {
            case BlockOperation.Flush: Flushes++; return (BlockStatus.Ok, 0);
            case BlockOperation.Discard: Contents(entry.Lba, entry.Count).Fill(0xdd); return (BlockStatus.Ok, 0);
            case BlockOperation.WriteZeroes: Contents(entry.Lba, entry.Count).Clear(); return (BlockStatus.Ok, 0);
        }

        int at = (int)(entry.Lba * blockBytes);
        for (int i = 0; i < entry.Segments; i++)
        {
            DiskSegment segment = entry.List[i];
            Span<byte> data = _contents.AsSpan(at, (int)segment.Length);
            bool moved = entry.Operation == (uint)BlockOperation.Read ? Store(segment.Iova, data) : Fetch(segment.Iova, data);
            if (!moved) return (BlockStatus.IoError, entry.Lba);
            at += data.Length;
        }

        return (BlockStatus.Ok, 0);
    }
}
