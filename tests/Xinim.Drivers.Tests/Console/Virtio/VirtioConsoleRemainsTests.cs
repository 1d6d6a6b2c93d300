using System.Runtime.InteropServices;
using System.Text;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Fakes;
using Xunit;

namespace Xinim.Drivers.Tests.Console.Virtio;

/// <summary>What a driver leaves to the next one, at each moment at which it can die.</summary>
public sealed class VirtioConsoleRemainsTests
{
    private const ushort Rx1 = 4, Tx1 = 5;

    [Fact]
    public void What_the_device_had_taken_is_not_sent_again()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        using FakeConsoleClient client = bench.Open(1);
        client.Send("first"u8);
        client.Serve(bench.Driver, 1);
        Assert.Equal("first"u8.ToArray(), bench.Get(Tx1));
        // The driver dies before it sees that, with another buffer under way that the device has read and not used.
        client.Send("second"u8);
        client.Renew();
        Restart(bench);
        bench.Reopen(1);
        client.Serve(bench.Driver, 1);
        Assert.Equal("second"u8.ToArray(), bench.Get(Tx1));
        client.Serve(bench.Driver, 1);
        Assert.Equal(0, client.Unacknowledged);
    }

    [Fact]
    public void What_the_device_had_not_taken_is_sent_again()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        using FakeConsoleClient client = bench.Open(1);
        client.Send("once more"u8);
        client.Serve(bench.Driver, 1);
        Assert.Equal("once more"u8.ToArray(), bench.Get(Tx1, use: false));
        client.Renew();
        Restart(bench);
        bench.Reopen(1);
        client.Serve(bench.Driver, 1);
        Assert.Equal("once more"u8.ToArray(), bench.Get(Tx1));
    }

    [Fact]
    public void What_the_device_had_written_is_delivered_by_the_next_driver_or_the_one_after_it()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        using FakeConsoleClient client = bench.Open(1);
        bench.Put(Rx1, "one,"u8);
        client.Serve(bench.Driver, 1);
        bench.Put(Rx1, "two,"u8);
        bench.Put(Rx1, "three,"u8);
        Restart(bench);
        bench.Put(Rx1, "four,"u8);
        Restart(bench);
        client.Renew();
        bench.Reopen(1);
        client.Serve(bench.Driver, 1);
        Assert.Equal("one,two,three,four,", Encoding.ASCII.GetString([.. client.Received]));
        Assert.Equal(0, client.Repeated);
    }

    [Fact]
    public void However_often_drivers_die_no_more_is_taken_than_the_next_one_can_keep()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        using FakeConsoleClient client = bench.Open(1);
        int written = 0;
        for (int life = 0; life < 5; life++)
        {
            while (bench.HasBuffer(Rx1))
            {
                byte[] bytes = new byte[500];
                Array.Fill(bytes, (byte)written++);
                bench.Put(Rx1, bytes);
            }

            Restart(bench);
        }

        client.Renew();
        bench.Reopen(1);
        for (int i = 0; i < 10; i++) client.Serve(bench.Driver, 1);
        Assert.Equal(Enumerable.Range(0, written).SelectMany(i => Enumerable.Repeat((byte)i, 500)), client.Received);
    }

    [Fact]
    public void Another_client_gets_nothing_of_it()
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        using FakeConsoleClient client = bench.Open(1, 1);
        bench.Put(Rx1, "secret"u8);
        Restart(bench);
        using FakeConsoleClient other = bench.Open(1, 2);
        bench.Put(Rx1, "hello"u8);
        other.Serve(bench.Driver, 1);
        Assert.Equal("hello", Encoding.ASCII.GetString([.. other.Received]));
        other.Send("from the start"u8);
        other.Serve(bench.Driver, 1);
        Assert.Equal("from the start"u8.ToArray(), bench.Get(Tx1));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Notes_that_are_damaged_cost_no_more_than_what_was_under_way(int seed)
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        using FakeConsoleClient client = bench.Open(1);
        bench.Put(Rx1, "under way"u8);
        Random random = new(seed);
        // The marks stay: it is the notes behind them that are believed least.
        for (int i = 0; i < 300_000; i++) bench.Work[random.Next(64, bench.Work.Length)] = (byte)random.Next(256);
        Restart(bench);
        using FakeConsoleClient next = bench.Open(1, 77);
        next.Send("good"u8);
        next.Serve(bench.Driver, 1);
        Assert.Equal("good"u8.ToArray(), bench.Get(Tx1));
        bench.Put(Rx1, "morning"u8);
        next.Serve(bench.Driver, 1);
        Assert.Equal("morning", Encoding.ASCII.GetString([.. next.Received]));
    }

    /// <summary>It keeps its port all the same: a driver whose notes are nonsense does not put it down to its client.</summary>
    [Theory]
    [InlineData(0ul)]
    [InlineData(1ul)]
    [InlineData(ulong.MaxValue)]
    public void A_client_goes_on_where_it_was_whatever_the_notes_say(ulong noted)
    {
        using ConsoleBench bench = ConsoleBench.Started(1);
        using FakeConsoleClient client = bench.Open(1);
        client.Send(new byte[500]);
        client.Serve(bench.Driver, 1);
        Assert.Equal(500, bench.Get(Tx1)!.Length);
        client.Serve(bench.Driver, 1);
        // In both halves of the work region, one of which is valid.
        foreach (ref ulong word in MemoryMarshal.Cast<byte, ulong>(bench.Work)) word = word == 500 ? noted : word;
        client.Send("next"u8);
        client.Renew();
        Restart(bench);
        bench.Reopen(1);
        client.Serve(bench.Driver, 1);
        Assert.Equal("next"u8.ToArray(), bench.Get(Tx1));
        client.Serve(bench.Driver, 1);
        // What this driver notes is right again.
        client.Send("and last"u8);
        client.Renew();
        Restart(bench);
        bench.Reopen(1);
        client.Serve(bench.Driver, 1);
        Assert.Equal("and last"u8.ToArray(), bench.Get(Tx1));
        client.Serve(bench.Driver, 1);
        Assert.Equal(0, client.Unacknowledged);
    }

    private static void Restart(ConsoleBench bench)
    {
        bench.Reincarnate();
        bench.Add(1);
        Assert.True(bench.Ports[1].Has(ConsolePortFlags.HostOpen));
    }
}
