using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Status;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Clients;

/// <summary>Whatever a client sends costs it its connection at the most: device, driver, other clients and the supervisor go on.</summary>
public sealed class HostileClientTests
{
    private const ulong Limit = OpenNetworkMessage.MaxPoolBytes;

    [Theory]
    [InlineData(0, 4096, 4, 4, "a pool of 0 bytes")]
    [InlineData(4096, 0, 4, 4, "a pool of 0 bytes")]
    [InlineData(Limit + 1, 4096, 4, 4, "268435456 are allowed together")]
    [InlineData(Limit, 1, 4, 4, "268435456 are allowed together")]
    [InlineData(1, Limit, 4, 4, "268435456 are allowed together")]
    [InlineData(ulong.MaxValue, ulong.MaxValue, 4, 4, "268435456 are allowed together")]
    [InlineData(2, ulong.MaxValue, 4, 4, "268435456 are allowed together")]
    [InlineData(4096, 4096, 0, 4, "powers of two from 2 to 16384")]
    [InlineData(4096, 4096, 4, 1, "powers of two from 2 to 16384")]
    [InlineData(4096, 4096, 3, 4, "powers of two from 2 to 16384")]
    [InlineData(4096, 4096, 4, 32768, "powers of two from 2 to 16384")]
    [InlineData(4096, 4096, uint.MaxValue, 4, "powers of two from 2 to 16384")]
    [InlineData(4096, 4096, 0x80000000, 4, "powers of two from 2 to 16384")]
    public void A_wish_that_no_device_can_meet_is_refused_before_anything_is_made(ulong tx, ulong rx, uint txRing, uint rxRing, string says)
    {
        using Bench bench = new();
        ScriptedClient client = bench.Connect();

        client.SendOpen(ScriptedClient.Wish(tx: tx, rx: rx, txRing: txRing, rxRing: rxRing));

        Assert.Contains(says, client.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
        Assert.Equal(["Map"], bench.Backend.Calls);
    }

    public static TheoryData<uint, int> Nonsense => new()
    {
        { 0, 0 },
        { 4711, 0 },
        { uint.MaxValue, Channel.MaxPayload },
        { (uint)ClientMessage.Opened, 200 },
        { (uint)ClientMessage.OpenNetwork, 0 },
        { (uint)ClientMessage.OpenNetwork, 87 },
        { (uint)ClientMessage.SetFilters, 0 },
        { (uint)ClientMessage.SetFilters, 100 },
    };

    [Theory]
    [MemberData(nameof(Nonsense))]
    public void Nonsense_ends_the_connection_and_nothing_else(uint type, int bytes)
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.Connect();

        client.Channel.SendBytes(new MessageHeader(type, 0, 1), new byte[bytes], default);
        client.AwaitClosed();

        Assert.Contains(bench.Log.Lines, line => line.StartsWith($"Warning: client process {Environment.ProcessId}", StringComparison.Ordinal));
        bench.ConnectAndOpen(driver);
    }

