using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;

namespace Xinim.TestKit.Block;

/// <summary>Drives one <see cref="DiskModel"/>: what a disk is at the least, with a place where a test makes it lie.</summary>
/// <param name="registers">Of the device.</param>
/// <param name="window">Where those of this disk begin.</param>
/// <param name="entries">Its commands.</param>
/// <param name="number">Of its port.</param>
public sealed class TestDisk(Mmio registers, uint window, DmaBuffer<DiskEntry> entries, uint number = 0) : IControllerUnit
{
    private const uint DiscardBlocks = 1 << 16;

    private readonly ulong[] _cookies = new ulong[DiskModel.Depth];
    private readonly ulong[] _bytes = new ulong[DiskModel.Depth];
    private readonly bool[] _busy = new bool[DiskModel.Depth];
    private BlockIntake _intake = new(Nothing);
    private BlockStatistics _statistics;
    private uint _outstanding;
    private bool _cache = true;
    private bool _changed;

    /// <summary>Makes of an honest completion what the client is told: nothing, or something else, or several.</summary>
    public Func<BlockCompletion, IReadOnlyList<BlockCompletion>>? Lie { get; set; }

    public bool Busy => _outstanding != 0 || _intake.HasRefusals;

    public BlockStatistics Statistics => _statistics with { Rejected = _intake.Rejected };

    public uint Number => number;

    public BlockDeviceInfo Info => _intake.Info;

    public BlockHealth Health { get; private set; }

    private static BlockDeviceInfo Nothing => new() { Features = BlockFeatures.Absent };

    /// <summary>A port without a disk is none to be served.</summary>
    public bool IsPresent => registers.Read32(window + DiskModel.IdRegister) == DiskModel.Magic;

    /// <summary>Resets the disk and sets its queue up.</summary>
    public BlockDeviceInfo Start()
    {
        registers.Write32(window + DiskModel.ResetRegister, 1);
        entries.Fill(0);
        registers.Write32(window + DiskModel.QueueLow, (uint)entries.Iova.Value);
        registers.Write32(window + DiskModel.QueueHigh, (uint)(entries.Iova.Value >> 32));
        BlockDeviceInfo info = IsPresent ? ReadInfo() : Nothing;
        _intake = new BlockIntake(info);
        return info;
    }

    public void Attach(BufferTable buffers) => _intake.Attach(buffers);

    public void Detach()
    {
        _intake.Detach();
        Array.Clear(_busy);
        _outstanding = 0;
        _ = Start();
    }

    public uint Submit(RingConsumer<BlockRequest> submitted)
    {
        BlockIntake intake = _intake;
        bool any = false;
        while (_outstanding < DiskModel.Depth && intake.TryPeek(submitted, out BlockCommand command))
        {
            Give((uint)Array.IndexOf(_busy, false), command);
            intake.Accept(submitted);
            any = true;
        }

        if (any)
        {
            registers.Write32(window + DiskModel.Doorbell, 1);
            _statistics.Doorbells++;
        }

        return intake.TakeCount();
    }

    public uint Complete(RingProducer<BlockCompletion> completed)
    {
        uint count = _intake.TellRefusals(completed);
        for (uint slot = 0; _outstanding != 0 && slot < DiskModel.Depth; slot++)
        {
            if (!_busy[slot] || Volatile.Read(ref entries[slot].State) != DiskEntry.Done) continue;
            if (completed.Reserve(1) == 0) break;
            count += Finish(slot, completed);
        }

        return count;
    }

    public void Enable(bool on) => registers.Write32(window + DiskModel.Enable, on ? 1u : 0);

    /// <summary>Reads and clears the cause of an interrupt.</summary>
    /// <returns>False where this disk has none.</returns>
    public bool TakeCause()
    {
        Enable(false);
        if (registers.Read32(window + DiskModel.Cause) == 0) return false;
        _statistics.Interrupts++;
        return true;
    }

