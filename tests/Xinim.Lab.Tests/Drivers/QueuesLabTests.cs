using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Xinim.Ipc.Protocols;
using Xinim.Lab.Tests.Vfio;
using Xinim.Net.Ip;
using Xinim.Net.Ports;
using Xinim.TestKit;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>
/// virtio-net with several pairs of queues on VFIO, and the kernel behind a TAP: <c>scripts/lab.sh --guest-qmp --tap-queues N</c>. A SYN to a port that nobody
/// listens on is answered by a reset, on the pair of queues that the device chooses for the connection.
/// </summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
[Trait("needs", "tap-queues")]
public sealed class QueuesLabTests
{
    // Behind the root port hotplug0, and the subnet of the third TAP (scripts/lab/tap.sh).
    private const string Slot = "0000:01:00.0";
    private const int ConnectionsEach = 8;
    private static readonly Ipv4Address s_own = new(0x0a00_6602), s_peer = new(0x0a00_6601); // 10.0.102.2 and .1
    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(1);

    private readonly int _queues = int.Parse(Environment.GetEnvironmentVariable("XINIM_LAB_TAP_QUEUES") ?? "0", CultureInfo.InvariantCulture);
    private readonly ReceivedBuffer[] _pieces = new ReceivedBuffer[16];
    private MacAddress? _peerMac;
    private uint _sequence;

    public QueuesLabTests() => Assert.SkipUnless(_queues > 1, "several pairs of queues: scripts/lab.sh --guest-qmp --tap-queues 4 -- …");

    [Theory]
    [InlineData("""{ }""")]
    [InlineData("""{ "packed": true }""")]
    [InlineData("""{ "rss": true }""")]
    [InlineData("""{ "packed": true, "rss": true }""")]
    public async Task Frames_come_and_go_on_every_pair_while_drivers_die_and_the_device_is_replugged(string layout)
    {
        using Qmp qemu = new();
        using LabDaemon daemon = new([], others: $$"""{ "device": "{{Slot}}", "name": "plug", {{LabDaemon.NeverGivenUp}} }""");
        bool rss = layout.Contains("rss", StringComparison.Ordinal);
        for (int round = 1; round <= 2; round++)
        {
            (string, JsonNode)[] own = [.. JsonNode.Parse(layout)!.AsObject().Select(property => (property.Key, property.Value!.DeepClone()))];
            qemu.Plug("plugged", "virtio-net-pci", "hotplug0", [("disable-legacy", "on"), ("iommu_platform", true), ("netdev", "net-tap-plug"), ("mq", true), .. own]);
            daemon.Await("plug: generation 1 ready", round);
            IReadOnlyList<NetworkPort> ports = NetworkPort.OpenQueues("plug", _queues, new NetworkPortOptions { AnswerLimit = LabProgram.Limit }, daemon.Socket);
            Assert.Equal((uint)_queues, ports[0].Info.MaxPairs);
            int[] before = Connect(ports, rss);

            Task kill = Task.Run(() => daemon.KillDriver("plug"), TestContext.Current.CancellationToken);
            for (int i = 0; !kill.IsCompleted || ports.Any(port => port.Recoveries == 0); i++) Exchange(ports, i % before.Length, daemon);
            await kill;
            int[] after = Connect(ports, rss);
            // By the table that the next driver gave the device, which is the same.
            if (rss) Assert.Equal(before, after);
            Assert.All(ports, port => Assert.Equal((1u, 2u, 0ul), (port.Recoveries, port.Generation, port.RejectedFrames)));

            qemu.Unplug("plugged");
            NetworkPortException told = Assert.Throws<NetworkPortException>(() => ExchangeUntilTheEnd(ports, daemon));
            Assert.Matches("it was unbound or unplugged|it was unplugged", told.Message);
            foreach (NetworkPort port in ports) port.Dispose();
            daemon.Await($"{Slot} is given up", round);
            qemu.AwaitUnplugged("plugged");
        }

        Assert.Equal(0, daemon.Terminate());

        int[] Connect(IReadOnlyList<NetworkPort> ports, bool spread)
        {
            int[] over = [.. Enumerable.Range(0, ConnectionsEach * _queues).Select(connection => PairOf(ports, connection, spread, daemon))];
            Assert.Equal(Enumerable.Range(0, _queues), over.Distinct().Order());
            return over;
        }
    }

