using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Status;

namespace Xinim.Supervisor.Devices;

/// <summary>The disks of a device: itself, or those on the ports of a controller, each with a client of its own.</summary>
internal sealed class BlockSlot(ManagedDevice device, ILogger log) : UnitsSlot(device, CounterNames)
{
    /// <summary>The words of <see cref="BlockStatistics"/>.</summary>
    private static readonly string[] CounterNames =
        ["reads", "readBytes", "writes", "writtenBytes", "flushes", "discards", "writeZeroes", "errors", "rejected", "interrupts", "doorbells"];

    private readonly List<BlockDisk> _disks = [];

    /// <summary>Wishes from before the first driver told what there is.</summary>
    private readonly List<EarlyWish> _early = [];

    public override bool HasPorts => true;

    protected override IReadOnlyList<ClientSlot> Units => _disks;

    public override DeviceReport Describe(DeviceReport report) => report with { Disks = [.. _disks.Select((disk, unit) => disk.Describe(Counters.Of(unit)))] };

    public override void Release(IDeviceClient client)
    {
        _early.RemoveAll(wish => wish.Client == client);
        base.Release(client);
    }

    public override void Answer(IDeviceClient client, ChannelMessage question, Action<string?> answer)
    {
        if (question.Header.Type != (uint)ClientMessage.SetWriteCache) throw new ChannelException($"it sent message {question.Header.Type}, which no client of a disk sends");
        uint wanted = question.Get<uint>();
        if (wanted > 1) throw new ChannelException($"it wants the write cache to be {wanted}; there are 0 and 1");
        if (_disks.Find(disk => disk.Holder == client) is { } disk) disk.SetWriteCache(wanted, answer);
        else answer($"{Device.Name} is not opened yet; wait for that");
    }

    public override bool TryRun(string verb, uint? port, Action<string?> onDone)
    {
        BlockVerb? known = verb switch
        {
            "idle" => BlockVerb.Idle,
            "standby" => BlockVerb.Standby,
            "eject" => BlockVerb.Eject,
            "load" => BlockVerb.Load,
            _ => null,
        };
        if (known is not { } wanted) return false;
        // A drive that is empty is no disk, and has a tray.
        if (Find(port, out BlockDisk? disk) is { } problem && (disk is null || wanted is BlockVerb.Idle or BlockVerb.Standby)) onDone(problem);
        else disk!.Run(wanted, onDone);
        return true;
    }

    protected override string? TryOpen(IDeviceClient client, ChannelMessage message, uint? port)
    {
        if (Plan(message.Get<OpenBlockMessage>(), out MemoryPlan plan) is { } problem) return problem;
        if (_disks.Count != 0) return Open(new EarlyWish(client, plan, port));
        _early.Add(new EarlyWish(client, plan, port));
        return null;
    }

    internal override string Adopt(ChannelMessage ready)
    {
        int count = ready.Payload.Length / Unsafe.SizeOf<BlockUnitInfo>();
        if (count is 0 or > BlockUnitInfo.MostUnits) throw new ChannelException($"it tells of {count} disks in {ready.Payload.Length} bytes; 1 to {BlockUnitInfo.MostUnits} are possible");
        ReadOnlySpan<BlockUnitInfo> units = ready.GetMany<BlockUnitInfo>(0, count);
        if (_disks.Count == 0) Create(units);
        if (count != _disks.Count) throw new ChannelException($"it has {count} ports; the device had {_disks.Count}");
        for (int i = 0; i < count; i++)
        {
            uint port = _disks[i].Port ?? BlockUnitInfo.Whole;
            if (units[i].Port != port) throw new ChannelException($"its port {units[i].Port} was port {port}");
            _disks[i].Adopt(units[i].Disk);
        }

        return _disks[0].Port is null ? BlockReport.Describe(_disks[0].Info) : $"{_disks.Count(disk => disk.IsPresent)} disks on {count} ports";
    }

