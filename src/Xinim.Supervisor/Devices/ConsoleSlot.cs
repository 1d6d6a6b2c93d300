using Microsoft.Extensions.Logging;
using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Status;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// The ports of a console device and their clients, one each. The device reaches none of their memory, so a client that goes takes its own
/// along at once; a client whose driver dies gets fresh rings when the next one announces its port.
/// </summary>
internal sealed class ConsoleSlot(ManagedDevice device, ILogger log) : DeviceSlot(device, CounterNames)
{
    /// <summary>The words of <see cref="ConsoleStatistics"/>.</summary>
    private static readonly string[] CounterNames = ["rxBytes", "txBytes", "rxDropped", "controlMessages", "controlIgnored", "interrupts", "doorbells"];

    /// <summary>A device names its ports one by one and never says that this was the last; what it has not named by then is not there.</summary>
    private static readonly TimeSpan SettleLimit = TimeSpan.FromSeconds(5);

    private readonly ILogger _log = log;

    /// <summary>As told by the present driver, or while there is none, by the last one.</summary>
    private readonly SortedDictionary<uint, ConsolePortInfo> _ports = [];

    /// <summary>Told by the present driver.</summary>
    private readonly HashSet<uint> _named = [];
    private readonly Dictionary<uint, PortHolder> _holders = [];
    private readonly List<PortWish> _wishes = [];
    private ConsoleDeviceInfo _info;
    private IDisposable? _settling;
    private bool _settled;
    private ulong _sessions;

    public override string? Occupants => _holders.Count == 0 ? null : string.Join("; ", _holders.OrderBy(pair => pair.Key).Select(pair => $"port {pair.Key}: {pair.Value.Client.Description}"));

    public override IReadOnlyList<ClientPool> Pools => [];

    private string PortNames => _ports.Count == 0 ? "it has none" : $"there are {string.Join(", ", _ports.Values)}";

    protected override string? TryOpen(IDeviceClient client, ChannelMessage message, uint? device)
    {
        PortWish wish = new(client, message.Get<OpenConsoleMessage>().Port.ToString());
        if (Find(wish.Port) is { } port) return Take(client, port);
        if (_settled) return NotThere(wish.Port);
        _wishes.Add(wish);
        return null;
    }

    public override void Release(IDeviceClient client)
    {
        _wishes.RemoveAll(wish => wish.Client == client);
        if (_holders.Values.FirstOrDefault(holder => holder.Client == client) is not { } holder) return;
        Device.Events.Add(EventKind.Closed, $"{client.Description} closed port {holder.Port}");
        GiveUp(holder);
        // What this client moved since the last look counts, even if the driver dies next.
        Counters.Refresh(_ => { });
    }

    public override void Answer(IDeviceClient client, ChannelMessage question, Action<string?> answer)
        => throw new ChannelException($"it sent message {question.Header.Type}, which no client of a console sends");

    public override DeviceReport Describe(DeviceReport report) => report with
    {
        Ports =
        [
            .. _ports.Values.Select(port => new ConsolePortReport(
                port.Id, port.Name.ToString(), port.Has(ConsolePortFlags.Console), port.Has(ConsolePortFlags.HostOpen), port.Columns, port.Rows,
                _holders.GetValueOrDefault(port.Id)?.Client.Description)),
        ],
    };

    public override void Dispose()
    {
        _settling?.Dispose();
        foreach (PortHolder holder in _holders.Values) holder.Memory.Dispose();
        _holders.Clear();
    }

    internal override string Adopt(ChannelMessage ready)
    {
        ConsoleDeviceInfo info = ready.Get<ConsoleDeviceInfo>();
        if (info.MaxPorts is 0 or > ConsoleDeviceInfo.MostPorts) throw new ChannelException($"a console device of {info.MaxPorts} ports; 1 to {ConsoleDeviceInfo.MostPorts} are possible");
        _info = info;
        return info.Multiport != 0 ? $"up to {info.MaxPorts} ports" : "one port";
    }

