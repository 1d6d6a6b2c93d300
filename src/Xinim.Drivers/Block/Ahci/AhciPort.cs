using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>
/// A port of the controller, and the disk there. Nothing in here waits for a disk: each step is taken when an interrupt, a poll or the timer finds
/// that it can be. What goes wrong is in <c>AhciPort.Recovery.cs</c>, media that change in <c>AhciPort.Packet.cs</c>, what the driver itself wants of a disk in <c>AhciPort.Jobs.cs</c>.
/// <code>
/// state        | what happens                                    | then
/// -------------|-------------------------------------------------|-----------------------------------------------------------
/// Empty        | link up (PxSSTS.DET = 3)                        | Linking
/// Linking      | BSY and DRQ clear, a disk's or CD's signature   | port started, IDENTIFY given: Identifying
///              | another signature                               | Refused, named in the log
///              | no link after 1 s                               | Empty
///              | BSY after 30 s                                  | COMRESET, Linking; the third time Refused
/// Identifying  | answered, a disk that can be used               | Ready; the same disk's waiting requests are given again
///              | answered, another disk                          | waiting requests: NoMedium; Ready
///              | failed or overdue                               | COMRESET, Linking; the third time Refused
/// Ready        | one command failed, not queued                  | port restarted; it is answered, or given again: Ready
///              | a queued command failed                         | port restarted, READ LOG EXT given: Logging
///              | a command is overdue: once, twice               | port restarted, or COMRESET and Linking; all given again
///              | thrice                                          | DeviceFaultException: the next driver resets the controller
/// Logging      | the log names a command                         | that one is answered, the others given again: Ready
///              | it does not, or cannot be read                  | COMRESET, Linking; then all given one by one, not queued
/// any          | link lost, slot empty or open                   | Empty; every request: NoMedium
/// any but Empty| the link was lost and is back                   | COMRESET, Linking
/// Refused      | the link was lost                               | Empty
/// </code>
/// </summary>
internal sealed partial class AhciPort : IControllerUnit
{
    private const uint AtaSignature = 0x0000_0101, PacketSignature = 0xeb14_0101, MultiplierSignature = 0x9669_0101, EnclosureSignature = 0xc33c_0101; // [SATA §11.4]

    private static readonly TimeSpan s_linkLimit = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_readyLimit = TimeSpan.FromSeconds(30); // disks that start their motor [ACS §4.15]
    private static readonly TimeSpan s_presenceLimit = TimeSpan.FromMilliseconds(10); // a device answers COMRESET by then [AHCI §10.1.1]

    private readonly AhciPortHardware _hardware;
    private readonly AhciMemory _memory;
    private readonly AhciQueue _queue;
    private readonly AhciOptions _options;
    private readonly BlockIntake _intake = new(new BlockDeviceInfo { MaxSegments = CommandTable.MaxRegions });
    private readonly TimeProvider _clock;
    private readonly Action<string> _log;
    private readonly string _name;
    private readonly uint _slots;
    private readonly uint _coalesce;
    private readonly bool _canQueue;
    private readonly long _start;
    private PortState _state;
    private long _since;
    private AtaIdentity? _disk;
    private BlockDeviceInfo _info = new() { Features = BlockFeatures.Absent };
    private BlockHealth _health;
    private bool _attached;
    private bool _resting;
    private bool _changed;
    private bool _unseen;
    private bool _look;
    private bool _together;
    private ulong _interrupts;
    private int _resets;

    /// <param name="canQueue">The controller does native command queueing.</param>
    /// <param name="slots">Entries of its command lists.</param>
    /// <param name="coalesce">Commands that interrupt together; 0 where each does by itself.</param>
    public AhciPort(
        uint number, string controller, AhciPortHardware hardware, AhciMemory memory, AhciOptions options, bool canQueue, uint slots, uint coalesce, TimeProvider clock, Action<string> log)
    {
        Number = number;
        _name = $"{controller}, port {number}";
        (_hardware, _memory, _options, _canQueue, _slots, _coalesce, _clock, _log) = (hardware, memory, options, canQueue, slots, coalesce, clock, log);
        _queue = new AhciQueue(memory, hardware.Registers, _name);
        _start = clock.GetTimestamp();
        SetInfo(_info);
    }

    public uint Number { get; }

    public BlockDeviceInfo Info => _info;

    public BlockHealth Health => _health;

    public bool Busy => _queue.Busy || _intake.HasRefusals;

    public BlockStatistics Statistics => _queue.Statistics with { Rejected = _intake.Rejected, Interrupts = _interrupts };

    /// <summary>Nothing more is to be expected of it soon.</summary>
    public bool Settled => (_state == PortState.Ready && (!_packet || _jobs == PortJobs.None)) || _state == PortState.Refused || (_state == PortState.Empty && Elapsed > s_presenceLimit && !_hardware.LinkSeen);