    [Fact]
    public void Nonsense_of_the_holder_gives_its_memory_back()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);

        client.Channel.Send(new MessageHeader(4711, 0, 1));
        driver.Obey(ControlMessage.SetFilters).Dispose();
        driver.Obey(ControlMessage.Detach).Dispose();

        bench.Until(() => bench.Backend.Mapped.Count == 1, "the memory is freed");
        client.AwaitClosed();
        Assert.True(client.Rings!.IsClosed);
    }

    [Fact]
    public void Descriptors_that_nobody_asked_for_are_closed()
    {
        using Bench bench = new();
        bench.NextReadyDriver();
        ScriptedClient client = bench.Connect();
        AskStatus(client);
        using SafeFileHandle gift = Descriptor.CreateEvent();
        Held before = Held.Now();
        SafeFileHandle[] gifts = [.. Enumerable.Repeat(gift, Channel.MaxHandles)];

        for (int round = 0; round < 20; round++)
        {
            client.Channel.Send(new MessageHeader((uint)ClientMessage.GetStatus, 0, 1), gifts);
            client.Expect(ClientMessage.Report).Dispose();
        }

        before.AssertNothingMore(bench.Settle);
    }

    [Fact]
    public void A_client_that_asks_and_never_reads_is_closed()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.Connect();
        try
        {
            for (int count = 0; count < 10_000; count++)
            {
                client.Send(ClientMessage.GetStatus, 0u);
                if (count % 32 == 0) bench.Settle();
            }

            Assert.Fail("all messages were taken");
        }
        catch (ChannelException)
        {
            // The supervisor has closed its end.
        }

        Assert.True(bench.Log.Has("the peer does not read"));
        bench.ConnectAndOpen(driver);
    }

    [Fact]
    public void A_client_that_asks_without_end_leaves_others_their_turn()
    {
        using Bench bench = new();
        bench.NextReadyDriver();
        ScriptedClient flood = bench.Connect();
        AskStatus(flood);

        for (int count = 0; count < 128; count++) flood.Send(ClientMessage.GetStatistics, 0u);
        bench.Supervisor.Loop.RunOnce(TimeSpan.Zero);

        Assert.InRange(Answers(flood), 1, 64);
        bench.Settle();
        Assert.True(flood.HasMessage);
    }

    [Fact]
    public void Questions_of_a_client_cannot_fill_the_drivers_channel()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);
        driver.Statistics = null;
        int answers = 0;

        // The driver answers nothing and hears nothing meanwhile.
        for (int round = 0; round < 20; round++)
        {
            for (int count = 0; count < 32; count++)
            {
                client.Send(ClientMessage.GetStatistics, 0u);
                client.Send(ClientMessage.SetFilters, default(NetworkFilters));
            }

            bench.Settle();
            answers += Answers(client);
        }

        Assert.Equal(DeviceState.Ready, bench.Device.State);
        Assert.True(driver.Exists);
        Assert.InRange(answers, 1, 1280);
        driver.Obey(ControlMessage.SetFilters).Dispose();
        bench.Settle();
        Assert.False(driver.IsAsked);
    }

    [Fact]
    public void There_is_a_limit_to_connections_and_a_place_becomes_free_again()
    {
        using Bench bench = new();
        bench.NextReadyDriver();
        ScriptedClient[] crowd = [.. Enumerable.Range(0, 40).Select(_ => bench.Connect())];
        bench.Settle();
        for (int group = 0; group < 3; group++)
        {
            crowd = [.. crowd, .. Enumerable.Range(0, 30).Select(_ => bench.Connect())];
            for (int round = 0; round < 5; round++) bench.Settle();
        }

        crowd[^1].AwaitClosed();
        Assert.True(bench.Log.Has("128 clients are connected"));
        AskStatus(crowd[0]);
        crowd[0].Dispose();
        bench.Settle();
        AskStatus(bench.Connect());
    }

    [Fact]
    public void Filters_and_counters_need_a_device()
    {
        using Bench bench = new();
        ScriptedClient client = bench.Connect();

        client.Send(ClientMessage.SetFilters, default(NetworkFilters));
        Assert.Equal("open a device first", client.ExpectText(ClientMessage.Refused));
        client.Send(ClientMessage.GetStatistics, 0u);
        Assert.Equal("open a device first", client.ExpectText(ClientMessage.Refused));
    }

    [Fact]
    public void Nothing_leaks_over_lives_of_clients_and_drivers()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        Held? first = null;
        for (int life = 0; life < 4; life++)
        {
            ScriptedClient client = bench.ConnectAndOpen(driver);
            driver.Kill();
            driver.Dispose();
            driver = bench.NextReadyDriver();
            driver.Obey(ControlMessage.Attach).Dispose();
            client.AwaitReopened();
            client.Dispose();
            driver.Obey(ControlMessage.SetFilters).Dispose();
            driver.Obey(ControlMessage.Detach).Dispose();
            bench.Until(() => bench.Backend.Mapped.Count == 1, "the memory is freed");
            first ??= Held.Now();
            first.AssertNothingMore(bench.Settle);
        }
    }

    private static void AskStatus(ScriptedClient client)
    {
        client.Send(ClientMessage.GetStatus, 0u);
        using ChannelMessage report = client.Expect(ClientMessage.Report);
        Assert.Equal("net0", Assert.Single(StatusReport.FromJson(report.Text).Devices).Name);
    }

    /// <summary>Counts and drops what the supervisor has answered so far.</summary>
    private static int Answers(ScriptedClient client)
    {
        int count = 0;
        while (client.Channel.TryReceive(out ChannelMessage? message) && message is not null)
        {
            message.Dispose();
            count++;
        }

        return count;
    }
}
