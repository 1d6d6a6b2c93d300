using Microsoft.Extensions.Logging;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Status;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// One disk, or a port where one may come, and its client: one pool for both directions, and how it wants the write cache. Nobody who
/// held a disk gets another one in its place.
/// </summary>
internal sealed class BlockDisk(ManagedDevice device, ILogger log, uint unit, uint? port) : ClientSlot(device, log, unit, port)
{
    private readonly ILogger _log = log;
    private uint? _writeCache;
    private bool? _writeCacheBefore;
    private BlockHealth _health;
    private DateTimeOffset? _healthReadAt;

    /// <summary>What the client believes that it holds; null where it has heard of nothing yet.</summary>
    private BlockDeviceInfo? _held;

    public uint? Port { get; } = port;

    /// <summary>As last told.</summary>
    public BlockDeviceInfo Info { get; private set; }

    public bool IsPresent => !Info.Has(BlockFeatures.Absent);

    protected override string? Problem => IsPresent ? null : $"{Name} has no disk at the moment";

    /// <summary>A driver says what it has found.</summary>
    /// <exception cref="ChannelException">There is no such disk in this world.</exception>
    public void Adopt(in BlockDeviceInfo info)
    {
        if (BlockReport.Problem(info) is { } problem) throw new ChannelException($"it describes a disk that cannot be: {problem}");
        if (!Info.IsSameMedium(info)) (_writeCache, _writeCacheBefore, _health, _healthReadAt) = (null, null, default, null);
        Info = info;
        if (IsPresent) _writeCacheBefore ??= info.Has(BlockFeatures.WriteCache);
    }

    /// <summary>A driver that serves says what has become of the disk.</summary>
    public void OnChanged(in BlockDeviceInfo info)
    {
        BlockDeviceInfo former = Info;
        Adopt(info);
        if (former.IsSameMedium(info))
        {
            if (IsPresent) Add(EventKind.Changed, BlockReport.Describe(info));
            if (_held is not null) _held = info;
            Holder?.OnNews(ClientMessage.BlockChanged, Payload.Of(info));
            return;
        }

        Add(EventKind.Changed, IsPresent ? $"a disk has come: {BlockReport.Describe(info)}" : $"the disk has gone: {BlockReport.Describe(former)}");
        EvictStranger(former);
    }

    public void OnHealth(in BlockHealth health)
    {
        if (health.Verdict > BlockVerdict.Failing) throw new ChannelException($"a disk whose health is {(uint)health.Verdict}");
        if (health.Verdict == BlockVerdict.Failing && _health.Verdict != BlockVerdict.Failing) Add(EventKind.Changed, $"{BlockReport.Describe(Info)} expects to fail; copy what is on it");
        _health = health;
        _healthReadAt = DateTimeOffset.UtcNow;
    }

    public override void OnReady()
    {
        if (_held is { } held && !held.IsSameDisk(Info)) EvictStranger(held);
        base.OnReady();
    }

    /// <summary>Switches the write cache, now and for every later driver of this client.</summary>
    public void SetWriteCache(uint wanted, Action<string?> answer)
        => Ask(ControlMessage.SetWriteCache, wanted, answer, () => _writeCache = wanted);

    /// <summary>Has the disk do what an operator wants.</summary>
    public void Run(BlockVerb verb, Action<string?> answer) => Ask(ControlMessage.RunVerb, (uint)verb, answer, () => { });

    /// <param name="counters">Of this disk.</param>
    public DiskReport Describe(IReadOnlyDictionary<string, ulong> counters) => new(Name, Port, Holder?.Description, IsPresent ? BlockReport.Of(Info) : null, counters)
    {
        Health = _healthReadAt is { } at ? HealthReport.Of(_health, at) : null,
    };

    protected override byte[] OpenedMessage(ClientMemory memory)
    {
        _held = Info;
        return Payload.Of(new OpenedBlockMessage
        {
            Rings = memory.Shape,
            RingsBytes = memory.RingsBytes,
            PoolBytes = (ulong)memory.Pools[0].Region.Size,
            Grant = memory.Pools[0].Grant.Handle,
            Info = Info,
        });
    }

    protected override void RestoreWishes()
    {
        if (_writeCache is { } wanted) Switch(wanted);
    }

    protected override void ForgetWishes()
    {
        _held = null;
        if (_writeCache is { } wanted && IsPresent && _writeCacheBefore is { } before && wanted != (before ? 1u : 0)) Switch(before ? 1u : 0);
        _writeCache = null;
    }

    /// <summary>What the client held is not what is here now.</summary>
    private void EvictStranger(in BlockDeviceInfo held)
    {
        string was = BlockReport.Describe(held);
        if (IsPresent) Evict($"{Name} is another disk now: {BlockReport.Describe(Info)}; it was {was}; open it again", ClientMessage.Replaced);
        else Evict($"{Name} was removed: {was}", ClientMessage.Closed);
    }

    private void Ask(ControlMessage what, uint argument, Action<string?> answer, Action onDone)
    {
        bool asked = TryAsk(what, argument, reply =>
        {
            bool done = reply.Header.Type == (uint)ControlMessage.Done;
            if (done) onDone();
            answer(done ? null : PeerText.OneLine(reply));
        });
        if (!asked) answer($"{Name} has no driver at the moment; ask again");
    }

    private void Switch(uint wanted) => TryAsk(ControlMessage.SetWriteCache, wanted, reply =>
    {
        if (reply.Header.Type != (uint)ControlMessage.Done) _log.LogError("{Disk}: the driver refused to switch the write cache: {Reason}", Name, PeerText.OneLine(reply));
    });
}