    private TimeSpan Elapsed => _clock.GetElapsedTime(_since);

    /// <summary>After the controller's reset.</summary>
    public void Begin()
    {
        _hardware.SetUp(_memory.List.Iova, _memory.Received.Iova);
        Enter(PortState.Empty);
    }

    /// <summary>Whatever has become of it is the first that anybody hears.</summary>
    public void ForgetChange() => _changed = false;

    public void Attach(BufferTable buffers)
    {
        _intake.Attach(buffers);
        _attached = true;
        Feed();
    }

    /// <summary>The device has forgotten its commands after COMRESET, the controller before it [AHCI §10.4.2]; the disk is there again a little later.</summary>
    public void Detach()
    {
        _intake.Detach();
        _attached = false;
        if (_queue.InFlight) Relink();
        _queue.Forget();
        Feed();
    }

    public uint Submit(RingConsumer<BlockRequest> submitted)
    {
        // A port that recovers, or waits to be empty for a command of its own, takes nothing; one without a disk refuses everything.
        if (_state != PortState.Ready ? _disk is not null : _jobs != PortJobs.None || _queue.HasWaiting) return 0;
        while (_intake.TryPeek(submitted, out BlockCommand command) && _queue.TryGive(command)) _intake.Accept(submitted);
        uint taken = _intake.TakeCount();
        if (taken == 0) return 0;
        _queue.Ring();
        _resting = false;
        return taken;
    }

    public uint Complete(RingProducer<BlockCompletion> completed)
    {
        uint told = _intake.HasRefusals ? _intake.TellRefusals(completed) : 0;
        if (_look || ((_queue.Mode != QueueMode.Idle || _state == PortState.Linking) && _queue.Hint())) Step();
        return told + _queue.Tell(completed);
    }

    public bool TryTakeChange(out BlockDeviceInfo info)
    {
        info = _info;
        bool changed = _changed;
        _changed = false;
        return changed;
    }

    /// <summary>Completions that polls have seen interrupt nobody any more.</summary>
    /// <returns>False where there were none.</returns>
    public bool Arm()
    {
        if (_coalesce != 0) ArmTogether();
        if (!_unseen) return false;
        _hardware.Registers.Interrupts.Acknowledge(PortInterrupts.Completions);
        // What comes after this store interrupts; for what came before it the next poll reads the register, which follows the store to the device:
        // a FIS that is still on its way to memory would be neither seen nor told.
        _look = true;
        _unseen = false;
        return true;
    }

    /// <summary>The causes are read and cleared [AHCI §10.7.2], and served.</summary>
    public void OnInterrupt()
    {
        PortInterrupts causes = _hardware.Registers.Interrupts.Read();
        _hardware.Registers.Interrupts.Acknowledge(causes);
        _interrupts++;
        _unseen = false;
        // Only PxSERR clears it [AHCI §3.3.5].
        if ((causes & PortInterrupts.UnknownFis) != 0) _hardware.Registers.Errors.Acknowledge(AhciPortHardware.UnknownFis);
        if ((causes & PortInterrupts.LinkChanges) != 0) OnLinkChange();
        if ((causes & PortInterrupts.Fatal) != 0 && _hardware.Running) Recover(causes);
        Step();
    }

    /// <summary>Several commands are finished, of this port or others [AHCI §11].</summary>
    public void OnCoalesced()
    {
        if (_queue.Mode == QueueMode.Idle) return;
        _hardware.Registers.Interrupts.Acknowledge(PortInterrupts.Completions);
        _interrupts++;
        _unseen = false;
        Step();
    }

    /// <summary>Time limits, the state of the link, and errors that no interrupt told of because polls were quicker.</summary>
    public void OnTimer()
    {
        _queue.Now = _clock.GetTimestamp();
        _hardware.FollowPresence();
        if (_state != PortState.Empty && !_hardware.LinkUp) OnLinkChange();
        Step();
        if (_hardware.Running && _queue.Mode != QueueMode.Idle) CheckProgress();
        if (_state != PortState.Ready) return;
        if (_packet) AskCapacity();
        else if (_disk is { Smart: true } && !_resting) AskHealth();
    }

    /// <summary>Takes the steps that can be taken.</summary>
    public void Step()
    {
        _look = false;
        switch (_state)
        {
            case PortState.Empty: if (_hardware.LinkUp) Welcome(); break;
            case PortState.Linking: Link(); break;
            case PortState.Refused: break;
            default: Serve(); break;
        }
    }

    /// <summary>With fewer commands out than interrupt together each interrupts by itself: none waits for company that does not come.</summary>
    private void ArmTogether()
    {
        bool together = _queue.Outstanding >= _coalesce;
        _look |= together;
        if (together == _together) return;
        _together = together;
        _hardware.Registers.Enabled.Write(together ? PortInterrupts.Wanted & ~PortInterrupts.Completions : PortInterrupts.Wanted);
    }

