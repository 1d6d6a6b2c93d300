using System.Numerics;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>
/// The data path of a port: requests in slots of the command list. Queued commands and others are never with the disk together [SATA §13.6]:
/// the first request of an empty port says which kind it is, one of the other kind waits until the port is empty again. Of the others one is out
/// at a time, so it is known which one failed.
/// </summary>
/// <remarks>
/// A slot is free, or with the controller (<see cref="_issued"/>), or waits to be given again (<see cref="_waiting"/>), or is finished and not told.
/// What must be known of a request stands in private memory; its command is made anew each time that it is given.
/// </remarks>
internal sealed class AhciQueue
{
    /// <summary>
    /// Polls without a sign in memory between two reads of the register. PxSACT is the only place that says which commands are finished [AHCI §5.4.1]:
    /// one read a batch. That a FIS has come is seen in memory first, where a look costs nothing; a device may write it before the register.
    /// </summary>
    private const uint PollsPerRead = 16;

    private readonly AhciMemory _memory;
    private readonly AhciPortRegisters _registers;
    private readonly string _name;
    private readonly AhciRequest[] _requests = new AhciRequest[AhciMemory.Slots];
    private readonly byte[] _finished = new byte[AhciMemory.Slots];
    private AtaModes _modes;
    private uint _blockBytes;
    private bool _flushExt;
    private uint _all;
    private uint _free;
    private uint _prepared;
    private uint _issued;
    private uint _waiting;
    private bool _alone;
    private uint _polls;
    private uint _finishedHead;
    private uint _finishedTail;
    private long _jobSince;
    private BlockStatistics _statistics;

    public AhciQueue(AhciMemory memory, AhciPortRegisters registers, string name)
    {
        _memory = memory;
        _registers = registers;
        _name = name;
    }

    public BlockStatistics Statistics => _statistics;

    /// <summary>What is with the controller.</summary>
    public QueueMode Mode { get; private set; }

    /// <summary>Requests that were taken and not told of.</summary>
    public bool Busy => InFlight || _waiting != 0 || _finishedHead != _finishedTail;

    /// <summary>A client's request is with the controller.</summary>
    public bool InFlight => Mode is QueueMode.Queued or QueueMode.Plain;

    /// <summary>Commands that are with the controller.</summary>
    public uint Outstanding => (uint)BitOperations.PopCount(_issued);

    /// <summary>Requests wait to be given again.</summary>
    public bool HasWaiting => _waiting != 0;

    /// <summary>The time that requests are given at; a clock read now and then is exact enough for time limits.</summary>
    public long Now { get; set; }

    /// <summary>The disk, with nothing in flight. What waits is the same disk's.</summary>
    public void Configure(in AtaModes modes, in AtaIdentity disk, uint blockBytes)
    {
        (_modes, _blockBytes, _flushExt) = (modes, blockBytes, disk.FlushExt);
        _all = modes.Depth >= AhciMemory.Slots ? uint.MaxValue : (1u << (int)modes.Depth) - 1;
        _free = _all & ~_waiting;
        for (uint at = _finishedHead; at != _finishedTail; at++) _free &= ~(1u << _finished[at % AhciMemory.Slots]);
    }

    /// <summary>Puts a request into a slot, for <see cref="Ring"/> to show.</summary>
    /// <returns>False where there is no room, or what is out is of the other kind.</returns>
    public bool TryGive(in BlockCommand command)
    {
        bool trim = command.Operation == BlockOperation.Discard || (command.Flags & BlockFlags.MayUnmap) != 0;
        bool queued = _modes.Queued && !trim && command.Operation != BlockOperation.Flush;
        QueueMode mode = queued ? QueueMode.Queued : QueueMode.Plain;
        if (Mode != QueueMode.Idle && (Mode != mode || !queued)) return false;
        if (_free == 0 || _waiting != 0) return false;
        int slot = BitOperations.TrailingZeroCount(_free);
        _free &= ~(1u << slot);
        ref AhciRequest request = ref _requests[slot];
        request = new AhciRequest
        {
            Cookie = command.Cookie, Lba = command.Lba, Blocks = command.Count, Operation = command.Operation,
            Verb = trim ? BlockOperation.Discard : command.Operation, Fua = (command.Flags & BlockFlags.Fua) != 0,
        };
        if (!TryDescribe((uint)slot, command, ref request))
        {
            Finish(slot, BlockStatus.BadGrant);
            return true;
        }

        Mode = mode;
        Prepare(slot, queued);
        return true;
    }

