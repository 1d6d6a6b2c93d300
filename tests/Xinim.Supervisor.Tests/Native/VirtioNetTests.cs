using Xinim.Net.Ports;
using Xinim.TestKit.Virtio;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>Virtio NICs of the published daemon, one of QEMU's and one of DPDK's: numbered frames both ways while drivers and back ends die.</summary>
[Trait("needs", "qemu")]
public sealed class VirtioNetTests : IDisposable
{
    /// <summary>Frames under way at a time: as many as the wire's buffer holds for sure.</summary>
    private const uint Window = 32;

    private const int Length = 400;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-net-");

    private string Back => Path.Combine(_folder.FullName, "net.sock");

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData("true")]
    [InlineData("false")]
    public void Nothing_is_lost_that_a_dying_driver_had_and_nothing_at_all_between_two_deaths(string packed)
    {
        using Wire wire = new();
        using DaemonProcess daemon = new($$"""
            { "device": "remote:virtio-net-pci", "netdev": "{{wire.Netdev}}", "properties": { "mac": "52:54:00:12:34:56", "packed": "on" }, "options": { "packed": {{packed}} }, {{DaemonProcess.NeverGivenUp}} }
            """);
        using NetworkPort port = Open(daemon);
        Traffic traffic = new(port, wire, daemon);
        for (uint life = 1; life <= 40; life++)
        {
            traffic.Exchange();
            // It dies with a window under way in each direction, and some drivers do before they have served.
            traffic.Begin();
            daemon.KillDrivers(life % 4 == 0 ? 2 : 1, TimeSpan.Zero);
            uint before = port.Recoveries;
            Machine.Until(port, () => traffic.Step() && port.Recoveries > before, "the next driver serves");
            traffic.Settle();
        }

        traffic.Exchange();
        Machine.Until(port, () => port.TxIdle, "every buffer has come back");
        Assert.Equal(0ul, port.RejectedFrames);
        Assert.True(port.Recoveries >= 40, $"{port.Recoveries} recoveries\n{daemon}");
    }

    [Fact]
    public void A_virtual_switch_counts_as_many_frames_as_were_sent_and_sends_them_back()
    {
        const uint count = 4096;
        using VirtualSwitch back = new(Back, "macswap");
        using DaemonProcess daemon = new($$"""{ "device": "vhost-user-net:{{Back}}" }""");
        using NetworkPort port = Open(daemon);
        for (uint first = 0; first < count; first += Window) Echo(port, first);
        Assert.Equal((count, count), (port.SentFrames, port.GetStatistics().RxFrames));
        Machine.Until(port, () => back.Taken >= count, "the back end says what it has taken");
        Assert.Equal(count, back.Taken);
        Assert.Equal(0u, port.Recoveries);
    }

    [Fact]
    public void A_back_end_that_dies_under_traffic_is_nothing_that_a_client_notices()
    {
        using DaemonProcess daemon = new($$"""{ "device": "vhost-user-net:{{Back}}", {{DaemonProcess.NeverGivenUp}} }""", wait: false);
        NetworkPort? port = null;
        uint next = 0;
        try
        {
            for (int life = 0; life < 3; life++)
            {
                using VirtualSwitch back = new(Back, "macswap");
                port ??= Open(daemon);
                for (int driver = 0; driver < 3; driver++)
                {
                    AwaitEcho(port, ref next);
                    for (int round = 0; round < 20; round++, next += Window) Echo(port, next);
                    // A window is under way when driver or back end dies.
                    for (uint i = 0; i < Window; i++) Frames.Send(port, Frames.Make(next++, Length));
                    port.Flush();
                    if (driver == 2) break;
                    uint before = port.Recoveries;
                    daemon.KillDrivers(1, TimeSpan.Zero);
                    Machine.Until(port, () => port.Recoveries > before, "the next driver serves");
                }
            }

            Assert.True(port!.Recoveries >= 8, $"{port.Recoveries} recoveries\n{daemon}");
            Assert.Equal(0ul, port.RejectedFrames);
        }
        finally
        {
            port?.Dispose();
        }
    }

    [Fact]
    public void Frames_of_several_buffers_come_back_whole_while_drivers_die()
    {
        const int jumbo = 9000;
        using VirtualSwitch back = new(Back, "macswap");
        using DaemonProcess daemon = new($$"""{ "device": "vhost-user-net:{{Back}}", {{DaemonProcess.NeverGivenUp}} }""");
        using NetworkPort port = NetworkPort.Open("net0", new NetworkPortOptions { TxBuffers = 256, RxBuffers = 256, AnswerLimit = Machine.Limit, LargeReceive = true }, daemon.Socket);
        Assert.Equal(Ipc.Protocols.NetworkWishes.LargeReceive, port.Info.Able);
        port.SetFilters(new Ipc.Protocols.NetworkFilters { MaxFrame = jumbo + 18 });
        uint next = 0;
        for (int life = 0; life < 4; life++)
        {
            AwaitEcho(port, ref next);
            for (int round = 0; round < 100; round++, next += 8)
            {
                for (uint i = 0; i < 8; i++) Frames.Send(port, Frames.Make(next + i, jumbo - (int)(i * 1000)));
                port.Flush();
                for (uint i = 0; i < 8; i++)
                {
                    byte[] frame = Frames.Receive(port);
                    while (Frames.NumberOf(frame) < next) frame = Frames.Receive(port);
                    Assert.Equal(Frames.Make(next + i, jumbo - (int)(i * 1000)), Swapped(frame));
                }
            }

            for (uint i = 0; i < 8; i++) Frames.Send(port, Frames.Make(next++, jumbo));
            port.Flush();
            uint before = port.Recoveries;
            daemon.KillDrivers(1, TimeSpan.Zero);
            Machine.Until(port, () => port.Recoveries > before, "the next driver serves");
        }

        Assert.Equal(0ul, port.RejectedFrames);
    }

    [Fact]
    public void Threads_with_a_pair_of_queues_each_get_their_own_frames_back_while_drivers_die()
    {
        const int queues = 2, lives = 6;
        using VirtualSwitch back = new(Back, "macswap", queues);
        using DaemonProcess daemon = new($$"""{ "device": "vhost-user-net:{{Back}}", {{DaemonProcess.NeverGivenUp}} }""");
        IReadOnlyList<NetworkPort> ports = NetworkPort.OpenQueues("net0", queues, new NetworkPortOptions { TxBuffers = 256, RxBuffers = 256, AnswerLimit = Machine.Limit }, daemon.Socket);
        using Barrier together = new(queues + 1);
        Exception?[] failures = new Exception?[queues];
        Thread[] threads = [.. ports.Select((port, queue) => new Thread(() => failures[queue] = Record.Exception(() => EchoOverLives(port, (uint)queue, lives, together))))];
        foreach (Thread thread in threads) thread.Start();
        // Both are in the middle of it.
        for (int life = 0; life < lives && together.SignalAndWait(Machine.Limit, TestContext.Current.CancellationToken); life++) daemon.KillDrivers(1, TimeSpan.Zero);
        Assert.All(threads, thread => Assert.True(thread.Join(Machine.Limit), $"a thread does not end\n{daemon}"));
        Assert.All(failures, Assert.Null);
        Assert.All(ports, port => Assert.Equal(0ul, port.RejectedFrames));
        foreach (NetworkPort port in ports) port.Dispose();
    }

    /// <summary>Frames of this queue come back on it and no others do.</summary>
    private static void EchoOverLives(NetworkPort port, uint queue, int lives, Barrier together)
    {
        uint next = queue << 24;
        for (int life = 0; life < lives; life++)
        {
            AwaitEcho(port, ref next);
            for (int round = 0; round < 20; round++, next += Window) Echo(port, next);
            uint before = port.Recoveries;
            Assert.True(together.SignalAndWait(Machine.Limit), "the other thread is here, too");
            Machine.Until(
                port,
                () =>
                {
                    while (Frames.TryReceive(port) is { } frame) Assert.Equal(queue, Frames.NumberOf(frame) >> 24);
                    return port.Recoveries > before;
                },
                "the next driver serves");
        }
    }

    private static NetworkPort Open(DaemonProcess daemon) => NetworkPort.Open("net0", new NetworkPortOptions { TxBuffers = 256, RxBuffers = 256, AnswerLimit = Machine.Limit }, daemon.Socket);

    /// <summary>Sends a window of frames, which come back in order and byte for byte but for their addresses.</summary>
    private static void Echo(NetworkPort port, uint first)
    {
        for (uint number = first; number < first + Window; number++) Frames.Send(port, Frames.Make(number, Frames.LengthOf(number)));
        port.Flush();
        for (uint number = first; number < first + Window; number++)
        {
            byte[] frame = Frames.Receive(port);
            // What was under way when a driver died may come late.
            while (Frames.NumberOf(frame) < first) frame = Frames.Receive(port);
            Assert.Equal(Frames.Make(number, Frames.LengthOf(number)), Swapped(frame));
        }
    }

    /// <summary>Sends frames until one comes back: a back end that has just come takes none at first.</summary>
    private static void AwaitEcho(NetworkPort port, ref uint next)
    {
        uint first = next, number = next;
        Machine.Until(
            port,
            () =>
            {
                if (number - first < 10_000 && port.TryRent(out uint slot))
                {
                    Frames.Make(number++, Length).CopyTo(port.TxMemory(slot));
                    port.Send(slot, (uint)Length);
                    port.Flush();
                }

                while (Frames.TryReceive(port) is { } frame)
                {
                    if (Frames.NumberOf(frame) >= first) return true;
                }

                return false;
            },
            "a frame comes back");
        next = number;
    }

    private static byte[] Swapped(byte[] frame) => [.. frame.AsSpan(6, 6), .. frame.AsSpan(0, 6), .. frame.AsSpan(12)];

    /// <summary>Numbered frames both ways, a window each at a time.</summary>
    private sealed class Traffic(NetworkPort port, Wire wire, DaemonProcess daemon)
    {
        private readonly HashSet<uint> _arrived = [];
        private uint _sent;
        private uint _whole;
        private uint _offered;
        private long _received = -1;

        /// <summary>Sends a window each way, all of which arrives: no driver dies.</summary>
        public void Exchange()
        {
            uint taken = 0;
            Begin();
            Machine.Until(port, () => Step(ref taken) && _whole == _sent && taken == Window, $"a window has arrived each way\n{daemon}");
        }

        /// <summary>Sends a window each way.</summary>
        public void Begin()
        {
            for (uint i = 0; i < Window; i++) Frames.Send(port, Frames.Make(_sent++, Length));
            port.Flush();
            for (uint i = 0; i < Window; i++) wire.Send(Frames.Make(_offered++, Length));
        }

        /// <summary>Takes what has come: frames from the NIC may come again, to it in order and once, and both unharmed.</summary>
        public bool Step()
        {
            uint taken = 0;
            return Step(ref taken);
        }

        /// <summary>All that was sent has arrived, and the NIC receives again; a wire has no acknowledgement, and what came between two drivers is lost.</summary>
        public void Settle()
        {
            uint first = _offered;
            long offered = 0;
            Machine.Until(
                port,
                () =>
                {
                    if (Environment.TickCount64 - offered > 20 && _received < first)
                    {
                        offered = Environment.TickCount64;
                        wire.Send(Frames.Make(_offered++, Length));
                    }

                    return Step() && _whole == _sent && _received >= first;
                },
                $"frames pass both ways again\n{daemon}");
            // Nothing is on its way any more when the last that was offered has come.
            Machine.Until(port, () => Step() && _received == _offered - 1, "the last one has come");
        }

        private bool Step(ref uint taken)
        {
            port.Collect();
            while (wire.Receive(TimeSpan.Zero) is { Length: > 0 } frame)
            {
                uint number = Frames.NumberOf(frame);
                Assert.True(number < _sent && frame.SequenceEqual(Frames.Make(number, Length)), $"frame {number} arrived with other bytes\n{daemon}");
                if (number >= _whole) _arrived.Add(number);
            }

            while (_arrived.Remove(_whole)) _whole++;
            while (Frames.TryReceive(port) is { } frame)
            {
                uint number = Frames.NumberOf(frame);
                Assert.True(number > _received && frame.AsSpan().SequenceEqual(Frames.Make(number, Length)), $"frame {number} was received after {_received}\n{daemon}");
                _received = number;
                taken++;
            }

            return true;
        }
    }
}
