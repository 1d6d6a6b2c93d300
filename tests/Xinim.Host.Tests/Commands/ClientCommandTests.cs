using System.Text.Json;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Status;
using Xinim.TestKit.Net;

namespace Xinim.Host.Tests.Commands;

/// <summary>status, ping and net, with a daemon in this process.</summary>
public sealed class ClientCommandTests
{
    private readonly FakeHost _host = new();

    private static DeviceReport Report(string name, bool iommu) => Reports.Device(name) with { Iommu = iommu };

    [Fact]
    public void Status_shows_each_device_and_names_unsafe_dma()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { StatusJson = new StatusReport(99, 3661.5, [Report("net0", true), Report("net1", false)]).ToJson() };
        Assert.Equal(0, machine.Run("--socket", daemon.Socket, "status"));
        Assert.Equal("daemon 99, up 01:01:01", machine.Lines[0]);
        Assert.Matches(@"^net0 +0000:00:03\.0 +8086:100e +e1000 +4711 +65001 +Ready +3 +2 +up 1000 Mbit/s full duplex +12 +34 +0 +3 +- +IOMMU *$", machine.Lines[2]);
        Assert.DoesNotContain("UNSAFE", machine.Lines[2], StringComparison.Ordinal);
        Assert.EndsWith("UNSAFE DMA", machine.Lines[3].TrimEnd(), StringComparison.Ordinal);
        Assert.Equal("net1: last fault: killed by signal 11", machine.Lines[4]);
    }

    [Fact]
    public void Status_passes_the_daemons_json_on()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { StatusJson = new StatusReport(99, 1, [Report("net0", true)]).ToJson() };
        Assert.Equal(0, machine.Run("status", "--json", "--socket", daemon.Socket));
        Assert.Equal("net0", JsonDocument.Parse(machine.Output.ToString()).RootElement.GetProperty("devices")[0].GetProperty("name").GetString());
        daemon.StatusJson = "not json";
        Assert.Equal(1, machine.Run("status", "--socket", daemon.Socket));
        Assert.Contains("another version", machine.ErrorLine, StringComparison.Ordinal);
    }

    [Fact]
    public void Pings_with_an_address_by_dhcp()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new(new Wire(_host.Answer));
        Assert.Equal(0, machine.Run("ping", "net0", "10.0.2.2", "--count", "3", "--interval", "0", "--timeout", "10", "--socket", daemon.Socket));
        Assert.Equal("PING 10.0.2.2 from 10.0.2.15/24 by 10.0.2.2 (DHCP) over 52:54:00:00:00:01: 56 bytes of data", machine.Lines[0]);
        for (int i = 0; i < 3; i++) Assert.Matches($@"^64 bytes from 10\.0\.2\.2: seq={i} ttl=63 time=\d+\.\d+ ms$", machine.Lines[1 + i]);
        Assert.StartsWith("3 sent, 3 received, 0% lost, 0 duplicate, 0 damaged", machine.Lines[5], StringComparison.Ordinal);
        Assert.Matches(@"^rtt min/avg/max/p99 = [\d./]+ ms$", machine.Lines[6]);
    }

    [Fact]
    public void Pings_as_json_with_an_address_of_ones_own()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new(new Wire(_host.Answer));
        string[] line = ["ping", "net0", "8.8.8.8", "--source", "10.0.2.20/24", "--gateway", "10.0.2.2", "--count", "2", "--interval", "0", "--timeout", "0.05", "--size", "0", "--json"];
        // The fake host answers as itself, whoever was asked: nothing for 8.8.8.8.
        Assert.Equal(1, machine.Run([.. line, "--socket", daemon.Socket]));
        JsonElement sum = JsonDocument.Parse(machine.Output.ToString()).RootElement;
        Assert.Equal(("8.8.8.8", "10.0.2.20", 2, 0, 2), (sum.GetProperty("host").GetString(), sum.GetProperty("source").GetString(), sum.GetProperty("transmitted").GetInt32(), sum.GetProperty("received").GetInt32(), sum.GetProperty("lost").GetInt32()));
        Assert.Equal(JsonValueKind.Null, sum.GetProperty("rttMin").ValueKind);
    }

    [Fact]
    public void Ping_fails_where_nobody_answers()
    {
        using FakeMachine machine = new();
        _host.Replies = 0;
        using FakeDaemon daemon = new(new Wire(_host.Answer));
        Assert.Equal(1, machine.Run("ping", "net0", "10.0.2.2", "--source", "10.0.2.20/24", "--count", "1", "--timeout", "0.02", "--quiet", "--socket", daemon.Socket));
        Assert.StartsWith("1 sent, 0 received, 100% lost", machine.Lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_is_not_there_or_taken_is_one_line()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new();
        Assert.Equal(1, machine.Run("net", "dump", "net9", "--socket", daemon.Socket));
        Assert.Equal("xinim: there is no device 'net9'; the daemon has net0", machine.ErrorLine);
    }

    [Fact]
    public void Sends_and_says_how_fast()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new(new Wire());
        Assert.Equal(0, machine.Run("net", "send", "net0", "--count", "5000", "--stamp", "--size", "128", "--json", "--socket", daemon.Socket));
        JsonElement sum = JsonDocument.Parse(machine.Output.ToString()).RootElement;
        Assert.Equal((5000, 5000, 128), (sum.GetProperty("queued").GetInt32(), sum.GetProperty("completed").GetInt32(), sum.GetProperty("size").GetInt32()));
        Assert.True(sum.GetProperty("packetsPerSecond").GetDouble() > 0);
        Assert.Equal(0, machine.Run("net", "send", "net0", "--seconds", "0.05", "--rate", "1000", "--socket", daemon.Socket));
        Assert.Matches(@"frames queued, \d+ sent, 0 refused in .* pps, .* Mbit/s, \d+ waits", machine.Output.ToString());
    }

    [Fact]
    public void Sends_on_several_pairs_of_queues_and_says_the_sum_and_each()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new(new Wire());
        Assert.Equal(0, machine.Run("net", "send", "net0", "--queues", "3", "--count", "5000", "--stamp", "--json", "--socket", daemon.Socket));
        JsonElement sum = JsonDocument.Parse(machine.Output.ToString()).RootElement;
        Assert.Equal((5000, 5000), (sum.GetProperty("queued").GetInt32(), sum.GetProperty("completed").GetInt32()));
        Assert.Equal([1667, 1667, 1666], sum.GetProperty("queues").EnumerateArray().Select(queue => queue.GetProperty("completed").GetInt32()));
        Assert.Equal(3, daemon.Nics.Count);
    }

    [Fact]
    public void Receives_what_comes_to_any_pair_of_queues()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new(new ChattyWire(Enumerable.Range(0, 12).Select(number => (byte[])[(byte)number, 2, 3])));
        Assert.Equal(0, machine.Run("net", "receive", "net0", "--queues", "3", "--count", "12", "--seconds", "30", "--json", "--socket", daemon.Socket));
        JsonElement sum = JsonDocument.Parse(machine.Output.ToString()).RootElement;
        Assert.Equal(12, sum.GetProperty("frames").GetInt32());
        Assert.Equal([4, 4, 4], sum.GetProperty("queues").EnumerateArray().Select(queue => queue.GetProperty("frames").GetInt32()));
    }

    [Fact]
    public void Counts_frames_by_what_their_hash_is_of()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new(new ChattyWire([[4, 2, 3], [1, 2, 3], [4, 2, 3]], hashed: true));
        daemon.Info = daemon.Info with { Able = NetworkWishes.ReceiveHash };
        Assert.Equal(0, machine.Run("net", "receive", "net0", "--hash", "--count", "3", "--seconds", "30", "--json", "--socket", daemon.Socket));
        JsonElement hashes = JsonDocument.Parse(machine.Output.ToString()).RootElement.GetProperty("hashes");
        Assert.Equal([("Ipv4", 1), ("Ipv6", 2)], hashes.EnumerateObject().Select(kind => (kind.Name, kind.Value.GetInt32())).Order());
        Assert.Equal(NetworkWishes.ReceiveHash, daemon.Wishes);
    }

    [Fact]
    public void Says_in_words_what_hashes_are_of()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new(new ChattyWire([[1, 2, 3], [1, 2, 3]], hashed: true));
        daemon.Info = daemon.Info with { Able = NetworkWishes.ReceiveHash };
        Assert.Equal(0, machine.Run("net", "receive", "net0", "--hash", "--count", "2", "--seconds", "30", "--socket", daemon.Socket));
        Assert.EndsWith("; hashes of Ipv4: 2", machine.Lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void Hashes_of_a_nic_that_tells_none_are_refused_with_what_would()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new();
        Assert.Equal(1, machine.Run("net", "receive", "net0", "--hash", "--socket", daemon.Socket));
        Assert.Equal("xinim: net0 tells no hashes; a virtio NIC does that offers VIRTIO_NET_F_HASH_REPORT (QEMU: hash=on)", machine.ErrorLine);
    }

    [Fact]
    public void A_line_of_the_dump_names_the_pair_of_queues()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new(new ChattyWire([[1, 2, 3], [1, 2, 3]]));
        Assert.Equal(0, machine.Run("net", "dump", "net0", "--queues", "2", "--count", "2", "--seconds", "30", "--socket", daemon.Socket));
        Assert.Equal([" queue 0 raw 3 010203", " queue 1 raw 3 010203"], machine.Lines.Select(line => line[line.IndexOf(' ', StringComparison.Ordinal)..]).Order());
        Assert.Equal("2 frames", machine.ErrorLine);
    }

    [Fact]
    public async Task The_end_of_the_device_ends_all_threads_with_one_line()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new();
        Task<int> command = Task.Run(() => machine.Run("net", "receive", "net0", "--queues", "4", "--socket", daemon.Socket), TestContext.Current.CancellationToken);
        Assert.True(SpinWait.SpinUntil(() => daemon.Filters is not null, TimeSpan.FromSeconds(60)));
        daemon.CloseDevice("unplugged");
        Assert.Equal(1, await command.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken));
        Assert.Equal("xinim: unplugged", machine.ErrorLine);
    }

    [Fact]
    public void Receives_with_the_test_address_and_in_promiscuous_mode()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new();
        Assert.Equal(0, machine.Run("net", "receive", "net0", "--seconds", "0.02", "--verify", "--promiscuous", "--json", "--socket", daemon.Socket));
        JsonElement sum = JsonDocument.Parse(machine.Output.ToString()).RootElement;
        Assert.Equal((0, 0), (sum.GetProperty("frames").GetInt32(), sum.GetProperty("verification").GetProperty("stamped").GetInt32()));
        Assert.Equal(NetworkFilterFlags.Promiscuous, daemon.Filters!.Value.Flags);
        Assert.Equal("02:58:49:4e:49:4d", daemon.Filters.Value.Unicast[0].ToString());
    }

    [Fact]
    public void Dumps_frames_and_writes_them_down()
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new(new ChattyWire([FakeHost.ArpRequest("10.0.2.15"), [1, 2, 3]]));
        string file = Path.GetTempFileName();
        try
        {
            Assert.Equal(0, machine.Run("net", "dump", "net0", "--count", "2", "--seconds", "30", "--write", file, "--socket", daemon.Socket));
            Assert.EndsWith("ARP 42 who has 10.0.2.15? tell 10.0.2.2", machine.Lines[0], StringComparison.Ordinal);
            Assert.EndsWith(" raw 3 010203", machine.Lines[1], StringComparison.Ordinal);
            Assert.Equal("2 frames", machine.ErrorLine);
            Assert.Equal(24 + 16 + 42 + 16 + 3, new FileInfo(file).Length);
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>Delivers frames as soon as there is room for them, to one pair of queues after the other.</summary>
    /// <param name="hashed">Each frame's first byte says what its hash is of.</param>
    private sealed class ChattyWire(IEnumerable<byte[]> frames, bool hashed = false) : Wire
    {
        private readonly Queue<byte[]> _frames = new(frames);
        private uint _delivered;

        public override bool Poll(FakeNic nic)
        {
            bool moved = base.Poll(nic);
            for (; _delivered % nic.Shape.Pairs == nic.Pair && _frames.TryPeek(out byte[]? frame) && nic.Deliver(frame, hashed ? (7, (HashKind)frame[0]) : null); _delivered++) _frames.Dequeue();
            return moved;
        }
    }
}