    /// <summary>Shows the controller what was prepared: at most two stores, whatever their number [AHCI §5.5.1, §3.3.13, §3.3.14].</summary>
    public void Ring()
    {
        uint prepared = _prepared;
        if (prepared == 0) return;
        _prepared = 0;
        _issued |= prepared;
        MemoryOrder.DescriptorsBeforeDoorbell();
        if (Mode == QueueMode.Queued) _registers.Active.Write(prepared);
        _registers.Issue.Write(prepared);
        _statistics.Doorbells++;
    }

    /// <summary>Gives the driver's own command; nothing else is out.</summary>
    /// <param name="bytes">What the device answers, up to a page; 0 for nothing.</param>
    /// <param name="packet">For a packet device; otherwise empty.</param>
    public void Give(in CommandFis command, uint bytes, ReadOnlySpan<byte> packet)
    {
        ref CommandTable table = ref _memory.JobTable[0];
        table.Fis = command;
        packet.CopyTo(table.Packet);
        if (bytes != 0) table.Regions[0] = new DataRegion(_memory.Page.Iova, bytes);
        ref CommandHeader header = ref _memory.List[0];
        header.SetTable(_memory.JobTable.Iova);
        header.BytesMoved = 0;
        header.Flags = CommandHeader.FisWords | (packet.IsEmpty ? 0 : CommandHeader.Packet) | (bytes != 0 ? 1u << CommandHeader.RegionsShift : 0);
        Mode = QueueMode.Job;
        _jobSince = Now;
        _prepared = 1;
        Ring();
    }

    /// <summary>A FIS has come since the last look, or it is time to look all the same.</summary>
    public bool Hint()
    {
        uint sign = Volatile.Read(ref _memory.Received[ReceivedFis.DeviceBits]), register = Volatile.Read(ref _memory.Received[ReceivedFis.Register]);
        // Of a queued command the register FIS says no more than that the disk has it, if not that it failed [SATA §13.6].
        if (Mode != QueueMode.Queued) sign |= register | Volatile.Read(ref _memory.Received[ReceivedFis.PioSetup]);
        else if ((ReceivedFis.StatusOf(register) & TaskFile.Failed) != 0) sign |= register;
        return sign != 0 || ++_polls % PollsPerRead == 0;
    }

    /// <summary>Reads what is finished, and finishes it.</summary>
    /// <exception cref="DeviceFaultException">The controller names commands that it was not given.</exception>
    public PollResult Look()
    {
        if (_issued == 0) return PollResult.Nothing;
        bool error = (TakeFises() & TaskFile.Failed) != 0;
        uint pending = Mode == QueueMode.Queued ? _registers.Active.Read() : _registers.Issue.Read();
        if ((pending & ~_issued) != 0) throw Foreign(pending);
        uint done = _issued & ~pending;
        if (Mode == QueueMode.Queued) FinishQueued(done);
        else if (!error && done != 0) return FinishPlain();
        return error ? PollResult.Error : done != 0 ? PollResult.Finished : PollResult.Nothing;
    }

    /// <summary>The LBA of the last register FIS: where a command failed [SATA §10.5.6].</summary>
    public ulong ReadLba()
    {
        uint low = Volatile.Read(ref _memory.Received[ReceivedFis.Register + 1]), high = Volatile.Read(ref _memory.Received[ReceivedFis.Register + 2]);
        return (low & 0xff_ffff) | ((ulong)(high & 0xff_ffff) << 24);
    }

    /// <summary>The controller has forgotten all commands; requests wait to be given again.</summary>
    /// <param name="suspect">Each of those that were out may be the one that failed.</param>
    public void Suspend(bool suspect)
    {
        uint given = InFlight ? _issued : 0;
        if (Mode == QueueMode.Job) _memory.List[0].SetTable(_memory.TableOf(0));
        _waiting |= given;
        _issued = 0;
        Mode = QueueMode.Idle;
        for (; suspect && given != 0; given &= given - 1) CountAttempt(BitOperations.TrailingZeroCount(given));
    }

    /// <summary>It was given in vain.</summary>
    public void CountAttempt(int slot) => _requests[slot].Attempts++;

    /// <summary>What waits is given one by one and not queued, until nothing waits.</summary>
    public void GoAlone() => _alone = _waiting != 0;

