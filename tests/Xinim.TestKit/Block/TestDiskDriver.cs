using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;

namespace Xinim.TestKit.Block;

/// <summary>The driver of <see cref="DiskModel"/>: what a disk driver is at the least, with a place where a test makes it lie.</summary>
public sealed class TestDiskDriver : IBlockDriver
{
    public const string Name = "test-disk";
    private const uint DiscardBlocks = 1 << 16;

    private readonly IPciDevice _device;
    private readonly Mmio _registers;
    private readonly DmaBuffer<DiskEntry> _entries;
    private readonly ulong[] _cookies = new ulong[DiskModel.Depth];
    private readonly ulong[] _bytes = new ulong[DiskModel.Depth];
    private readonly bool[] _busy = new bool[DiskModel.Depth];
    private BlockIntake? _intake;
    private BlockStatistics _statistics;
    private uint _outstanding;
    private bool _cache = true;
    private bool _changed;

    public TestDiskDriver(DriverContext context)
    {
        _device = context.Pci;
        _registers = _device.MapBar(0);
        _entries = context.Arena.Allocate<DiskEntry>(DiskModel.Depth, 4096);
    }

    /// <summary>Makes of an honest completion what the client is told: nothing, or something else, or several.</summary>
    public Func<BlockCompletion, IReadOnlyList<BlockCompletion>>? Lie { get; set; }

    public bool Busy => _outstanding != 0 || _intake!.HasRefusals;

    public BlockStatistics Statistics => _statistics with { Rejected = _intake?.Rejected ?? 0 };

    public BlockDeviceInfo Start()
    {
        ushort command = _device.Config.Read16(4);
        _device.Config.Write16(4, (ushort)(command | 2));
        if (_registers.Read32(DiskModel.IdRegister) != DiskModel.Magic) throw new DeviceFaultException($"{_device.Name} is no test disk");
        _registers.Write32(DiskModel.ResetRegister, 1);
        _device.Config.Write16(4, (ushort)(command | 6));
        _entries.Fill(0);
        _registers.Write32(DiskModel.QueueLow, (uint)_entries.Iova.Value);
        _registers.Write32(DiskModel.QueueHigh, (uint)(_entries.Iova.Value >> 32));
        BlockDeviceInfo info = ReadInfo();
        _intake = new BlockIntake(info);
        return info;
    }

    public void Attach(BufferTable buffers) => _intake!.Attach(buffers);

    public void Detach()
    {
        Stop();
        _intake!.Detach();
        Array.Clear(_busy);
        _outstanding = 0;
        _ = Start();
    }

    public uint Submit(RingConsumer<BlockRequest> submitted)
    {
        BlockIntake intake = _intake!;
        bool any = false;
        while (_outstanding < DiskModel.Depth && intake.TryPeek(submitted, out BlockCommand command))
        {
            Give((uint)Array.IndexOf(_busy, false), command);
            intake.Accept(submitted);
            any = true;
        }

        if (any)
        {
            _registers.Write32(DiskModel.Doorbell, 1);
            _statistics.Doorbells++;
        }

        return intake.TakeCount();
    }

    public uint Complete(RingProducer<BlockCompletion> completed)
    {
        uint count = _intake!.TellRefusals(completed);
        for (uint slot = 0; _outstanding != 0 && slot < DiskModel.Depth; slot++)
        {
            if (!_busy[slot] || Volatile.Read(ref _entries[slot].State) != DiskEntry.Done) continue;
            if (completed.Reserve(1) == 0) break;
            count += Finish(slot, completed);
        }

        return count;
    }

    public void ArmInterrupts() => _registers.Write32(DiskModel.Enable, 1);

    public void MaskInterrupts() => _registers.Write32(DiskModel.Enable, 0);

    public void OnInterrupt(int vector)
    {
        _registers.Write32(DiskModel.Enable, 0);
        _ = _registers.Read32(DiskModel.Cause);
        _statistics.Interrupts++;
    }

    public void OnTimer()
    {
        if (_registers.Read32(DiskModel.Blocks) == _intake!.Info.Blocks) return;
        _intake.Info = ReadInfo();
        _changed = true;
    }

    public bool TryTakeChange(out BlockDeviceInfo info)
    {
        info = _intake!.Info;
        bool changed = _changed;
        _changed = false;
        return changed;
    }

    public void SetWriteCache(bool on)
    {
        _changed |= on != _cache;
        _cache = on;
        _intake!.Info = ReadInfo();
    }

    public void Stop() => _registers.Write32(DiskModel.ResetRegister, 1);

    public void Dispose() => _device.Dispose();

    private void Give(uint slot, BlockCommand command)
    {
        ref DiskEntry entry = ref _entries[slot];
        (entry.Operation, entry.Lba, entry.Count, entry.Segments) = ((uint)command.Operation, command.Lba, command.Count, (uint)command.Segments.Length);
        for (int i = 0; i < command.Segments.Length; i++) entry.List[i] = new DiskSegment(command.Segments[i].Iova.Value, command.Segments[i].Length);
        (_cookies[slot], _bytes[slot], _busy[slot]) = (command.Cookie, (ulong)command.Count * _intake!.Info.LogicalBlockBytes, true);
        _outstanding++;
        Volatile.Write(ref entry.State, DiskEntry.Submitted);
    }

    private uint Finish(uint slot, RingProducer<BlockCompletion> completed)
    {
        DiskEntry entry = _entries[slot];
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
        Blocks = _registers.Read32(DiskModel.Blocks),
        LogicalBlockBytes = _registers.Read32(DiskModel.BlockBytes),
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
        Serial = FixedText.From($"XT{_registers.Read32(DiskModel.SerialRegister)}"),
        Model = FixedText.From("Xinim test disk"),
    };
}