    [Theory]
    [InlineData("0000:00:15.0", 100)]
    [InlineData("0000:00:16.0", 101)]
    public async Task The_command_sends_on_every_pair_over_a_driver_s_death(string address, int subnet)
    {
        using LabDaemon daemon = new([address]);
        Task<string> sending = Task.Run(() => Succeed(daemon, "net", "send", "net0", "--queues", $"{_queues}", "--seconds", "5", "--json"), TestContext.Current.CancellationToken);
        long start = Stopwatch.GetTimestamp();
        while (daemon.Status("net0").GetProperty("counters").GetProperty("txFrames").GetInt64() == 0) Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, $"nothing is sent\n{daemon.Log}");
        daemon.KillDriver("net0");
        using JsonDocument sum = JsonDocument.Parse(await sending);
        JsonElement[] each = [.. sum.RootElement.GetProperty("queues").EnumerateArray()];
        Assert.Equal((_queues, 1u), (each.Length, sum.RootElement.GetProperty("recoveries").GetUInt32()));
        foreach (JsonElement queue in each)
        {
            ulong completed = queue.GetProperty("completed").GetUInt64();
            Assert.Equal((completed, 0ul), (queue.GetProperty("queued").GetUInt64(), queue.GetProperty("rejected").GetUInt64()));
            Assert.InRange(completed, 1ul, ulong.MaxValue);
        }