    /// <summary>Gives what waits again, in the order of the slots.</summary>
    public void GiveWaiting()
    {
        if (_waiting == 0 || Mode != QueueMode.Idle) return;
        int first = BitOperations.TrailingZeroCount(_waiting);
        bool queued = _modes.Queued && !_alone && _requests[first].Verb is not (BlockOperation.Flush or BlockOperation.Discard);
        uint give = queued ? _waiting : 1u << first;
        _waiting &= ~give;
        _alone &= _waiting != 0;
        Mode = queued ? QueueMode.Queued : QueueMode.Plain;
        for (; give != 0; give &= give - 1) Prepare(BitOperations.TrailingZeroCount(give), queued);
        Ring();
    }

    /// <summary>The one that is waiting after a command failed that was out alone.</summary>
    public int OnlyWaiting => BitOperations.TrailingZeroCount(_waiting);

    public bool IsWaiting(int slot) => (_waiting & (1u << slot)) != 0;

    public ref readonly AhciRequest RequestAt(int slot) => ref _requests[slot];

    /// <summary>Answers a waiting request with a failure.</summary>
    /// <param name="lba">Where, if the device says so: inside the request.</param>
    public void Blame(int slot, BlockStatus status, TaskFile code, ulong? lba)
    {
        ref readonly AhciRequest request = ref _requests[slot];
        _waiting &= ~(1u << slot);
        _alone &= _waiting != 0;
        bool located = lba >= request.Lba && lba - request.Lba < request.Blocks;
        ulong from = located ? lba!.Value : request.Lba;
        Finish(slot, status, (uint)code, from, located ? (uint)(request.Lba + request.Blocks - from) : 0);
    }

    /// <summary>Answers everything that waits.</summary>
    public void AbandonWaiting(BlockStatus status)
    {
        while (_waiting != 0) Blame(OnlyWaiting, status, TaskFile.None, null);
    }

    /// <summary>Forgets requests without an answer; none is with the controller.</summary>
    public void Forget()
    {
        _waiting = 0;
        _alone = false;
        _finishedHead = _finishedTail;
        _free = _all;
    }

    /// <summary>The longest that something is with the controller, in the clock's units.</summary>
    public long Age()
    {
        long since = Mode == QueueMode.Job ? _jobSince : Now;
        for (uint rest = InFlight ? _issued : 0; rest != 0; rest &= rest - 1) since = Math.Min(since, _requests[BitOperations.TrailingZeroCount(rest)].Since);
        return Now - since;
    }

    /// <summary>How often what waits was overdue, this time included.</summary>
    public int CountTimeout()
    {
        int most = 0;
        for (uint rest = _waiting; rest != 0; rest &= rest - 1) most = Math.Max(most, ++_requests[BitOperations.TrailingZeroCount(rest)].Timeouts);
        return most;
    }

    /// <summary>Gives finished requests back.</summary>
    /// <returns>Elements put into the ring.</returns>
    public uint Tell(RingProducer<BlockCompletion> completed)
    {
        uint count = _finishedTail - _finishedHead;
        if (count == 0) return 0;
        count = completed.Reserve(count);
        RingView<BlockCompletion> slots = completed.Reserved;
        for (uint i = 0; i < count; i++)
        {
            int slot = _finished[(_finishedHead + i) % AhciMemory.Slots];
            slots[i] = _requests[slot].Answer;
            _free |= 1u << slot;
        }

        if (count == 0) return 0;
        _finishedHead += count;
        _free &= _all;
        completed.Publish(count);
        return count;
    }

    /// <summary>Before the port starts: no FIS that came before is taken for an answer, and no command of before is done again.</summary>
    public void Clear()
    {
        _ = TakeFises();
        _memory.ForgetCommands();
    }

    /// <summary>The memory of a request as a table of regions [AHCI §4.2.3.3]; the two must agree in length.</summary>
    /// <returns>False where the controller cannot reach it.</returns>
    private bool TryDescribe(uint slot, in BlockCommand command, ref AhciRequest request)
    {
        ref CommandTable table = ref _memory.Tables[slot];
        if (request.Verb == BlockOperation.Discard)
        {
            table.Regions[0] = new DataRegion(_memory.Ranges.Iova, AhciMemory.PageBytes);
            request.Regions = 1;
            return true;
        }

        if (command.Operation == BlockOperation.WriteZeroes)
        {
            int count = 0;
            for (uint left = command.Count * _blockBytes; left != 0; count++)
            {
                uint bytes = Math.Min(left, _memory.Zeroes.Bytes);
                table.Regions[count] = new DataRegion(_memory.Zeroes.Iova, bytes);
                left -= bytes;
            }

            request.Regions = (ushort)count;
            return true;
        }

        ulong high = 0;
        ReadOnlySpan<DmaSegment> segments = command.Segments;
        for (int i = 0; i < segments.Length; i++)
        {
            table.Regions[i] = new DataRegion(segments[i].Iova, segments[i].Length);
            high |= segments[i].Iova.Value + segments[i].Length - 1;
        }

        request.Regions = (ushort)segments.Length;
        return (high & _memory.Forbidden) == 0;
    }

