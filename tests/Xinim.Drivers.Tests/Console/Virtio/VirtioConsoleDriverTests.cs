using System.Text;
using Xinim.Drivers.Console.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Console.Virtio;

/// <summary>The driver on a device that says what it likes.</summary>
public sealed class VirtioConsoleDriverTests
{
    private const ushort Rx1 = 4, Tx1 = 5; // port 1 [V §5.3.2]

    [Fact]
    public void Says_that_it_is_ready_and_answers_for_each_port()
    {
        using ConsoleBench bench = new();
        ConsoleDeviceInfo info = bench.Driver.Start();
        Assert.Equal(new ConsoleDeviceInfo(ConsoleBench.MaxPorts, 1), info);
        Assert.Equal((uint.MaxValue, ConsoleEvent.DeviceReady, (ushort)1), Assert.Single(bench.Told()));
        bench.Say(1, ConsoleEvent.DeviceAdd);
        bench.Say(1, ConsoleEvent.PortName, 1, "org.xinim.0"u8);
        bench.Say(1, ConsoleEvent.ConsolePort, 1);
        bench.Say(1, ConsoleEvent.PortOpen, 1);
        bench.Say(1, ConsoleEvent.Resize, 0, 132, 0, 43, 0);
        Assert.Equal([(1u, ConsoleEvent.PortReady, (ushort)1), (1u, ConsoleEvent.PortOpen, (ushort)1)], bench.Told());
        ConsolePortInfo port = bench.Ports[1];
        Assert.Equal(("org.xinim.0", (ushort)132, (ushort)43), (port.Name.ToString(), port.Columns, port.Rows));
        Assert.Equal(ConsolePortFlags.Present | ConsolePortFlags.Console | ConsolePortFlags.HostOpen, port.Flags);
        bench.Say(1, ConsoleEvent.PortOpen, 0);
        Assert.False(bench.Ports[1].Has(ConsolePortFlags.HostOpen));
        bench.Say(1, ConsoleEvent.DeviceRemove);
        Assert.Equal(ConsolePortFlags.None, bench.Ports[1].Flags);
    }

    [Fact]
    public void One_port_is_there_at_once_and_has_the_size_of_the_configuration()
    {
        using ConsoleBench bench = new(multiport: false, more: VirtioConsoleFeatures.Size);
        Assert.Equal(new ConsoleDeviceInfo(1, 0), bench.Driver.Start());
        bench.Poll();
        Assert.Equal(((ushort)80, (ushort)25), (bench.Ports[0].Columns, bench.Ports[0].Rows));
        bench.Model.ChangeConfig(0, [100, 0, 50, 0]);
        bench.Driver.OnInterrupt(0);
        bench.Poll();
        Assert.Equal(((ushort)100, (ushort)50), (bench.Ports[0].Columns, bench.Ports[0].Rows));
    }

