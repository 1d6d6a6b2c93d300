using Xinim.Ipc.Protocols;
using Xinim.Net.Ip;
using Xinim.Net.Ping;
using Xinim.Net.Ports;
using Xinim.TestKit.Net;

namespace Xinim.Net.Tests.Ping;

public sealed class PingerTests
{
    private static readonly Ipv4Address Host = new(0x0a000202);
    private readonly FakeHost _host = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public void Gets_an_address_finds_the_host_and_pings_it()
    {
        using FakeDaemon daemon = new(new Wire(_host.Answer));
        using NetworkPort port = Open(daemon);
        Ipv4Station station = new(port);
        Ipv4Configuration lease = StationSetup.Lease(station, Stop);
        Assert.Equal("10.0.2.15/24 by 10.0.2.2", lease.ToString());
        List<PingReply> replies = [];
        PingResult sum = Ping(station, new PingOptions { Target = Host, Count = 200, Interval = TimeSpan.Zero, Timeout = TimeSpan.FromSeconds(10) }, replies);
        Assert.Equal((200ul, 200ul, 0ul), (sum.Transmitted, sum.Received, sum.Duplicates));
        Assert.Equal(Enumerable.Range(0, 200).Select(i => (ushort)i), replies.Select(reply => reply.Sequence));
        Assert.All(replies, reply => Assert.Equal((64, 63), (reply.Bytes, reply.Hops)));
        Assert.True(sum.Min <= sum.Mean && sum.Mean <= sum.Max && sum.P99 <= sum.Max);
    }

    [Fact]
    public void Counts_lost_duplicate_and_damaged_answers()
    {
        using FakeDaemon daemon = new(new Wire(_host.Answer));
        using NetworkPort port = Open(daemon);
        Ipv4Station station = Station(port);
        PingOptions options = new() { Target = Host, Count = 6, Interval = TimeSpan.FromMilliseconds(1), Timeout = TimeSpan.FromMilliseconds(300), Spin = true };
        _host.Replies = 2;
        _host.DropEvery = 3;
        PingResult lossy = Ping(station, options);
        Assert.Equal((6ul, 4ul, 2ul), (lossy.Transmitted, lossy.Received, lossy.Lost));
        // The last answer ends the run, perhaps before its duplicate is seen.
        Assert.InRange(lossy.Duplicates, 3ul, 4ul);
        _host.DropEvery = 0;
        _host.Replies = 1;
        _host.Damage = true;
        PingResult damaged = Ping(station, options);
        Assert.Equal((0ul, 6ul), (damaged.Received, damaged.Damaged));
    }

    [Fact]
    public void Answers_arp_for_its_own_address_and_no_other()
    {
        using FakeDaemon daemon = new(new Wire(_host.Answer));
        using NetworkPort port = Open(daemon);
        Ipv4Station station = Station(port);
        _host.Unasked.Enqueue(FakeHost.ArpRequest("10.0.2.15"));
        _host.Unasked.Enqueue(FakeHost.ArpRequest("10.0.2.16"));
        _host.Unasked.Enqueue([1, 2, 3]);
        Ping(station, new PingOptions { Target = Host, Count = 2, Interval = TimeSpan.Zero, Timeout = TimeSpan.FromSeconds(10) });
        List<ArpPacket> replies = [];
        foreach (byte[] frame in _host.Frames)
        {
            if (ArpPacket.TryParse(frame.AsSpan(14), out ArpPacket arp) && arp.Operation == ArpOperation.Reply) replies.Add(arp);
        }

        ArpPacket reply = Assert.Single(replies);
        Assert.Equal(("10.0.2.15", "52:54:00:00:00:01"), (reply.Sender.ToString(), reply.SenderMac.ToString()));
    }

    [Fact]
    public void A_silent_host_is_said_to_be_silent()
    {
        using FakeDaemon daemon = new(new Wire());
        using NetworkPort port = Open(daemon);
        Ipv4Station station = Station(port);
        NetworkPortException silent = Assert.Throws<NetworkPortException>(() => StationSetup.Resolve(station, Host, Stop));
        Assert.StartsWith("10.0.2.2 does not answer ARP", silent.Message, StringComparison.Ordinal);
        NetworkPortException far = Assert.Throws<NetworkPortException>(() => StationSetup.Resolve(station, new Ipv4Address(0x08080808), Stop));
        Assert.Contains("--gateway", far.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ends_when_the_user_wants_it()
    {
        using FakeDaemon daemon = new(new Wire(_host.Answer));
        using NetworkPort port = Open(daemon);
        Ipv4Station station = Station(port);
        using CancellationTokenSource source = new();
        MacAddress hop = StationSetup.Resolve(station, Host, Stop);
        Pinger pinger = new(station, hop, new PingOptions { Target = Host, Interval = TimeSpan.Zero }, _ => source.Cancel());
        Assert.Equal(1ul, pinger.Run(source.Token).Received);
        Assert.Throws<OperationCanceledException>(() => StationSetup.Lease(station, source.Token));
    }

    private static NetworkPort Open(FakeDaemon daemon) => NetworkPort.Open("net0", new NetworkPortOptions { TxBuffers = 64, RxBuffers = 64 }, daemon.Socket);

    private static Ipv4Station Station(NetworkPort port) => new(port) { Configuration = new Ipv4Configuration(new Ipv4Address(0x0a00020f), 24, null) };

    private static PingResult Ping(Ipv4Station station, PingOptions options, List<PingReply>? replies = null)
        => new Pinger(station, StationSetup.Resolve(station, Host, Stop), options, reply => replies?.Add(reply)).Run(Stop);
}