    private void Prepare(int slot, bool queued)
    {
        ref AhciRequest request = ref _requests[slot];
        if (request.Verb == BlockOperation.Discard) TrimRanges.Write(_memory.Ranges, request.Lba, request.Blocks);
        bool write = request.Verb is not (BlockOperation.Read or BlockOperation.Flush);
        _memory.Tables[(uint)slot].Fis = queued
            ? AtaModes.MakeQueued(write, request.Lba, request.Blocks, slot, request.Fua)
            : _modes.MakePlain(request.Verb, request.Lba, request.Blocks, request.Fua, _flushExt);
        ref CommandHeader header = ref _memory.List[(uint)slot];
        header.BytesMoved = 0;
        if (_modes.Packet) PacketCommand.WriteRead(_memory.Tables[(uint)slot].Packet, request.Lba, request.Blocks);
        header.Flags = CommandHeader.FisWords | (_modes.Packet ? CommandHeader.Packet : 0) | (write ? CommandHeader.Write : 0) | ((uint)request.Regions << CommandHeader.RegionsShift);
        request.Since = Now;
        _prepared |= 1u << slot;
    }

    /// <summary>Takes what has come; what comes after this is seen at the next look, or by the read of the register that follows.</summary>
    private TaskFile TakeFises()
    {
        TaskFile all = TaskFile.None;
        all |= Take(ReceivedFis.DeviceBits);
        all |= Take(ReceivedFis.Register);
        all |= Take(ReceivedFis.PioSetup);
        MemoryOrder.PublishBeforeWakeCheck();
        return all;
    }

    private TaskFile Take(uint word)
    {
        ref uint first = ref _memory.Received[word];
        uint value = Volatile.Read(ref first);
        if (value != 0) Volatile.Write(ref first, 0);
        return ReceivedFis.StatusOf(value);
    }

    private void FinishQueued(uint done)
    {
        _issued &= ~done;
        if (_issued == 0) Mode = QueueMode.Idle;
        for (; done != 0; done &= done - 1) Finish(BitOperations.TrailingZeroCount(done), BlockStatus.Ok);
    }

    /// <summary>PxCI alone does not say whether a command went well [AHCI §5.5.3].</summary>
    private PollResult FinishPlain()
    {
        TaskFile status = _registers.TaskFile.Read();
        if ((status & TaskFile.Occupied) != 0) return PollResult.Nothing;
        if ((status & TaskFile.Failed) != 0) return PollResult.Error;
        bool job = Mode == QueueMode.Job;
        int slot = BitOperations.TrailingZeroCount(_issued);
        _issued = 0;
        Mode = QueueMode.Idle;
        if (job) _memory.List[0].SetTable(_memory.TableOf(0));
        else Finish(slot, BlockStatus.Ok);
        return job ? PollResult.JobDone : PollResult.Finished;
    }

    private void Finish(int slot, BlockStatus status, uint code = 0, ulong lba = 0, uint count = 0)
    {
        ref AhciRequest request = ref _requests[slot];
        request.Answer = new BlockCompletion(request.Cookie, status, count, lba, code);
        _finished[_finishedTail++ % AhciMemory.Slots] = (byte)slot;
        ulong bytes = status == BlockStatus.Ok ? (ulong)request.Blocks * _blockBytes : 0;
        if (status != BlockStatus.Ok) _statistics.Errors++;
        switch (request.Operation)
        {
            case BlockOperation.Read: (_statistics.Reads, _statistics.ReadBytes) = (_statistics.Reads + 1, _statistics.ReadBytes + bytes); break;
            case BlockOperation.Write: (_statistics.Writes, _statistics.WrittenBytes) = (_statistics.Writes + 1, _statistics.WrittenBytes + bytes); break;
            case BlockOperation.Flush: _statistics.Flushes++; break;
            case BlockOperation.Discard: _statistics.Discards++; break;
            case BlockOperation.WriteZeroes: _statistics.WriteZeroes++; break;
        }
    }

    private DeviceFaultException Foreign(uint pending)
        => new($"{_name}: {(Mode == QueueMode.Queued ? "PxSACT" : "PxCI")} is 0x{pending:x8}, commands 0x{_issued:x8} are out [AHCI §3.3.13, §3.3.14]; the controller was unplugged or is broken");
}
