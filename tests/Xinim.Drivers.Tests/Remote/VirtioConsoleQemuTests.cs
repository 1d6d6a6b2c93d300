using System.Net.Sockets;
using System.Text;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Fakes;
using Xinim.TestKit.Remote;
using Xunit;

namespace Xinim.Drivers.Tests.Remote;

/// <summary>The driver on QEMU's own virtio-serial; QEMU's names of the cases where it has them.</summary>
[Trait("needs", "qemu")]
public sealed class VirtioConsoleQemuTests
{
    private const int Limit = 10_000;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Nop(bool console)
    {
        using QemuSerial serial = new(console, ["org.xinim.0"]);
        serial.Start(1);
        ConsolePortInfo port = Assert.Single(serial.Ports.Values);
        Assert.Equal(console ? 0u : 1u, port.Id);
        serial.PollUntil(() => serial.Ports[port.Id].Name.ToString() == "org.xinim.0", "its name");
        serial.PollUntil(() => serial.Ports[port.Id].Has(ConsolePortFlags.Console) == console, "its kind");
        Assert.Equal(console, serial.Ports[port.Id].Has(ConsolePortFlags.HostOpen));
        serial.Driver.Stop();
    }

    [Theory]
    [InlineData(true, "")]
    [InlineData(false, "")]
    [InlineData(false, "event_idx=off")]
    [InlineData(false, "packed=on")]
    public void Send_recv(bool console, string property)
    {
        KeyValuePair<string, string>[] properties = property.Length == 0 ? [] : [KeyValuePair.Create(property.Split('=')[0], property.Split('=')[1])];
        using QemuSerial serial = new(console, ["org.xinim.0"], properties);
        serial.Start(1);
        uint port = serial.Ports.Keys.Single();
        using Socket other = serial.Connect(0);
        FakeConsoleClient client = serial.Attach(port);
        serial.PollUntil(() => serial.Ports[port].Has(ConsolePortFlags.HostOpen), "the other side is there");
        byte[] request = Stream(1, 3000), answer = Stream(2, 50_000);
        client.Send(request);
        Assert.Equal(request, Receive(serial, other, request.Length));
        int sent = 0;
        other.Blocking = false;
        serial.PollUntil(() => (sent += Offer(other, answer.AsSpan(sent))) >= 0 && client.Received.Count == answer.Length, "all bytes have come");
        Assert.Equal(answer, client.Received);
        serial.PollUntil(() => client.Unacknowledged == 0 && !serial.Driver.TxBusy, "all bytes are acknowledged");
        Assert.Equal((3000ul, 50_000ul), (serial.Driver.Statistics.TxBytes, serial.Driver.Statistics.RxBytes));
    }

    [Fact]
    public void Nothing_is_lost_while_the_other_side_is_closed()
    {
        using QemuSerial serial = new(console: false, ["a"]);
        serial.Start(1);
        FakeConsoleClient client = serial.Attach(1);
        byte[] bytes = Stream(3, 40_000);
        client.Send(bytes);
        for (int i = 0; i < 100; i++) serial.Poll();
        Assert.Equal(bytes.Length, client.Unacknowledged);
        using Socket other = serial.Connect(0);
        Assert.Equal(bytes, Receive(serial, other, bytes.Length));
    }

    [Fact]
    public void A_client_that_does_not_read_stops_the_other_side()
    {
        using QemuSerial serial = new(console: false, ["a"]);
        serial.Start(1);
        using Socket other = serial.Connect(0);
        other.Blocking = false;
        FakeConsoleClient client = serial.Attach(1);
        client.Reads = false;
        byte[] bytes = Stream(4, 4 << 20);
        int sent = 0, still = 0;
        // The ring, the device's buffers and the socket are full when nothing moves any more.
        serial.PollUntil(
            () =>
            {
                int now = Offer(other, bytes.AsSpan(sent));
                sent += now;
                still = now == 0 ? still + 1 : 0;
                return still > 200;
            },
            "the other side has to wait");
        Assert.InRange(sent, 1, bytes.Length - 1);
        client.Reads = true;
        serial.PollUntil(() => (sent += Offer(other, bytes.AsSpan(sent))) >= 0 && client.Received.Count == bytes.Length, "all bytes have come", 30_000);
        Assert.Equal(bytes, client.Received);
    }

