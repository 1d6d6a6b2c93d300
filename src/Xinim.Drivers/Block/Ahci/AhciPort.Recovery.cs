using System.Runtime.InteropServices;
using Xinim.Ipc.Protocols;
using Xinim.Vfio;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>What a port does about errors, time limits and disks that come and go [AHCI §6.2.2, §7.3]. The states stand in <c>AhciPort.cs</c>.</summary>
internal sealed partial class AhciPort
{
    /// <summary>How often a request is given again for an error of the link, or for one that may have been another's.</summary>
    private const int MaxAttempts = 3;

    /// <summary>How often a device is reset before it is given up until it is plugged anew.</summary>
    private const int MaxResets = 3;

    /// <summary>Overdue: the port is restarted, then the link reset, then the controller.</summary>
    private const int MaxTimeouts = 3;

    /// <summary>Lines about errors until the next minute, of a disk that is full of them.</summary>
    private const int LinesPerMinute = 20;

    private long _linesSince;
    private int _lines;

    /// <summary>
    /// A command has failed: the port is stopped, which makes the controller forget all commands, errors are cleared, and it is started again; with BSY or
    /// DRQ set only after COMRESET [AHCI §6.2.2.1, §6.2.2.2].
    /// </summary>
    private void Recover(PortInterrupts causes)
    {
        QueueMode mode = _queue.Mode;
        // What is finished by now has not failed, and is not done twice.
        if (mode == QueueMode.Queued) _ = _queue.Look();
        TaskFile status = _hardware.Registers.TaskFile.Read();
        uint errors = _hardware.Registers.Errors.Read();
        ulong lba = _queue.ReadLba();
        bool linkError = (causes & PortInterrupts.InterfaceFatal) != 0 || (status & TaskFile.InterfaceCrc) != 0;
        bool named = mode == QueueMode.Queued && (causes & PortInterrupts.TaskFileError) != 0 && !linkError && _disk is { Logs: true };
        // That a drive is empty is no news.
        bool empty = _packet && mode == QueueMode.Job && PacketCommand.SenseKey(status) is (PacketCommand.NotReady or PacketCommand.UnitAttention);
        if (!empty) Tell($"{_name}: error with {mode} commands: PxIS 0x{(uint)causes:x8}, PxTFD 0x{(uint)status:x4}, PxSERR 0x{errors:x8} [AHCI §6.2.2]");
        _hardware.Stop();
        _hardware.Acknowledge();
        _queue.Suspend(suspect: linkError);
        bool failed = false;
        if (mode == QueueMode.Plain) BlamePlain(status, lba, linkError);
        else if (mode == QueueMode.Job) failed = !OnJobFailed(status);
        else if (mode == QueueMode.Queued && !named) _queue.GoAlone();
        AnswerHopeless(status);
        if (failed) return;
        // A disk whose queue has failed takes nothing until its log is read, or it is reset [SATA §13.6].
        bool reset = (status & TaskFile.Occupied) != 0 || (mode == QueueMode.Queued && !named && _queue.HasWaiting);
        if (reset) Relink();
        else Restart(named ? PortState.Logging : PortState.Ready);
    }

    private void BlamePlain(TaskFile status, ulong lba, bool linkError)
    {
        if (linkError) return;
        if (_packet)
        {
            BlamePacket(status);
            return;
        }

        _queue.Blame(_queue.OnlyWaiting, BlockStatus.IoError, status, (status & TaskFile.Located) != 0 ? lba : null);
    }

    /// <summary>Requests that were given in vain too often are answered.</summary>
    private void AnswerHopeless(TaskFile status)
    {
        for (int slot = 0; _queue.HasWaiting && slot < AhciMemory.Slots; slot++)
            if (_queue.IsWaiting(slot) && _queue.RequestAt(slot).Attempts >= MaxAttempts) _queue.Blame(slot, BlockStatus.IoError, status, null);
    }

    /// <returns>False where the port has gone another way.</returns>
    private bool OnJobFailed(TaskFile status)
    {
        _jobs &= ~_job;
        switch (_job)
        {
            case PortJobs.Capacity:
                OnCapacityFailed(status);
                break;
            case PortJobs.AllowRemoval or PortJobs.Eject or PortJobs.Load when PacketCommand.SenseKey(status) == PacketCommand.UnitAttention && ++_attentions < MaxAttentions:
                _jobs |= _job;
                break;
            case PortJobs.AllowRemoval:
                // A drive that has no lock.
                break;
            case PortJobs.Identify or PortJobs.IdentifyPacket:
                TryAgain("has a device that does not do IDENTIFY");
                return false;
            case PortJobs.ReadLog:
                _queue.GoAlone();
                Relink();
                return false;
            case PortJobs.SmartStatus or PortJobs.SmartData:
                _disk = _disk!.Value with { Smart = false };
                break;
            default:
                _jobFailed = true;
                break;
        }

        return true;
    }

    /// <summary>The port again, as after bring-up, with a device that is ready.</summary>
    private void Restart(PortState state)
    {
        _queue.Clear();
        _hardware.Start();
        Enter(state);
        if (state == PortState.Logging) Give(PortJobs.ReadLog);
    }

