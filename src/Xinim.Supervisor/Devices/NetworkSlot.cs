using Microsoft.Extensions.Logging;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Status;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// The client of a NIC. Its transmit pool is mapped for the device to read only; its filters are what a new driver starts
/// with.
/// </summary>
internal sealed class NetworkSlot(ManagedDevice device, ILogger log) : ClientSlot(device, log, CounterNames)
{
    /// <summary>The words of <see cref="NetworkStatistics"/>.</summary>
    private static readonly string[] CounterNames =
    [
        "rxFrames", "rxBytes", "txFrames", "txBytes", "rxMulticast", "rxBroadcast", "rxMissed", "rxCrcErrors", "rxLengthErrors", "rxOtherErrors",
        "rxDropped", "txRejected", "txErrors", "interrupts", "doorbells",
    ];

    private NetworkFilters? _filters;

    /// <summary>The driver is being started with filters that are forgotten meanwhile.</summary>
    private bool _stale;
    private FilterWish? _wanted;

    public NetworkDeviceInfo Info { get; private set; }

    public override DeviceReport Describe(DeviceReport report) => report with { Mac = Info.Mac.ToString(), Link = Info.Link.ToString() };

    /// <summary>Sets all filters, now and for every later driver. A driver that dies over it leaves it to the next one.</summary>
    public override void Answer(ChannelMessage question, Action<string?> answer)
    {
        if (question.Header.Type != (uint)ClientMessage.SetFilters) throw new ChannelException($"it sent message {question.Header.Type}, which no client of a NIC sends");
        NetworkFilters filters = question.Get<NetworkFilters>();
        if (_wanted is not null)
        {
            answer("filters are being set already; wait for the answer");
            return;
        }

        _wanted = new FilterWish(filters, answer);
        AskFilters();
    }

    internal override NetworkFilters OnStarting()
    {
        _stale = false;
        return _filters ?? default;
    }

    internal override string Adopt(ChannelMessage ready)
    {
        Info = ready.Get<NetworkDeviceInfo>();
        return $"MAC {Info.Mac}, link {Info.Link}";
    }

    internal override void OnDriverNews(ChannelMessage news)
    {
        if (news.Header.Type != (uint)ControlMessage.LinkChanged) throw new ChannelException($"an unasked message of type {news.Header.Type}");
        LinkState link = news.Get<LinkState>();
        if (link == Info.Link) return;
        Info = Info with { Link = link };
        Device.Events.Add(EventKind.Link, $"link {link}");
        Holder?.OnNews(ClientMessage.LinkChanged, Payload.Of(link));
    }

    protected override string? Plan(ChannelMessage message, out MemoryPlan plan)
    {
        OpenNetworkMessage wish = message.Get<OpenNetworkMessage>();
        plan = new MemoryPlan(
            [
                new PoolPlan("transmit pool", "xinim-net-tx", wish.TxPoolBytes, RegionAccess.Read),
                new PoolPlan("receive pool", "xinim-net-rx", wish.RxPoolBytes, RegionAccess.ReadWrite),
            ],
            new RingShape(wish.TxCapacity, wish.RxCapacity, 0),
            shape => NetworkRings.Create(shape.TxCapacity, shape.RxCapacity, shape.Generation));
        if (!IsRing(wish.TxCapacity) || !IsRing(wish.RxCapacity))
            return $"ring capacities {wish.TxCapacity} and {wish.RxCapacity}: powers of two from 2 to {NetworkRings.MaxCapacity} are allowed";
        if (wish.TxPoolBytes == 0 || wish.RxPoolBytes == 0) return "a pool of 0 bytes; both pools need memory";
        return wish.TxPoolBytes > OpenNetworkMessage.MaxPoolBytes || wish.RxPoolBytes > OpenNetworkMessage.MaxPoolBytes - wish.TxPoolBytes
            ? $"pools of {wish.TxPoolBytes} and {wish.RxPoolBytes} bytes; {OpenNetworkMessage.MaxPoolBytes} are allowed together"
            : null;
    }

    protected override byte[] OpenedMessage(ClientMemory memory) => Payload.Of(new OpenedNetworkMessage
    {
        Rings = memory.Shape,
        RingsBytes = memory.RingsBytes,
        TxPoolBytes = (ulong)memory.Pools[0].Region.Size,
        RxPoolBytes = (ulong)memory.Pools[1].Region.Size,
        TxGrant = memory.Pools[0].Grant.Handle,
        RxGrant = memory.Pools[1].Grant.Handle,
        Info = Info,
    });

    protected override void RestoreWishes()
    {
        if (_stale) AskForNone();
        AskFilters();
    }

    protected override void ForgetWishes()
    {
        _wanted = null;
        _stale |= !AskForNone() && _filters is not null;
        _filters = null;
    }

    private bool AskForNone()
    {
        NetworkFilters none = default;
        return Device.TryAsk(ControlMessage.SetFilters, none, default, _ => { });
    }

    private void AskFilters()
    {
        // Where no driver is ready, the next one is asked.
        if (_wanted is not { } wanted) return;
        Device.TryAsk(ControlMessage.SetFilters, wanted.Filters, default, reply =>
        {
            if (_wanted != wanted) return;
            _wanted = null;
            bool done = reply.Header.Type == (uint)ControlMessage.Done;
            if (done) _filters = wanted.Filters;
            wanted.Answer(done ? null : PeerText.OneLine(reply));
        });
    }

    private static bool IsRing(uint capacity) => capacity is >= 2 and <= NetworkRings.MaxCapacity && uint.IsPow2(capacity);

    private sealed class FilterWish(NetworkFilters filters, Action<string?> answer)
    {
        public NetworkFilters Filters => filters;

        public Action<string?> Answer => answer;
    }
}