    [Fact]
    public void A_port_of_several_has_a_client_of_its_own()
    {
        using QemuSerial serial = new(console: true, ["", "one", "two"]);
        serial.Start(3);
        Socket[] others = [.. Enumerable.Range(0, 3).Select(serial.Connect)];
        FakeConsoleClient[] clients = [.. Enumerable.Range(0, 3).Select(i => serial.Attach((uint)i, (ulong)i + 1))];
        for (int i = 0; i < 3; i++) clients[i].Send(Encoding.ASCII.GetBytes($"to {i}"));
        for (int i = 0; i < 3; i++) Assert.Equal($"to {i}", Encoding.ASCII.GetString(Receive(serial, others[i], 4)));
        for (int i = 0; i < 3; i++) others[i].Send(Encoding.ASCII.GetBytes($"from {i}"));
        serial.PollUntil(() => clients.All(client => client.Received.Count == 6), "all have come");
        for (int i = 0; i < 3; i++) Assert.Equal($"from {i}", Encoding.ASCII.GetString([.. clients[i].Received]));
        foreach (Socket other in others) other.Dispose();
    }

    [Fact]
    public void The_next_client_hears_nothing_of_the_last_one()
    {
        using QemuSerial serial = new(console: false, ["a"]);
        serial.Start(1);
        using Socket other = serial.Connect(0);
        FakeConsoleClient client = serial.Attach(1, 1);
        client.Reads = false;
        other.Send("for the first"u8);
        serial.PollUntil(() => client.Rings.Received.Peek(1) != 0, "it has come");
        other.Send(", unread"u8);
        serial.Driver.Close(1);
        serial.Clients.Remove(1);
        client.Dispose();
        FakeConsoleClient next = serial.Attach(1, 2);
        other.Send("for the second"u8);
        serial.PollUntil(() => Encoding.ASCII.GetString([.. next.Received]).EndsWith("for the second", StringComparison.Ordinal), "its own comes");
        Assert.DoesNotContain("first", Encoding.ASCII.GetString([.. next.Received]), StringComparison.Ordinal);
    }

    /// <summary>The driver dies again and again at any point of the exchange, and nobody but the supervisor notices.</summary>
    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    public void Streams_go_on_where_a_driver_died(int seed)
    {
        Random random = new(seed);
        using QemuSerial serial = new(console: false, ["a"]);
        serial.Start(1);
        using Socket other = serial.Connect(0);
        other.Blocking = false;
        FakeConsoleClient client = serial.Attach(1);
        byte[] there = Stream(seed, 60_000), back = Stream(seed + 100, 60_000), arrived = new byte[70_000], piece = new byte[8192];
        client.Send(there);
        int got = 0, sent = 0, deaths = 0;
        while (got < there.Length || client.Received.Count < back.Length)
        {
            Assert.True(deaths < 5000, $"seed {seed}: {got} arrived there, {client.Received.Count} came back");
            for (int round = random.Next(1, 12); round > 0; round--)
            {
                sent += Offer(other, back.AsSpan(sent, Math.Min(back.Length - sent, random.Next(1, 3000))));
                client.Reads = random.Next(3) != 0;
                serial.Poll();
                int count = other.Available == 0 ? 0 : other.Receive(piece);
                piece.AsSpan(0, count).CopyTo(arrived.AsSpan(got));
                got += count;
            }

            deaths++;
            serial.Reincarnate();
            serial.Start(1);
            _ = serial.Attach(1);
        }

        Assert.Equal(there, arrived[..got]);
        Assert.Equal(back, client.Received);
        Assert.True(deaths > 5, $"seed {seed}: only {deaths} deaths");
    }

    private static byte[] Stream(int seed, int length)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Sends what the socket takes.</summary>
    private static int Offer(Socket socket, ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) return 0;
        int sent = socket.Send(bytes, SocketFlags.None, out SocketError error);
        return error == SocketError.Success ? sent : 0;
    }

    private static byte[] Receive(QemuSerial serial, Socket other, int length)
    {
        byte[] bytes = new byte[length];
        int done = 0;
        serial.PollUntil(
            () =>
            {
                if (other.Available != 0) done += other.Receive(bytes, done, length - done, SocketFlags.None);
                return done == length;
            },
            $"{length} bytes",
            Limit);
        return bytes;
    }
}