    internal override void OnDriverNews(ChannelMessage news)
    {
        if (news.Header.Unit >= (uint)_disks.Count) throw new ChannelException($"news of unit {news.Header.Unit} of {_disks.Count}");
        BlockDisk disk = _disks[(int)news.Header.Unit];
        switch ((ControlMessage)news.Header.Type)
        {
            case ControlMessage.BlockChanged: disk.OnChanged(news.Get<BlockDeviceInfo>()); break;
            case ControlMessage.HealthRead: disk.OnHealth(news.Get<BlockHealth>()); break;
            default: throw new ChannelException($"an unasked message of type {news.Header.Type}");
        }
    }

    internal override void OnReady()
    {
        base.OnReady();
        foreach (EarlyWish wish in TakeEarly())
        {
            if (Open(wish) is { } problem) wish.Client.OnClosed(problem);
        }
    }

    internal override void CloseForGood(string reason)
    {
        foreach (EarlyWish wish in TakeEarly()) wish.Client.OnClosed(reason);
        base.CloseForGood(reason);
    }

    private static string? Plan(in OpenBlockMessage wish, out MemoryPlan plan)
    {
        plan = new MemoryPlan(
            [new PoolPlan("block pool", "xinim-block-pool", wish.PoolBytes, RegionAccess.ReadWrite)], new RingShape(wish.Submissions, wish.Completions, 0), BlockRings.Create);
        if (!IsRing(wish.Submissions) || !IsRing(wish.Completions))
            return $"ring capacities {wish.Submissions} and {wish.Completions}: powers of two from 2 to {BlockRings.MaxCapacity} are allowed";
        return wish.PoolBytes is 0 or > OpenBlockMessage.MaxPoolBytes ? $"a pool of {wish.PoolBytes} bytes; allowed are 1 to {OpenBlockMessage.MaxPoolBytes}" : null;
    }

    private static bool IsRing(uint capacity) => capacity is >= 2 and <= BlockRings.MaxCapacity && uint.IsPow2(capacity);

    private string? Open(in EarlyWish wish) => Find(wish.Port, out BlockDisk? disk) ?? disk!.Open(wish.Client, wish.Plan);

    /// <returns>What is wrong with the wish; null where the disk was found.</returns>
    private string? Find(uint? port, out BlockDisk? found)
    {
        found = _disks.Find(disk => disk.Port == port);
        if (found is { IsPresent: true }) return null;
        if (_disks.Count == 0) return $"{Device.Name} has no driver at the moment; ask again";
        if (_disks[0].Port is null) return found is null ? $"{Device.Name} is one disk and has no ports" : null;
        string[] names = [.. _disks.Where(disk => disk.IsPresent).Select(disk => disk.Name)];
        string there = names.Length == 0 ? "no port has a disk" : $"there are {string.Join(", ", names)}";
        return port is not { } number ? $"{Device.Name} is a controller and no disk; {there}"
            : found is null ? $"{Device.Name} has no port {number}; its ports are {string.Join(", ", _disks.Select(disk => disk.Port))}"
            : $"port {number} of {Device.Name} has no disk; {there}";
    }

    /// <summary>Whatever a driver says of them later, the ports stay those that the first one found: clients know them by their numbers.</summary>
    private void Create(ReadOnlySpan<BlockUnitInfo> units)
    {
        for (int i = 0; i < units.Length; i++)
        {
            uint port = units[i].Port;
            if (port == BlockUnitInfo.Whole ? units.Length != 1 : i > 0 && port <= units[i - 1].Port) throw new ChannelException($"port {port} at place {i} of {units.Length}; they are to ascend");
        }

        for (int i = 0; i < units.Length; i++) _disks.Add(new BlockDisk(Device, log, (uint)i, units[i].Port == BlockUnitInfo.Whole ? null : units[i].Port));
        Counters.Extend(units.Length);
    }

    private EarlyWish[] TakeEarly()
    {
        EarlyWish[] wishes = [.. _early];
        _early.Clear();
        return wishes;
    }

    private readonly record struct EarlyWish(IDeviceClient Client, MemoryPlan Plan, uint? Port);
}
