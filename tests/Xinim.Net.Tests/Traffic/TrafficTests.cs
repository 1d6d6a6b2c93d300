using Xinim.Net.Ports;
using Xinim.Net.Traffic;
using Xinim.TestKit.Net;

namespace Xinim.Net.Tests.Traffic;

public sealed class TrafficTests
{
    private static readonly NetworkPortOptions Small = new() { TxBuffers = 32, RxBuffers = 64 };

    [Fact]
    public void Sends_every_frame_numbered()
    {
        List<byte[]> frames = [];
        using FakeDaemon daemon = new(new Wire(frame =>
        {
            frames.Add(frame);
            return [];
        }));
        using NetworkPort port = NetworkPort.Open("net0", Small, daemon.Socket);
        SendReport report = new FrameSender(port, new SendOptions { Count = 1000, Stamp = true, Size = 100, Batch = 7 }).Run(TestContext.Current.CancellationToken);
        Assert.Equal((1000ul, 1000ul, 0ul, 100), (report.Queued, report.Completed, report.Rejected, report.Size));
        StampVerifier verifier = new();
        foreach (byte[] frame in frames) verifier.Add(frame);
        Assert.Equal(new VerificationReport(1000, 0, 0, 0, 0, 0), verifier.Report());
    }

    [Fact]
    public void Keeps_to_a_rate_and_a_time()
    {
        using FakeDaemon daemon = new(new Wire());
        using NetworkPort port = NetworkPort.Open("net0", Small, daemon.Socket);
        SendReport report = new FrameSender(port, new SendOptions { Rate = 1000, Time = TimeSpan.FromMilliseconds(200) }).Run(TestContext.Current.CancellationToken);
        Assert.InRange(report.Queued, 1ul, 202ul);
        Assert.Equal(report.Queued, report.Completed);
    }

    /// <summary>Frames that come to a sender neither stop it nor keep it busy.</summary>
    [Fact]
    public void Sends_on_while_frames_come()
    {
        using FakeDaemon daemon = new(new Wire(frame => [frame, frame]));
        using NetworkPort port = NetworkPort.Open("net0", Small, daemon.Socket);
        SendReport report = new FrameSender(port, new SendOptions { Count = 500 }).Run(TestContext.Current.CancellationToken);
        Assert.Equal(500ul, report.Completed);
    }

    [Fact]
    public void Goes_on_over_the_death_of_drivers()
    {
        using FakeDaemon daemon = new(new Wire());
        using NetworkPort port = NetworkPort.Open("net0", Small, daemon.Socket);
        FrameSender sender = new(port, new SendOptions { Rate = 2000, Count = 600, Stamp = true });
        Thread storm = new(() =>
        {
            for (int i = 0; i < 5; i++)
            {
                ulong sent = port.SentFrames;
                SpinWait.SpinUntil(() => port.SentFrames > sent, TimeSpan.FromSeconds(5));
                daemon.Kill();
                daemon.Revive();
            }
        });
        storm.Start();
        SendReport report = sender.Run(TestContext.Current.CancellationToken);
        storm.Join();
        Assert.Equal((600ul, 600ul), (report.Queued, report.Completed));
        Assert.InRange(report.Recoveries, 1u, 5u);
    }

    [Fact]
    public void Receives_and_verifies()
    {
        byte[][] stamped = [.. Enumerable.Range(0, 100).Select(i =>
        {
            byte[] frame = new byte[64];
            TestFrame.Prepare(frame, TestFrame.DefaultDestination, default, 1);
            TestFrame.Stamp(frame, (ulong)i);
            return frame;
        })];
        using FakeDaemon daemon = new(new Wire(_ => [.. stamped[..50], stamped[49], .. stamped[60..], new byte[60], new byte[3000]]));
        using NetworkPort port = NetworkPort.Open("net0", new NetworkPortOptions { TxBuffers = 2, RxBuffers = 256 }, daemon.Socket);
        Assert.True(port.TryRent(out uint slot));
        port.Send(slot, 60);
        port.Flush();
        ReceiveTally tally = new(verify: true);
        ReceiveReport report = new FrameReceiver(port, new ReceiveOptions { Count = 93, Time = TimeSpan.FromSeconds(30) }, tally).Run(TestContext.Current.CancellationToken);
        Assert.Equal((93ul, (ulong)((91 * 64) + 60 + 3000)), (report.Frames, report.Bytes));
        Assert.Equal(new VerificationReport(91, 0, 2, 10, 1, 0), tally.Verification);
    }

    [Fact]
    public void Receivers_with_one_tally_end_together_and_miss_nothing_that_another_one_has()
    {
        const int queues = 3, each = 20;
        using FakeDaemon daemon = new();
        IReadOnlyList<NetworkPort> ports = NetworkPort.OpenQueues("net0", queues, new NetworkPortOptions { TxBuffers = 8, RxBuffers = 32 }, daemon.Socket);
        // The first pair gets nothing: its receiver ends because of the others.
        foreach (FakeNic nic in daemon.Nics) nic.Take();
        for (int i = 0; i < 2 * each; i++)
        {
            byte[] frame = new byte[64];
            TestFrame.Prepare(frame, TestFrame.DefaultDestination, default, 1);
            TestFrame.Stamp(frame, (ulong)i);
            Assert.True(daemon.Nics[1 + (i % 2)].Deliver(frame));
        }

        ReceiveTally tally = new(verify: true);
        FrameReceiver[] receivers = [.. ports.Select(port => new FrameReceiver(port, new ReceiveOptions { Count = 2 * each }, tally))];
        ReceiveReport[] reports = [.. receivers.AsParallel().WithDegreeOfParallelism(queues).Select(receiver => receiver.Run(TestContext.Current.CancellationToken))];
        Assert.Equal((ulong[])[0, each, each], reports.Select(report => report.Frames).Order());
        ReceiveReport sum = ReceiveReport.Sum(reports);
        Assert.Equal((2ul * each, 2ul * each * 64), (sum.Frames, sum.Bytes));
        Assert.Equal(reports.Where(report => report.Frames != 0).Min(report => report.First), sum.First);
        Assert.Equal((2ul * each, 0ul, 0ul), (tally.Verification!.Stamped, tally.Verification.Lost, tally.Verification.Duplicates));
        foreach (NetworkPort port in ports) port.Dispose();
    }

    [Fact]
    public void Stops_receiving_in_time()
    {
        using FakeDaemon daemon = new();
        using NetworkPort port = NetworkPort.Open("net0", Small, daemon.Socket);
        ReceiveReport report = new FrameReceiver(port, new ReceiveOptions { Time = TimeSpan.FromMilliseconds(20) }, new ReceiveTally()).Run(TestContext.Current.CancellationToken);
        Assert.Equal((0ul, TimeSpan.Zero), (report.Frames, report.Elapsed));
    }

    [Fact]
    public void Hashes_of_several_receivers_are_added_kind_by_kind()
    {
        ReceiveReport one = new(3, 180, 1, 2, 0) { Hashes = [1, 2, 0] }, other = new(4, 240, 1, 2, 0) { Hashes = [0, 1, 3] };
        Assert.Equal([1, 3, 3], ReceiveReport.Sum([one, other]).Hashes!);
        Assert.Null(ReceiveReport.Sum([new(0, 0, 0, 0, 0)]).Hashes);
    }
}