    /// <summary>The log names the command that failed; the device has given the others up, and they are given again [SATA §13.6].</summary>
    private void OnLog()
    {
        Span<ushort> page = stackalloc ushort[AtaIdentity.Words];
        CopyPage(page);
        if (QueuedErrorLog.Parse(MemoryMarshal.AsBytes(page)) is not { } log || !_queue.IsWaiting(log.Tag))
        {
            _queue.GoAlone();
            Relink();
            return;
        }

        if ((log.Code & TaskFile.InterfaceCrc) == 0 || _queue.RequestAt(log.Tag).Attempts >= MaxAttempts)
            _queue.Blame(log.Tag, BlockStatus.IoError, log.Code, (log.Code & TaskFile.Located) != 0 ? log.Lba : null);
        else
            _queue.CountAttempt(log.Tag);
        Enter(PortState.Ready);
    }

    /// <summary>Once a second. An error that polls have overtaken, a command that is overdue.</summary>
    private void CheckProgress()
    {
        TimeSpan age = _clock.GetElapsedTime(0, _queue.Age());
        PortInterrupts causes = _hardware.Registers.Interrupts.Read() & PortInterrupts.Fatal;
        // QEMU 7.2 sets no error bit for a queued command that failed; it marks it in PxSERR, and leaves it in PxSACT.
        if (causes == 0 && _queue.Mode == QueueMode.Queued && age.TotalSeconds >= 1 && _hardware.Registers.Errors.Read() != 0) causes = PortInterrupts.TaskFileError;
        if (causes != 0) Recover(causes);
        else if (age.TotalSeconds >= _options.TimeoutSeconds) OnOverdue();
        Feed();
    }

    private void OnOverdue()
    {
        QueueMode mode = _queue.Mode;
        TaskFile status = _hardware.Registers.TaskFile.Read();
        Tell($"{_name}: {mode} commands are not answered within {_options.TimeoutSeconds} s: PxTFD 0x{(uint)status:x4}, PxSACT 0x{_hardware.Registers.Active.Read():x8}, PxCI 0x{_hardware.Registers.Issue.Read():x8}");
        _hardware.Stop();
        _hardware.Acknowledge();
        _queue.Suspend(suspect: false);
        if (mode == QueueMode.Job && !OnJobFailed(status)) return;
        int times = _queue.CountTimeout();
        if (times >= MaxTimeouts) throw new DeviceFaultException($"{_name}: a request is not answered within {_options.TimeoutSeconds} s, {times} times, also after a reset of the link [AHCI §10.4]; the controller is reset next");
        if (mode != QueueMode.Plain || times > 1 || (status & TaskFile.Occupied) != 0) Relink();
        else Restart(PortState.Ready);
    }

    /// <summary>PxIS.PRCS and PCS go when PxSERR is cleared [AHCI §3.3.5, §7.3.1]; DMPS and CPDS are gone by now.</summary>
    private void OnLinkChange()
    {
        _hardware.FollowPresence();
        bool up = _hardware.LinkUp;
        // While a reset is under way the link comes and goes; the step waits for it.
        if (_state == PortState.Linking && (up || _hardware.LinkSeen || Elapsed < s_presenceLimit))
        {
            _hardware.Acknowledge();
            return;
        }

        if (!up) Vanish("has lost its disk");
        else if (_state is not (PortState.Empty or PortState.Linking)) Relink();
        else _hardware.Acknowledge();
    }

    /// <summary>COMRESET, and all from the start; what was with the controller waits for it [AHCI §10.4.2].</summary>
    private void Relink()
    {
        if (_hardware.Running) _hardware.Stop();
        _queue.Suspend(suspect: false);
        _hardware.Unpark();
        _hardware.ResetLink();
        _jobs &= ~(PortJobs.Identify | PortJobs.ReadLog);
        Enter(PortState.Linking);
    }

    private void TryAgain(string problem)
    {
        if (++_resets < MaxResets) Relink();
        else Refuse($"{problem}; it was reset {MaxResets - 1} times");
    }

    /// <summary>Nothing more is tried until the link is lost.</summary>
    private void Refuse(string problem)
    {
        GiveUp(problem);
        _hardware.Park();
        Enter(PortState.Refused);
    }

    private void Vanish(string problem)
    {
        if (_state != PortState.Empty) GiveUp(problem);
        _resets = 0;
        _hardware.Park();
        _hardware.Acknowledge();
        Enter(PortState.Empty);
    }

    private void GiveUp(string problem)
    {
        if (_hardware.Running) _hardware.Stop();
        _queue.Suspend(suspect: false);
        _queue.AbandonWaiting(BlockStatus.NoMedium);
        _jobs = PortJobs.None;
        (_disk, _packet, _health, _healthSince) = (null, false, default, 0);
        Tell($"{_name} {problem}");
        if (!_info.Has(BlockFeatures.Absent)) SetInfo(new BlockDeviceInfo { Features = BlockFeatures.Absent });
    }

    private void Tell(string line)
    {
        if (_lines == 0 || _clock.GetElapsedTime(_linesSince).TotalMinutes >= 1) (_lines, _linesSince) = (0, _clock.GetTimestamp());
        if (++_lines <= LinesPerMinute) _log(_lines < LinesPerMinute ? line : $"{line}; more of this minute is not told");
    }
}
