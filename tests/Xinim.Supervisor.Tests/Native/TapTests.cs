using System.Buffers.Binary;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;
using Xinim.TestKit;
using Xinim.TestKit.Net;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>QEMU's virtio-net on a TAP interface: the kernel sends frames that nobody has cut, and uses several queues.</summary>
[Trait("needs", "qemu")]
public sealed class TapTests
{
    private const ushort Ipv4 = 0x0800;
    private static readonly NetworkPortOptions s_usual = new() { TxBuffers = 256, RxBuffers = 256, AnswerLimit = Machine.Limit };

    [Fact]
    public void What_the_kernel_has_not_cut_arrives_whole_where_the_client_wants_it_and_cut_where_it_does_not()
    {
        using TapNetwork tap = Make(1);
        using DaemonProcess daemon = new(Device(tap, ""));
        byte[] uncut = Packets.Ip(20_000, complete: false);
        using (NetworkPort large = NetworkPort.Open("net0", s_usual with { LargeReceive = true }, daemon.Socket))
        {
            ReceivedBuffer[] pieces = AwaitFrame(large, () => tap.SendUncut(uncut, 1448));
            Assert.Equal(10, pieces.Length);
            Assert.Equal(NetFlags.Segment | NetFlags.TcpChecksum | NetFlags.More, pieces[0].Flags);
            Assert.Equal((ushort)1448, large.SegmentsOf(pieces[0]).Size);
            Assert.Equal(NetFlags.PartialChecksum, pieces[^1].Flags & ~NetFlags.Lead);
            byte[] received = [.. pieces.SelectMany(piece => large.Data(piece).ToArray())];
            Assert.Equal(uncut[34..], received[34..]);
        }

        using NetworkPort plain = NetworkPort.Open("net0", s_usual, daemon.Socket);
        ReceivedBuffer first = Assert.Single(AwaitFrame(plain, () => tap.SendUncut(uncut, 1448)));
        Assert.Equal((14u + 20 + 20 + 1448, NetFlags.None), (first.Length, first.Flags));
    }

    [Theory]
    [InlineData("off")]
    [InlineData("on")]
    public void Frames_come_over_all_pairs_of_queues_those_of_a_connection_over_one_while_drivers_die(string rss)
    {
        const int queues = 2, connections = 16;
        using TapNetwork tap = Make(queues);
        using DaemonProcess daemon = new(Device(tap, $"\"mq\": \"on\", \"rss\": \"{rss}\","));
        IReadOnlyList<NetworkPort> ports = NetworkPort.OpenQueues("net0", queues, s_usual, daemon.Socket);
        for (int life = 0; life < 3; life++)
        {
            int[] over = new int[connections];
            for (int connection = 0; connection < connections; connection++)
            {
                // The NIC speaks first: without RSS an answer comes where its question was sent from.
                Send(ports[connection % queues], Packet(connection, answer: false));
                Until(ports, () => TakesFromTap(tap, connection), $"packet of connection {connection} is sent");
                over[connection] = AwaitAnswer(ports, tap, connection);
                for (int again = 0; again < 5; again++) Assert.Equal(over[connection], AwaitAnswer(ports, tap, connection));
            }

            Assert.Equal(Enumerable.Range(0, queues), over.Distinct().Order());
            uint before = ports.Max(port => port.Recoveries);
            daemon.KillDrivers(1, TimeSpan.Zero);
            Until(ports, () => ports.All(port => port.Recoveries > before), "the next driver serves");
        }

        foreach (NetworkPort port in ports) port.Dispose();
    }

    /// <summary>Of the addresses and results with which Microsoft's "Verifying the RSS hash calculation" shows the Toeplitz hash; QEMU is what makes it here.</summary>
    [Fact]
    public void Frames_come_with_the_device_s_hash_also_from_the_next_driver()
    {
        using TapNetwork tap = Make(1);
        using DaemonProcess daemon = new(Device(tap, "\"hash\": \"on\","));
        using NetworkPort port = NetworkPort.Open("net0", s_usual with { ReceiveHash = true }, daemon.Socket);
        for (int life = 0; life < 2; life++)
        {
            foreach ((byte protocol, uint value, HashKind kind) in ((byte, uint, HashKind)[])[(6, 0x51cc_c178, HashKind.TcpIpv4), (17, 0x51cc_c178, HashKind.UdpIpv4), (1, 0x323e_8fc2, HashKind.Ipv4)])
            {
                byte[] frame = Hashed(protocol);
                ReceivedBuffer last = AwaitFrame(port, () => tap.Send(frame))[^1];
                while (!port.Data(last).SequenceEqual(frame)) last = AwaitNext(port, last);
                Assert.Equal(new FrameHash(value, kind), port.HashOf(last));
                port.Recycle(last.Slot);
            }

            uint before = port.Recoveries;
            daemon.KillDrivers(1, TimeSpan.Zero);
            Machine.Until(port, () => port.Recoveries > before, "the next driver serves");
        }
    }