    [Theory]
    [InlineData(2u, 2, 0, 0)] // DEVICE_REMOVE of a port that is not there
    [InlineData(1u, 1, 0, 0)] // DEVICE_ADD of one that is
    [InlineData(3u, 7, 1, 4)] // PORT_NAME of one that is not
    [InlineData(1u, 6, 7, 0)] // PORT_OPEN, neither open nor closed
    [InlineData(1u, 5, 0, 3)] // RESIZE that ends too early
    [InlineData(1u, 0, 0, 0)] // DEVICE_READY, which only drivers say
    [InlineData(1u, 3, 1, 0)] // PORT_READY, likewise
    [InlineData(1u, 99, 0, 100)] // nothing that there is
    public void What_makes_no_sense_is_passed_over(uint port, int what, int value, int rest)
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        ConsolePortInfo before = bench.Ports[1];
        int lines = bench.Log.Count;
        bench.Say(port, (ConsoleEvent)what, (ushort)value, new byte[rest]);
        Assert.Equal(1ul, bench.Driver.Statistics.ControlIgnored);
        Assert.Contains($"port {port}", Assert.Single(bench.Log.Skip(lines)), StringComparison.Ordinal);
        Assert.Equal((before.Flags, before.Incarnation), (bench.Ports[1].Flags, bench.Ports[1].Incarnation));
        Assert.Empty(bench.Told());
    }

    [Fact]
    public void A_device_that_cannot_stop_talking_does_not_fill_the_log()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        int lines = bench.Log.Count;
        for (int i = 0; i < 500; i++) bench.Say(1, (ConsoleEvent)99);
        Assert.InRange(bench.Log.Count - lines, 1, 20);
        Assert.Equal(500ul, bench.Driver.Statistics.ControlIgnored);
    }

    [Fact]
    public void Messages_that_cannot_be_are_faults()
    {
        Faults(bench => bench.Say(ConsoleBench.MaxPorts, ConsoleEvent.DeviceAdd), "max_nr_ports");
        Faults(bench => bench.Say(uint.MaxValue, ConsoleEvent.PortOpen, 1), "max_nr_ports");
        Faults(bench => bench.SayBytes([1, 0, 0, 0]), "control message of 4 bytes");
        Faults(bench => Forge(bench, 2, 0, 100_000), "written to buffer");
        Faults(bench => Forge(bench, 2, 4000, 8), "buffer 4000");
    }

    [Fact]
    public void A_device_that_takes_no_control_message_and_causes_ever_more_is_broken()
    {
        using ConsoleBench bench = ConsoleBench.Started();
        DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() =>
        {
            for (int i = 0; i < 2000; i++)
            {
                bench.Say(1, ConsoleEvent.DeviceAdd);
                bench.Say(1, ConsoleEvent.DeviceRemove);
            }
        });
        Assert.Contains("control messages wait", fault.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("plain\0behind", "plain", 0)]
    [InlineData("new\nline\u001b[2J", "new?line?[2J", 0)]
    [InlineData("", "", 0)]
    public void Names_are_text(string name, string expected, ulong ignored)
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        bench.Say(1, ConsoleEvent.PortName, 1, Encoding.UTF8.GetBytes(name));
        Assert.Equal((expected, ignored), (bench.Ports[1].Name.ToString(), bench.Driver.Statistics.ControlIgnored));
    }

    [Fact]
    public void A_name_without_end_is_cut()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        bench.Say(1, ConsoleEvent.PortName, 1, Enumerable.Repeat((byte)'x', 500).ToArray());
        string name = bench.Ports[1].Name.ToString();
        Assert.InRange(Encoding.UTF8.GetByteCount(name), 60, FixedText.Bytes);
        Assert.StartsWith("xxxx", name, StringComparison.Ordinal);
        Assert.Equal(1ul, bench.Driver.Statistics.ControlIgnored);
    }

    [Fact]
    public void Ports_that_are_not_served_are_refused()
    {
        using ConsoleBench bench = new(options: new VirtioConsoleOptions { Ports = 2 });
        Assert.Equal(2u, bench.Driver.Start().MaxPorts);
        _ = bench.Told();
        bench.Say(3, ConsoleEvent.DeviceAdd);
        Assert.Equal((3u, ConsoleEvent.PortReady, (ushort)0), Assert.Single(bench.Told()));
    }

    [Fact]
    public void The_device_hears_of_clients()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        using FakeConsoleClient client = bench.Open(1);
        Assert.Equal((1u, ConsoleEvent.PortOpen, (ushort)1), Assert.Single(bench.Told()));
        bench.Driver.Close(1);
        Assert.Equal((1u, ConsoleEvent.PortOpen, (ushort)0), Assert.Single(bench.Told()));
        bench.Driver.Close(1);
        Assert.Empty(bench.Told());
        Assert.Throws<ArgumentException>(() => bench.Driver.Open(2, 1, 1));
        Assert.Throws<ArgumentException>(() => bench.Driver.Open(1, 2, 1));
    }

    [Fact]
    public void A_console_is_open_from_its_nomination_on_and_keeps_what_comes_for_the_next_client()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        bench.Say(1, ConsoleEvent.ConsolePort, 1);
        Assert.Equal((1u, ConsoleEvent.PortOpen, (ushort)1), Assert.Single(bench.Told()));
        bench.Put(Rx1, "early "u8);
        using FakeConsoleClient client = bench.Open(1);
        bench.Put(Rx1, "and late"u8);
        client.Serve(bench.Driver, 1);
        Assert.Equal("early and late", Encoding.ASCII.GetString([.. client.Received]));
        _ = bench.Told();

        bench.Put(Rx1, "left unread"u8);
        bench.Driver.Close(1);
        Assert.Empty(bench.Told());
        bench.Put(Rx1, "for the next"u8);
        using FakeConsoleClient next = bench.Open(1, session: 2);
        next.Serve(bench.Driver, 1);
        Assert.Equal("for the next", Encoding.ASCII.GetString([.. next.Received]));
    }

    [Fact]
    public void What_comes_for_a_port_that_is_no_console_while_nobody_has_it_open_is_dropped()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        bench.Put(Rx1, "for nobody"u8);
        using FakeConsoleClient client = bench.Open(1);
        bench.Put(Rx1, "for it"u8);
        client.Serve(bench.Driver, 1);
        Assert.Equal("for it", Encoding.ASCII.GetString([.. client.Received]));
    }

    [Fact]
    public void A_port_that_goes_and_comes_is_another_one()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        using FakeConsoleClient client = bench.Open(1);
        uint first = bench.Ports[1].Incarnation;
        bench.Say(1, ConsoleEvent.DeviceRemove);
        bench.Add(1);
        Assert.NotEqual(first, bench.Ports[1].Incarnation);
        client.Send("to nobody"u8);
        client.Serve(bench.Driver, 1);
        Assert.Null(bench.Get(Tx1));
        Assert.Throws<ArgumentException>(() => bench.Driver.Open(1, first, 2));
    }

    [Fact]
    public void A_full_ring_keeps_buffers_from_the_device()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        using FakeConsoleClient client = bench.Open(1);
        client.Reads = false;
        int given = 0;
        Assert.Throws<InvalidOperationException>(() =>
        {
            for (; given < 1000; given++)
            {
                bench.Put(Rx1, new byte[512]);
                client.Serve(bench.Driver, 1);
            }
        });
        client.Reads = true;
        for (int i = 0; i < 100; i++) client.Serve(bench.Driver, 1);
        Assert.Equal(given * 512, client.Received.Count);
        bench.Put(Rx1, "more"u8);
        client.Serve(bench.Driver, 1);
        Assert.Equal("more", Encoding.ASCII.GetString([.. client.Received.Skip(given * 512)]));
    }

    [Theory]
    [InlineData(0u, 1ul)]
    [InlineData(53u, 1ul)]
    [InlineData(uint.MaxValue, 1ul)]
    [InlineData(4u, 2ul)]
    [InlineData(4u, ulong.MaxValue)]
    public void A_client_that_writes_nonsense_loses_its_rings_and_no_byte(uint length, ulong position)
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        using FakeConsoleClient client = bench.Open(1);
        client.Send("x"u8);
        client.Serve(bench.Driver, 1);
        Assert.Equal("x"u8.ToArray(), bench.Get(Tx1));
        ref ConsoleChunk chunk = ref client.Rings.Submit[0];
        chunk.Length = length;
        chunk.Position = position;
        client.Rings.Submit.Publish(1);
        Assert.Throws<RingException>(() => client.Serve(bench.Driver, 1));
        Assert.Null(bench.Get(Tx1));
        using FakeConsoleClient fresh = bench.Open(1, session: 2);
        fresh.Send("good"u8);
        fresh.Serve(bench.Driver, 1);
        Assert.Equal("good"u8.ToArray(), bench.Get(Tx1));
    }

    [Fact]
    public void Last_words_go_to_the_console()
    {
        using ConsoleBench bench = new(options: new VirtioConsoleOptions { LastWords = true }, more: VirtioConsoleFeatures.EmergencyWrite);
        _ = bench.Driver.Start();
        bench.Driver.Dispose();
        Assert.Equal((byte)'\n', bench.Model.Config[8]);
    }

    private static void Forge(ConsoleBench bench, ushort queue, uint id, uint written)
    {
        bench.Model.Queue(queue)!.Forge(id, written);
        bench.Poll();
    }

    private static void Faults(Action<ConsoleBench> act, string reason)
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() => act(bench));
        Assert.Contains(reason, fault.Message, StringComparison.Ordinal);
    }
}
