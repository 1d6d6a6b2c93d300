using Xinim.Drivers.Block;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Hosting;

/// <summary>A disk as its loop serves it: a whole device, or a port of a controller.</summary>
/// <param name="number">Its place in Ready.</param>
/// <param name="port">What names it; <see cref="BlockUnitInfo.Whole"/> of a device that is one disk.</param>
/// <param name="disk">As found.</param>
internal sealed class BlockUnit(uint number, uint port, IBlockUnit unit, in BlockDeviceInfo disk, VitalSigns signs) : ServedUnit<BlockRings.DriverEnd>(number, unit)
{
    private readonly TransmitSampler _sampler = new(signs);
    private BlockUnitInfo _info = new(port, disk);
    private ulong _healthToldAt;

    /// <summary>As last told.</summary>
    public BlockUnitInfo Info => _info;

    public BlockStatistics Statistics => unit.Statistics;

    public override string? Problem => _info.Disk.Has(BlockFeatures.Absent) ? $"port {port} has no disk" : null;

    public override Work Pass(BlockRings.DriverEnd rings)
    {
        uint submitted = unit.Submit(rings.Submitted);
        _sampler.OnTaken(submitted);
        uint completed = unit.Complete(rings.Completed);
        _sampler.OnReturned(completed);
        if (completed != 0) rings.Client.Ring();
        return (submitted | completed) != 0 ? Work.Client : Work.None;
    }

    public override bool Drain(BlockRings.DriverEnd rings)
    {
        if (unit.Complete(rings.Completed) != 0) return true;
        Thread.Yield();
        return unit.Busy;
    }

    /// <inheritdoc cref="IBlockUnit.TryTakeChange"/>
    public bool TryTakeChange(out BlockDeviceInfo info)
    {
        if (!unit.TryTakeChange(out info)) return false;
        _info.Disk = info;
        return true;
    }

    /// <summary>Tells once of each reading of the disk's health.</summary>
    public bool TryTakeHealth(out BlockHealth health)
    {
        health = unit is IControllerUnit disk ? disk.Health : default;
        if (health.ReadAt == _healthToldAt) return false;
        _healthToldAt = health.ReadAt;
        return true;
    }

    /// <inheritdoc cref="IBlockUnit.SetWriteCache"/>
    public void SetWriteCache(bool on)
    {
        if (Problem is { } problem) throw new ArgumentException(problem);
        unit.SetWriteCache(on);
    }

    /// <inheritdoc cref="IControllerUnit.Run"/>
    public void Run(BlockVerb verb)
    {
        if (!Enum.IsDefined(verb)) throw new ArgumentException($"there is no verb {(uint)verb} for disks");
        // A drive that is empty is no disk, and has a tray.
        if (verb is BlockVerb.Idle or BlockVerb.Standby && Problem is { } problem) throw new ArgumentException(problem);
        if (unit is not IControllerUnit disk) throw new ArgumentException("the disk has neither power modes nor a tray");
        disk.Run(verb);
    }

    protected override void OnDetached() => _sampler.Forget();
}