    private static ReceivedBuffer AwaitNext(NetworkPort port, in ReceivedBuffer former)
    {
        port.Recycle(former.Slot);
        return AwaitFrame(port, () => { })[^1];
    }

    /// <summary>From 66.9.149.187:2794 to 161.142.100.80:1766.</summary>
    private static byte[] Hashed(byte protocol)
    {
        byte[] frame = Packets.Ip(40, udp: protocol == 17);
        ((ReadOnlySpan<byte>)[66, 9, 149, 187, 161, 142, 100, 80]).CopyTo(frame.AsSpan(26));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(34), 2794);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(36), 1766);
        frame[23] = protocol;
        return frame;
    }

    private static TapNetwork Make(int queues)
    {
        try
        {
            return new TapNetwork(Ipv4, queues);
        }
        catch (InvalidOperationException refused)
        {
            Assert.Skip(refused.Message);
            throw;
        }
    }

    private static string Device(TapNetwork tap, string properties) => $$"""
        { "device": "remote:virtio-net-pci", "netdev": "{{tap.Netdev}}", "properties": { {{properties}} "mac": "52:54:00:12:34:56" }, {{DaemonProcess.NeverGivenUp}} }
        """;

    /// <summary>Sends again until a frame has come: the model takes none before the driver has.</summary>
    private static ReceivedBuffer[] AwaitFrame(NetworkPort port, Action send)
    {
        ReceivedBuffer[] into = new ReceivedBuffer[64];
        long sent = 0;
        uint count = 0;
        Machine.Until(
            port,
            () =>
            {
                if (Environment.TickCount64 - sent > 200)
                {
                    send();
                    sent = Environment.TickCount64;
                }

                return (count = port.Receive(into)) != 0;
            },
            "a frame has come");
        int first = Array.FindIndex(into, piece => (piece.Flags & NetFlags.More) == 0) + 1;
        return into[..first];
    }

    /// <returns>The port that it came to.</returns>
    private static int AwaitAnswer(IReadOnlyList<NetworkPort> ports, TapNetwork tap, int connection)
    {
        byte[] answer = Packet(connection, answer: true);
        tap.Send(answer);
        int at = -1;
        Until(ports, () => (at = Array.FindIndex([.. ports], port => Frames.TryReceive(port) is { } frame && frame.AsSpan().SequenceEqual(answer))) >= 0, $"an answer to connection {connection}");
        return at;
    }

    private static bool TakesFromTap(TapNetwork tap, int connection)
    {
        while (tap.TryReceive() is { } frame)
        {
            if (BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(34)) == PortOf(connection)) return true;
        }

        return false;
    }

    private static void Send(NetworkPort port, byte[] frame)
    {
        Frames.Send(port, frame);
        port.Flush();
    }

    private static ushort PortOf(int connection) => (ushort)(40_000 + (connection * 7));

    /// <summary>UDP between two addresses, a port of the NIC's for each connection.</summary>
    private static byte[] Packet(int connection, bool answer)
    {
        byte[] frame = Packets.Ip(100, udp: true, seed: connection);
        ReadOnlySpan<byte> nic = [10, 9, 8, 1], peer = [10, 9, 8, 2];
        (answer ? peer : nic).CopyTo(frame.AsSpan(26));
        (answer ? nic : peer).CopyTo(frame.AsSpan(30));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(answer ? 36 : 34), PortOf(connection));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(answer ? 34 : 36), 53);
        return frame;
    }

    private static void Until(IReadOnlyList<NetworkPort> ports, Func<bool> condition, string what) => Machine.Until(
        ports[0],
        () =>
        {
            foreach (NetworkPort port in ports.Skip(1)) port.Wait(TimeSpan.Zero);
            return condition();
        },
        what);
}
