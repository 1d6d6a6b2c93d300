using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>A client with several pairs of queues, and what it wishes for: each driver is told of them, and each pair has a doorbell.</summary>
public sealed class PairsTests
{
    [Fact]
    public void Every_driver_is_told_of_all_pairs_and_wishes()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.Connect();
        client.SendOpen(ScriptedClient.Wish() with { Pairs = 3, Wishes = NetworkWishes.LargeReceive });
        AssertAttached(driver);
        using (ChannelMessage opened = client.Expect(ClientMessage.Opened))
        {
            // Two pools, the rings, the driver's doorbell, three of the client's.
            Assert.Equal((7, 3u), (opened.HandleCount, opened.Get<OpenedNetworkMessage>().Rings.Pairs));
        }

        driver.Kill();
        ScriptedDriver next = bench.NextReadyDriver();
        AssertAttached(next);
        using ChannelMessage reopened = client.Expect(ClientMessage.Reopened);
        Assert.Equal((1, 3u), (reopened.HandleCount, reopened.Get<OpenedNetworkMessage>().Rings.Pairs));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(9u)]
    [InlineData(uint.MaxValue)]
    public void A_number_that_cannot_be_is_refused(uint pairs)
    {
        using Bench bench = new();
        ScriptedClient client = bench.Connect();
        client.SendOpen(ScriptedClient.Wish() with { Pairs = pairs });
        Assert.Contains("1 to 8 are allowed", client.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
        Assert.Equal(["Map"], bench.Backend.Calls);
    }

    private static void AssertAttached(ScriptedDriver driver)
    {
        using ChannelMessage attach = driver.Obey(ControlMessage.Attach);
        AttachMessage what = attach.Get<AttachMessage>();
        Assert.Equal((3u, NetworkWishes.LargeReceive, 5), (what.Rings.Pairs, what.Wishes, attach.HandleCount));
    }
}
