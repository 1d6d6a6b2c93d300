using Microsoft.Extensions.Logging;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Status;

namespace Xinim.Supervisor.Devices;

/// <summary>A NIC: one unit.</summary>
internal sealed class NetworkSlot : UnitsSlot
{
    /// <summary>The words of <see cref="NetworkStatistics"/>.</summary>
    private static readonly string[] CounterNames =
    [
        "rxFrames", "rxBytes", "txFrames", "txBytes", "rxMulticast", "rxBroadcast", "rxMissed", "rxCrcErrors", "rxLengthErrors", "rxOtherErrors",
        "rxDropped", "txRejected", "txErrors", "interrupts", "doorbells",
    ];

    private readonly NetworkClient _client;

    public NetworkSlot(ManagedDevice device, ILogger log)
        : base(device, CounterNames)
    {
        _client = new NetworkClient(device, log);
        Units = [_client];
    }

    public NetworkDeviceInfo Info => _client.Info;

    protected override IReadOnlyList<ClientSlot> Units { get; }

    public override DeviceReport Describe(DeviceReport report) => report with { Mac = Info.Mac.ToString(), Link = Info.Link.ToString() };

    public override void Answer(IDeviceClient client, ChannelMessage question, Action<string?> answer)
    {
        if (question.Header.Type != (uint)ClientMessage.SetFilters) throw new ChannelException($"it sent message {question.Header.Type}, which no client of a NIC sends");
        _client.SetFilters(question.Get<NetworkFilters>(), answer);
    }

    protected override string? TryOpen(IDeviceClient client, ChannelMessage message, uint? port) => Plan(message, out MemoryPlan plan) ?? _client.Open(client, plan);

    internal override NetworkFilters OnStarting() => _client.OnStarting();

    internal override string Adopt(ChannelMessage ready)
    {
        NetworkDeviceInfo info = ready.Get<NetworkDeviceInfo>();
        _client.Info = info;
        return $"MAC {info.Mac}, link {info.Link}";
    }

    internal override void OnDriverNews(ChannelMessage news)
    {
        if (news.Header.Type != (uint)ControlMessage.LinkChanged) throw new ChannelException($"an unasked message of type {news.Header.Type}");
        LinkState link = news.Get<LinkState>();
        if (link == Info.Link) return;
        _client.Info = Info with { Link = link };
        Device.Events.Add(EventKind.Link, $"link {link}");
        _client.Holder?.OnNews(ClientMessage.LinkChanged, Payload.Of(link));
    }

    private static string? Plan(ChannelMessage message, out MemoryPlan plan)
    {
        OpenNetworkMessage wish = message.Get<OpenNetworkMessage>();
        plan = new MemoryPlan(
            [
                new PoolPlan("transmit pool", "xinim-net-tx", wish.TxPoolBytes, RegionAccess.Read),
                new PoolPlan("receive pool", "xinim-net-rx", wish.RxPoolBytes, RegionAccess.ReadWrite),
            ],
            new RingShape(wish.TxCapacity, wish.RxCapacity, 0, Math.Min(wish.Pairs, NetworkRings.MaxPairs)),
            shape => NetworkRings.Create(shape),
            wish.Wishes);
        if (!IsRing(wish.TxCapacity) || !IsRing(wish.RxCapacity))
            return $"ring capacities {wish.TxCapacity} and {wish.RxCapacity}: powers of two from 2 to {NetworkRings.MaxCapacity} are allowed";
        if (wish.Pairs is 0 or > NetworkRings.MaxPairs) return $"{wish.Pairs} pairs of queues; 1 to {NetworkRings.MaxPairs} are allowed";
        if (wish.TxPoolBytes == 0 || wish.RxPoolBytes == 0) return "a pool of 0 bytes; both pools need memory";
        return wish.TxPoolBytes > OpenNetworkMessage.MaxPoolBytes || wish.RxPoolBytes > OpenNetworkMessage.MaxPoolBytes - wish.TxPoolBytes
            ? $"pools of {wish.TxPoolBytes} and {wish.RxPoolBytes} bytes; {OpenNetworkMessage.MaxPoolBytes} are allowed together"
            : null;
    }

    private static bool IsRing(uint capacity) => capacity is >= 2 and <= NetworkRings.MaxCapacity && uint.IsPow2(capacity);
}