        Succeed(daemon, "ping", "net0", $"10.0.{subnet}.1", "--source", $"10.0.{subnet}.2/24", "--count", "3", "--quiet");
        (int status, _, string error) = Run(daemon, "net", "send", "net0", "--queues", "8");
        if (_queues < 8) Assert.True(status == 1 && error.Contains($"the device has {_queues} pair(s) of queues, not 8", StringComparison.Ordinal), $"{status}: {error}");
    }

    /// <summary>The pair of queues that a connection's answers come to, again and again.</summary>
    private int PairOf(IReadOnlyList<NetworkPort> ports, int connection, bool spread, LabDaemon daemon)
    {
        int over = Exchange(ports, connection, daemon);
        // The TAP follows what was sent: from the second answer on at the latest, as long as the connection is not forgotten.
        long start = Stopwatch.GetTimestamp();
        while (!spread && over != connection % _queues)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, $"connection {connection} is sent on pair {connection % _queues} and answered on pair {over}");
            over = Exchange(ports, connection, daemon);
        }

        if (spread) Assert.Equal(over, Exchange(ports, connection, daemon));
        return over;
    }

    private void ExchangeUntilTheEnd(IReadOnlyList<NetworkPort> ports, LabDaemon daemon)
    {
        // Bounded by the device's end, or by a question that is not answered.
        for (int i = 0; i < int.MaxValue; i++) Exchange(ports, i % _queues, daemon);
    }

    /// <summary>Sends a SYN on one pair, again where no reset comes.</summary>
    /// <returns>The pair that the reset has come to.</returns>
    private int Exchange(IReadOnlyList<NetworkPort> ports, int connection, LabDaemon daemon)
    {
        NetworkPort port = ports[connection % _queues];
        long start = Stopwatch.GetTimestamp(), sent = 0;
        _sequence++;
        while (true)
        {
            if (sent == 0 || Stopwatch.GetElapsedTime(sent) >= s_again)
            {
                Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, $"connection {connection} is not answered\n{daemon.Log}");
                // Who asks is known to the other side, too.
                Send(port, Question(port.Info.Mac));
                if (_peerMac is { } peer) Send(port, Syn(port.Info.Mac, peer, PortOf(connection)));
                port.Flush();
                sent = _peerMac is null ? 0 : Stopwatch.GetTimestamp();
            }

            port.Wait(TimeSpan.FromMilliseconds(10));
            for (int pair = 0; pair < ports.Count; pair++)
            {
                if (Answers(ports[pair], PortOf(connection))) return pair;
                if (pair != connection % _queues) ports[pair].Wait(TimeSpan.Zero);
            }
        }
    }

    /// <summary>Takes what has come to a pair of queues.</summary>
    /// <returns>True where the reset that is waited for was there.</returns>
    private bool Answers(NetworkPort port, ushort to)
    {
        bool found = false;
        foreach (ReceivedBuffer piece in _pieces.AsSpan(0, (int)port.Receive(_pieces)))
        {
            if (EthernetFrame.TryParse(port.Data(piece), out EthernetFrame frame)) found |= Take(frame, to);
            port.Recycle(piece.Slot);
        }

        port.Flush();
        return found;
    }

    private bool Take(in EthernetFrame frame, ushort to)
    {
        ReadOnlySpan<byte> payload = frame.Payload;
        if (ArpPacket.TryParse(payload, out ArpPacket answer) && answer.Operation == ArpOperation.Reply && answer.Sender == s_peer) _peerMac = answer.SenderMac;
        // RST and ACK, of this very SYN (RFC 9293 §3.5.2).
        return frame.Type == EtherType.Ipv4 && payload.Length >= 40 && payload[9] == 6 && BinaryPrimitives.ReadUInt16BigEndian(payload[22..]) == to
            && payload[33] == 0x14 && BinaryPrimitives.ReadUInt32BigEndian(payload[28..]) == _sequence + 1;
    }

    private static byte[] Question(MacAddress own)
    {
        byte[] frame = new byte[EthernetFrame.MinBytes];
        new ArpPacket(ArpOperation.Request, own, s_own, default, s_peer).Write(EthernetFrame.Write(frame, EthernetFrame.BroadcastMac, own, EtherType.Arp));
        return frame;
    }

    private byte[] Syn(MacAddress own, MacAddress peer, ushort from)
    {
        byte[] frame = new byte[EthernetFrame.MinBytes];
        Span<byte> ip = EthernetFrame.Write(frame, peer, own, EtherType.Ipv4);
        (ip[0], ip[3], ip[8], ip[9]) = (0x45, 40, 64, 6);
        BinaryPrimitives.WriteUInt32BigEndian(ip[12..], s_own.Value);
        BinaryPrimitives.WriteUInt32BigEndian(ip[16..], s_peer.Value);
        BinaryPrimitives.WriteUInt16BigEndian(ip[10..], (ushort)~Packets.Sum(ip[..20]));
        Span<byte> tcp = ip[20..40];
        BinaryPrimitives.WriteUInt16BigEndian(tcp, from);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], 9); // discard
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], _sequence);
        (tcp[12], tcp[13], tcp[14]) = (0x50, 2, 0x10); // header of 20 bytes, SYN, a window
        BinaryPrimitives.WriteUInt16BigEndian(tcp[16..], (ushort)~Packets.Sum(tcp, Packets.Sum(ip[12..20], 6 + 20)));
        return frame;
    }

    private static void Send(NetworkPort port, byte[] frame)
    {
        // All are in use only while no driver is there.
        if (!port.TryRent(out uint slot)) return;
        frame.CopyTo(port.TxMemory(slot));
        port.Send(slot, (uint)frame.Length);
    }

    private static ushort PortOf(int connection) => (ushort)(40_000 + (connection * 7));

    private static (int Status, string Output, string Error) Run(LabDaemon daemon, params string[] arguments) => LabProgram.Run(LabDaemon.Executable, [.. arguments, "--socket", daemon.Socket]);

    private static string Succeed(LabDaemon daemon, params string[] arguments)
    {
        (int status, string output, string error) = Run(daemon, arguments);
        Assert.True(status == 0, $"{output}{error}\n{daemon.Log}");
        return output;
    }
}