    internal override void OnReady()
    {
        Counters.Carry();
        _named.Clear();
        _settled = false;
        _settling?.Dispose();
        _settling = Device.Loop.After(SettleLimit, Settle);
    }

    internal override void OnDriverNews(ChannelMessage news)
    {
        switch ((ControlMessage)news.Header.Type)
        {
            case ControlMessage.PortChanged: OnPort(news.Get<ConsolePortInfo>()); break;
            case ControlMessage.PortFault: OnPortFault(news.Get<PortFaultMessage>()); break;
            default: throw new ChannelException($"an unasked message of type {news.Header.Type}");
        }
    }

    internal override bool BreaksAgain(uint unit, TimeSpan memory) => throw new ChannelException("a fault of its client, without a word of which port's");

    internal override void OnDropped(uint unit, string reason) => CloseForGood(reason);

    internal override void StopIntake()
    {
        _settling?.Dispose();
        foreach (PortHolder holder in _holders.Values)
        {
            holder.Incarnation = null;
            holder.Memory.CloseRings();
        }
    }

    internal override void OnQuiet() => Counters.AnswerCurious();

    internal override void CloseForGood(string reason)
    {
        foreach (PortWish wish in TakeWishes()) wish.Client.OnClosed(reason);
        foreach (PortHolder holder in _holders.Values.ToArray()) Drop(holder, reason);
    }

    private void OnPort(ConsolePortInfo port)
    {
        if (port.Id >= _info.MaxPorts) throw new ChannelException($"port {port.Id} of a device that has {_info.MaxPorts}");
        port.Name = Clean(port.Name);
        _named.Add(port.Id);
        PortHolder? holder = _holders.GetValueOrDefault(port.Id);
        if (!port.Has(ConsolePortFlags.Present))
        {
            if (_ports.Remove(port.Id)) _log.LogInformation("{Device}: port {Port} is gone", Device.Name, port.Id);
            if (holder is not null) Drop(holder, $"port {port.Id} of {Device.Name} was removed");
            return;
        }

        if (!_ports.ContainsKey(port.Id)) _log.LogInformation("{Device}: port {Port} is there", Device.Name, port);
        _ports[port.Id] = port;
        if (holder?.Incarnation is { } incarnation && incarnation != port.Incarnation) Drop(holder, $"port {port.Id} of {Device.Name} was removed, and another one added");
        else if (holder is { Incarnation: null }) Attach(holder, port.Incarnation);
        else holder?.Client.OnNews(ClientMessage.PortChanged, Payload.Of(port));
        Grant(wish => Find(wish.Port));
    }

    /// <summary>Both can write the rings: a driver that has gone mad may have broken them itself. The first time both get fresh ones.</summary>
    private void OnPortFault(in PortFaultMessage fault)
    {
        ulong session = fault.Session;
        if (_holders.GetValueOrDefault(fault.Port) is not { Incarnation: { } incarnation } holder || holder.Session != session) return;
        if (holder.BreaksAgain(Device.QuietPeriod)) Drop(holder, "the driver refused its rings");
        else Attach(holder, incarnation);
    }

    private void Settle()
    {
        _settled = true;
        foreach (uint missing in _ports.Keys.Except(_named).ToArray())
        {
            _ports.Remove(missing);
            if (_holders.GetValueOrDefault(missing) is { } holder) Drop(holder, $"port {missing} of {Device.Name} is not there any more");
        }

        Grant(wish => Find(wish.Port));
        foreach (PortWish wish in TakeWishes()) wish.Client.OnClosed(NotThere(wish.Port));
    }

    private void Grant(Func<PortWish, ConsolePortInfo?> find)
    {
        foreach (PortWish wish in _wishes.ToArray())
        {
            if (find(wish) is not { } port || !_wishes.Remove(wish)) continue;
            if (Take(wish.Client, port) is { } problem) wish.Client.OnClosed(problem);
        }
    }

    private PortWish[] TakeWishes()
    {
        PortWish[] wishes = [.. _wishes];
        _wishes.Clear();
        return wishes;
    }

