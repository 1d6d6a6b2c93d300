using System.Runtime.InteropServices;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>Commands of the driver's own: each waits until the disk has nothing else, and then has it to itself.</summary>
internal sealed partial class AhciPort
{
    private const int HealthSeconds = 60;
    private static readonly TimeSpan s_jobLimit = TimeSpan.FromSeconds(1);

    private PortJobs _jobs;
    private PortJobs _job;
    private bool _jobFailed;
    private long _healthSince;

    public void SetWriteCache(bool on)
    {
        if (!_info.Has(BlockFeatures.WriteCacheSwitch)) throw new ArgumentException($"{_name}: the disk has no write cache that can be switched (IDENTIFY word 82)");
        Do(on ? PortJobs.CacheOn : PortJobs.CacheOff, "SET FEATURES");
    }

    public void Run(BlockVerb verb)
    {
        bool tray = verb is BlockVerb.Eject or BlockVerb.Load;
        if (tray && !_packet) throw new ArgumentException($"{_name}: there is no drive here whose medium could be changed");
        if (!tray && _disk is not { PowerManagement: true }) throw new ArgumentException($"{_name}: the disk has no power mode '{verb}' (IDENTIFY word 82)");
        _attentions = 0;
        switch (verb)
        {
            case BlockVerb.Eject: Do(PortJobs.AllowRemoval | PortJobs.Eject, "to give its medium up"); break;
            case BlockVerb.Load: Do(PortJobs.Load, "to take its medium in"); break;
            case BlockVerb.Standby: Do(PortJobs.Standby, "the power mode"); break;
            default: Do(PortJobs.Idle, "the power mode"); break;
        }
    }

    private void Give(PortJobs job)
    {
        _job = job;
        _queue.Now = _clock.GetTimestamp();
        _queue.Give(PortJob.Command(job, _options.Dma && _disk is { Dma: true }, out uint bytes), bytes, PacketCommand.For(job));
    }

    private void OnJobDone(PortJobs job)
    {
        switch (job)
        {
            case PortJobs.Identify: OnIdentified(); break;
            case PortJobs.IdentifyPacket: OnPacketIdentified(); break;
            case PortJobs.Capacity: OnCapacity(); break;
            case PortJobs.ReadLog: OnLog(); break;
            case PortJobs.CacheOn or PortJobs.CacheOff: OnCacheSwitched(job == PortJobs.CacheOn); break;
            case PortJobs.Standby: _resting = true; break;
            case PortJobs.Eject or PortJobs.Load: _jobs |= PortJobs.Capacity; break;
            case PortJobs.SmartStatus: _health.Verdict = AtaHealth.Judge(_queue.ReadLba()); Stamp(); break;
            case PortJobs.SmartData: ReadHealth(); break;
        }
    }

    private void AskHealth()
    {
        if (_healthSince != 0 && _clock.GetElapsedTime(_healthSince).TotalSeconds < HealthSeconds) return;
        _healthSince = _clock.GetTimestamp();
        _jobs |= PortJobs.SmartStatus | PortJobs.SmartData;
        Feed();
    }

    private void OnCacheSwitched(bool on)
    {
        BlockDeviceInfo info = _info;
        info.Features = on ? info.Features | BlockFeatures.WriteCache : info.Features & ~BlockFeatures.WriteCache;
        SetInfo(info);
    }

    private void ReadHealth()
    {
        Span<ushort> data = stackalloc ushort[AtaIdentity.Words];
        CopyPage(data);
        AtaHealth.Read(MemoryMarshal.AsBytes(data), ref _health);
        Stamp();
    }

    private void Stamp() => _health.ReadAt = Math.Max(1, (ulong)_clock.GetElapsedTime(_start).TotalSeconds);

    /// <summary>A private copy of what the device answered: it may go on writing there.</summary>
    private void CopyPage(Span<ushort> to)
    {
        for (int i = 0; i < to.Length; i++) to[i] = Volatile.Read(ref _memory.Page[(uint)i]);
    }

    /// <summary>Has a command done when the disk has finished what it has; a client waits so long.</summary>
    /// <exception cref="ArgumentException">The disk refused it, or does not answer in time; then it may still do it.</exception>
    private void Do(PortJobs job, string what)
    {
        _jobs |= job;
        _jobFailed = false;
        long start = _clock.GetTimestamp();
        while ((_jobs & job) != 0 && _state != PortState.Empty && _clock.GetElapsedTime(start) < s_jobLimit) Step();
        if (_jobFailed) throw new ArgumentException($"{_name}: the disk refuses {what}");
        if ((_jobs & job) != 0) throw new ArgumentException($"{_name}: the disk is busy, {what} follows when it is not");
    }
}