    /// <summary>Looks whether the disk is there, the same, as large as it was, and how warm.</summary>
    public void Look()
    {
        BlockDeviceInfo now = IsPresent ? ReadInfo() : Nothing;
        if (now.Has(BlockFeatures.Absent) != Info.Has(BlockFeatures.Absent) || !now.IsSameDisk(Info))
        {
            // A port that was empty has had no memory for requests.
            if (Info.Has(BlockFeatures.Absent)) _ = Start();
            _intake.Info = now;
            _changed = true;
        }

        uint degrees = registers.Read32(window + DiskModel.Temperature);
        if (degrees != 0 && degrees != Health.Temperature) Health = new BlockHealth { Verdict = degrees < 60 ? BlockVerdict.Good : BlockVerdict.Failing, Temperature = (int)degrees, ReadAt = Health.ReadAt + 1 };
    }

    public void Run(BlockVerb verb) => registers.Write32(window + DiskModel.Power, (uint)verb);

    public bool TryTakeChange(out BlockDeviceInfo info)
    {
        info = _intake.Info;
        bool changed = _changed;
        _changed = false;
        return changed;
    }

    public void SetWriteCache(bool on)
    {
        _changed |= on != _cache;
        _cache = on;
        _intake.Info = ReadInfo();
    }

    /// <summary>No DMA, no interrupts.</summary>
    public void Stop() => registers.Write32(window + DiskModel.ResetRegister, 1);

    private void Give(uint slot, BlockCommand command)
    {
        ref DiskEntry entry = ref entries[slot];
        (entry.Operation, entry.Lba, entry.Count, entry.Segments) = ((uint)command.Operation, command.Lba, command.Count, (uint)command.Segments.Length);
        for (int i = 0; i < command.Segments.Length; i++) entry.List[i] = new DiskSegment(command.Segments[i].Iova.Value, command.Segments[i].Length);
        (_cookies[slot], _bytes[slot], _busy[slot]) = (command.Cookie, (ulong)command.Count * _intake.Info.LogicalBlockBytes, true);
        _outstanding++;
        Volatile.Write(ref entry.State, DiskEntry.Submitted);
    }

    private uint Finish(uint slot, RingProducer<BlockCompletion> completed)
    {
        DiskEntry entry = entries[slot];
        _busy[slot] = false;
        _outstanding--;
        Count(entry, _bytes[slot]);
        BlockCompletion honest = new(_cookies[slot], (BlockStatus)entry.Status, entry.Status == 0 ? 0 : 1u, entry.FailedLba);
        IReadOnlyList<BlockCompletion> told = Lie?.Invoke(honest) ?? [honest];
        uint room = completed.Reserve((uint)told.Count);
        for (uint i = 0; i < room; i++) completed[i] = told[(int)i];
        if (room != 0) completed.Publish(room);
        return room;
    }

    private void Count(in DiskEntry entry, ulong bytes)
    {
        if (entry.Status != 0)
        {
            _statistics.Errors++;
            return;
        }

        switch ((BlockOperation)entry.Operation)
        {
            case BlockOperation.Read: (_statistics.Reads, _statistics.ReadBytes) = (_statistics.Reads + 1, _statistics.ReadBytes + bytes); break;
            case BlockOperation.Write: (_statistics.Writes, _statistics.WrittenBytes) = (_statistics.Writes + 1, _statistics.WrittenBytes + bytes); break;
            case BlockOperation.Flush: _statistics.Flushes++; break;
            case BlockOperation.Discard: _statistics.Discards++; break;
            case BlockOperation.WriteZeroes: _statistics.WriteZeroes++; break;
        }
    }

    private BlockDeviceInfo ReadInfo() => new()
    {
        Blocks = registers.Read32(window + DiskModel.Blocks),
        LogicalBlockBytes = registers.Read32(window + DiskModel.BlockBytes),
        PhysicalBlockBytes = 4096,
        Features = BlockFeatures.Flush | BlockFeatures.WriteCacheSwitch | BlockFeatures.Discard | BlockFeatures.WriteZeroes | (_cache ? BlockFeatures.WriteCache : 0),
        MaxSegments = DiskEntry.MaxSegments,
        MaxSegmentBytes = 1 << 20,
        SegmentAlignment = 4,
        MaxRequestBytes = 4 << 20,
        QueueDepth = DiskModel.Depth,
        Queues = 1,
        VectorsUsed = 1,
        MaxDiscardBlocks = DiscardBlocks,
        MaxZeroesBlocks = DiscardBlocks,
        Serial = FixedText.From($"XT{registers.Read32(window + DiskModel.SerialRegister)}"),
        Model = FixedText.From("Xinim test disk"),
    };
}