    private void Serve()
    {
        switch (_queue.Look())
        {
            case PollResult.Finished: _unseen = true; break;
            case PollResult.JobDone: (_unseen, _jobs) = (true, _jobs & ~_job); OnJobDone(_job); break;
            case PollResult.Error: Recover(PortInterrupts.TaskFileError); break;
        }

        Feed();
    }

    /// <summary>
    /// An empty port gets what waits, then the driver's own commands; then it is the client's. Without a client, or a disk, it is parked: it does no
    /// DMA, and memory may come and go. (QEMU's multi-process machine maps all of it anew when a region is added; a port that runs meanwhile ends it.)
    /// </summary>
    private void Feed()
    {
        if (_queue.Mode != QueueMode.Idle || (!_hardware.Running && _state != PortState.Ready)) return;
        bool wanted = _attached || _jobs != PortJobs.None;
        if (wanted && !_hardware.Running)
        {
            _queue.Clear();
            _hardware.Unpark();
            _hardware.Start();
        }

        if (_state == PortState.Ready && _queue.HasWaiting) _queue.GiveWaiting();
        else if (_jobs != PortJobs.None) Give(PortJob.First(_jobs));
        else if (!wanted && _hardware.Running && _state == PortState.Ready) _hardware.Park();
    }

    private void Welcome()
    {
        _hardware.Unpark();
        Enter(PortState.Linking);
        // A signature that was there before FISes are received interrupts nobody.
        Link();
    }

    /// <summary>Waits for the device's signature [AHCI §10.1.2, §10.3.1].</summary>
    private void Link()
    {
        if (!_hardware.LinkUp)
        {
            if (Elapsed > s_linkLimit) Vanish("has lost its disk");
            return;
        }

        TaskFile status = _hardware.Registers.TaskFile.Read();
        uint signature = _hardware.Registers.Signature.Read();
        if ((status & TaskFile.Occupied) != 0 || signature == uint.MaxValue)
        {
            if (Elapsed > s_readyLimit) TryAgain($"has a device that does not become ready within {s_readyLimit.TotalSeconds:0} s: PxTFD 0x{(uint)status:x} [AHCI §10.3.1]");
            return;
        }

        if (signature is not (AtaSignature or PacketSignature))
        {
            Refuse($"has {NameOf(signature)}, which this driver does not serve (PxSIG 0x{signature:x8})");
            return;
        }

        _queue.Clear();
        _hardware.Start();
        Enter(PortState.Identifying);
        Give(signature == PacketSignature ? PortJobs.IdentifyPacket : PortJobs.Identify);
    }

    private void OnIdentified()
    {
        Span<ushort> words = stackalloc ushort[AtaIdentity.Words];
        CopyPage(words);
        AtaIdentity disk = AtaIdentity.Parse(words, out string? wrong);
        if (wrong is not null)
        {
            Refuse($"has a disk that cannot be used: {wrong}");
            return;
        }

        if (_disk is { } old && !old.IsSame(disk)) _queue.AbandonWaiting(BlockStatus.NoMedium);
        AtaModes modes = ModesOf(disk);
        _queue.Configure(modes, disk, disk.SectorBytes);
        bool again = _disk is { } same && same.IsSame(disk);
        _disk = disk;
        _resets = 0;
        Enter(PortState.Ready);
        SetInfo(disk.Describe(modes));
        _log($"{_name}: {disk.Model}, {disk.Serial}, firmware {disk.Firmware}, {_info.Blocks} blocks of {disk.SectorBytes} bytes{(again ? ", again" : "")}, {_hardware.Speed}, "
            + $"{(modes.Queued ? $"queue of {modes.Depth}" : modes.Dma ? "DMA" : "PIO")}, security {disk.Security}");
    }

    private AtaModes ModesOf(in AtaIdentity disk)
    {
        bool lba48 = disk.Lba48 && _options.Lba48, dma = disk.Dma && _options.Dma;
        bool queued = disk.QueueDepth != 0 && _canQueue && _options.Queued && lba48 && dma;
        return new AtaModes(queued, dma, lba48, queued ? Math.Min(Math.Min(disk.QueueDepth, _slots), _options.Depth) : 1);
    }

    private void SetInfo(in BlockDeviceInfo info)
    {
        _info = info;
        _intake.Info = info;
        _changed = true;
    }

    private void Enter(PortState state)
    {
        _state = state;
        _since = _clock.GetTimestamp();
    }

    private static string NameOf(uint signature) => signature switch
    {
        MultiplierSignature => "a port multiplier",
        EnclosureSignature => "an enclosure",
        _ => "a device of an unknown kind",
    };

    private enum PortState
    {
        Empty,
        Linking,
        Identifying,
        Ready,
        Logging,
        Refused,
    }
}