    /// <summary>The port that is called so; without a name the first console, or the only port that there is.</summary>
    private ConsolePortInfo? Find(string wanted)
    {
        foreach (ConsolePortInfo port in _ports.Values)
        {
            if (wanted.Length == 0 ? port.Has(ConsolePortFlags.Console) || (_settled && _ports.Count == 1) : port.IsCalled(wanted)) return port;
        }

        return null;
    }

    private string NotThere(string wanted) => wanted.Length != 0 ? $"{Device.Name} has no port '{wanted}'; {PortNames}"
        : _ports.Count == 0 ? $"{Device.Name} has no port" : $"{Device.Name} has no console and several ports; say which: {PortNames}";

    private string? Take(IDeviceClient client, in ConsolePortInfo port)
    {
        if (_holders.TryGetValue(port.Id, out PortHolder? former)) return $"port {port} of {Device.Name} is in use by {former.Client.Description}; one client at a time";
        PortHolder holder;
        try
        {
            holder = new PortHolder(client, port.Id, ++_sessions, new ClientMemory(Device.Backend, new MemoryPlan([], new RingShape(ConsoleRings.Capacity, ConsoleRings.Capacity, 0), ConsoleRings.Create)));
        }
        catch (LinuxException exception)
        {
            return exception.Message;
        }

        _holders.Add(port.Id, holder);
        Device.Events.Add(EventKind.Opened, $"port {port} opened by {client.Description}");
        if (Device.State == DeviceState.Ready && _named.Contains(port.Id)) Attach(holder, port.Incarnation);
        return null;
    }

    private void Attach(PortHolder holder, uint incarnation)
    {
        try
        {
            holder.Memory.Renew(Device.Generation);
        }
        catch (LinuxException exception)
        {
            Drop(holder, exception.Message);
            return;
        }

        OpenPortMessage message = new()
        {
            Port = holder.Port,
            Incarnation = incarnation,
            Session = holder.Session,
            Rings = holder.Memory.Shape,
            RingsBytes = holder.Memory.RingsBytes,
        };
        holder.Incarnation = incarnation;
        _ = Device.TryAsk(ControlMessage.OpenPort, message, holder.Memory.ForDriver().Handles, reply => OnOpened(holder, reply));
    }

    private void OnOpened(PortHolder holder, ChannelMessage reply)
    {
        if (_holders.GetValueOrDefault(holder.Port) != holder) return;
        if (reply.Header.Type != (uint)ControlMessage.Done)
        {
            Drop(holder, PeerText.OneLine(reply));
            return;
        }

        bool first = !holder.Announced;
        holder.Announced = true;
        OpenedConsoleMessage opened = new() { Rings = holder.Memory.Shape, RingsBytes = holder.Memory.RingsBytes, Port = _ports[holder.Port] };
        holder.Client.OnAttached(holder.Memory.Shape.Generation, Payload.Of(opened), holder.Memory.HandlesForClient(first), first);
    }

    /// <summary>Takes the port from its client.</summary>
    private void Drop(PortHolder holder, string reason)
    {
        Device.Events.Add(EventKind.Closed, $"port {holder.Port} taken from {holder.Client.Description}: {reason}");
        GiveUp(holder);
        holder.Client.OnClosed(reason);
    }

    private void GiveUp(PortHolder holder)
    {
        _holders.Remove(holder.Port);
        holder.Memory.CloseRings();
        holder.Memory.Dispose();
        if (holder.Incarnation is not null) _ = Device.TryAsk(ControlMessage.ClosePort, holder.Port, default, _ => { });
    }

    /// <summary>A device chose it, and a driver passed it on.</summary>
    private static FixedText Clean(in FixedText name)
        => FixedText.Abbreviate(string.Concat(name.ToString().Select(sign => char.IsControl(sign) || char.IsSurrogate(sign) ? '?' : sign)));

    private readonly record struct PortWish(IDeviceClient Client, string Port);
}
