using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>Counters belong to the device: they are the sum of all its drivers'.</summary>
public sealed class StatisticsTests
{
    [Fact]
    public void Counters_of_every_driver_add_up_and_never_decrease()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);
        ulong last = 0, dead = 0;
        for (int life = 1; life <= 3; life++)
        {
            foreach (ulong frames in new ulong[] { 0, 10, 25 })
            {
                driver.Statistics = new NetworkStatistics { RxFrames = frames, Doorbells = 2 * frames };
                NetworkStatistics now = Ask(client);
                Assert.Equal((dead + frames, 2 * (dead + frames)), (now.RxFrames, now.Doorbells));
                Assert.True(now.RxFrames >= last);
                last = now.RxFrames;
            }

            dead += 25;
            driver.Kill();
            driver = bench.NextDriver();
            Assert.Equal(dead, Ask(client).RxFrames);
            driver.BeReady();
            driver.Obey(ControlMessage.Attach).Dispose();
            client.AwaitReopened();
        }
    }

    [Fact]
    public void A_question_that_a_driver_dies_over_is_answered_with_what_is_known()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);
        driver.Statistics = new NetworkStatistics { TxFrames = 7 };
        Assert.Equal(7ul, Ask(client).TxFrames);
        driver.Statistics = null;
        client.Send(ClientMessage.GetStatistics, 0u, request: 9);
        bench.Settle();
        Assert.False(client.HasMessage);

        driver.Kill();

        using ChannelMessage answer = client.Expect(ClientMessage.Statistics);
        Assert.Equal((9u, 7ul), (answer.Header.Request, answer.Get<NetworkStatistics>().TxFrames));
    }

    [Fact]
    public void A_driver_that_answers_with_something_else_is_ended()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        driver.Statistics = null;
        driver.KeepQuestions = true;
        using ChannelMessage asked = driver.Expect(ControlMessage.GetStatistics);

        driver.SayBytes((uint)ControlMessage.Done, new byte[500], asked.Header.Request);
        bench.NextDriver();

        Assert.Contains("answer 16 to GetStatistics", bench.Device.LastFault, StringComparison.Ordinal);
    }

    private static NetworkStatistics Ask(ScriptedClient client)
    {
        client.Send(ClientMessage.GetStatistics, 0u);
        using ChannelMessage answer = client.Expect(ClientMessage.Statistics);
        return answer.Get<NetworkStatistics>();
    }
}
