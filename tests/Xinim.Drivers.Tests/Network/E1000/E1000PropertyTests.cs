using CsCheck;
using Xinim.Drivers.Network.E1000;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>Random schedules of client, driver and device over small rings: every buffer comes back once, every frame in order.</summary>
public sealed class E1000PropertyTests
{
    private static readonly E1000Options s_small = new() { TxDescriptors = 64, RxDescriptors = 64 };

    [Fact]
    public void Any_schedule_of_sends_and_completions_keeps_order_and_loses_nothing()
        => Gen.Select(Gen.Int[0, 3], Gen.Select(Gen.Int[0, 4], Gen.Int[1, 40]).Array[1, 60]).Sample(
            (kind, steps) => Transmit(Enum.GetValues<E1000ModelKind>()[kind], steps), iter: 150, threads: 1);

    [Fact]
    public void Any_schedule_of_arrivals_and_posts_keeps_order_and_loses_nothing()
        => Gen.Select(Gen.Int[0, 3], Gen.Select(Gen.Int[0, 3], Gen.Int[1, 30]).Array[1, 60]).Sample(
            (kind, steps) => Receive(Enum.GetValues<E1000ModelKind>()[kind], steps), iter: 150, threads: 1);

    private static void Transmit(E1000ModelKind kind, (int Action, int Count)[] steps)
    {
        using E1000Bench bench = new E1000Bench(kind, s_small, buffers: 128).Started();
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018, Flags = NetworkFilterFlags.VlanStrip });
        bench.Model.TransmitAtOnce = false;
        List<byte[]> expected = [];
        int submitted = 0;
        int completed = 0;
        int seed = 0;
        foreach ((int action, int count) in steps)
        {
            switch (action)
            {
                case 0:
                    for (int i = 0; i < count && 128 - bench.Client.TxOutstanding > 6; i++)
                    {
                        byte[] frame = Packets.Plain(60 + (seed * 37 % 1400), seed);
                        int pieces = seed % 5 == 0 ? 300 : 2048;
                        bench.Client.Send(frame, pieces: pieces);
                        submitted += (frame.Length + pieces - 1) / pieces;
                        expected.Add(frame);
                        seed++;
                    }

                    break;
                case 1:
                    if (128 - bench.Client.TxOutstanding < 2) break;
                    byte[] checksum = Packets.Ip(count, complete: false, seed: seed);
                    bench.Client.Send(checksum, new NetBuffer { Flags = NetFlags.TcpChecksum | NetFlags.Ipv4Checksum, LinkHeader = 14, NetworkHeader = 20 });
                    expected.Add(Pad(Packets.Ip(count, seed: seed++)));
                    submitted++;
                    break;
                case 2:
                    bench.Model.ProcessTransmit((uint)count);
                    break;
                default:
                    bench.Poll();
                    completed += bench.Client.TakeCompleted().Count;
                    break;
            }
        }

        for (int i = 0; i < 20; i++)
        {
            bench.Poll();
            bench.Model.ProcessTransmit();
            bench.Poll();
            completed += bench.Client.TakeCompleted().Count;
        }

        Assert.Equal(expected, bench.Model.Sent);
        Assert.Equal(submitted, completed);
        Assert.Equal(0, bench.Client.TxOutstanding);
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }

    private static void Receive(E1000ModelKind kind, (int Action, int Count)[] steps)
    {
        using E1000Bench bench = new E1000Bench(kind, s_small, buffers: 64).Started(post: 64);
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        List<byte[]> expected = [];
        List<byte[]> actual = [];
        int seed = 0;
        foreach ((int action, int count) in steps)
        {
            switch (action)
            {
                case 0:
                    for (int i = 0; i < count; i++)
                    {
                        byte[] frame = Packets.Plain(seed % 7 == 0 ? 3000 + seed : 60 + seed, seed++);
                        if (bench.Model.Receive(frame)) expected.Add(frame);
                    }

                    break;
                case 1:
                    _ = bench.Driver.RxReturn(bench.Client.Driver.Received);
                    break;
                case 2:
                    _ = bench.Driver.RxProvide(bench.Client.Driver.Free);
                    break;
                default:
                    actual.AddRange(bench.Client.TakeReceived().Select(entry => entry.Frame));
                    break;
            }
        }

        for (int i = 0; i < 4; i++)
        {
            bench.Poll();
            actual.AddRange(bench.Client.TakeReceived().Select(entry => entry.Frame));
        }

        bench.Poll();
        bench.Driver.ArmInterrupts();
        Assert.Equal(expected, actual);
        Assert.Equal(63u, bench.Model.ReceiveAvailable);
        Assert.Empty(bench.Model.Violations);
        Assert.Empty(bench.Model.Dma.Faults);
    }

    private static byte[] Pad(byte[] frame) => frame.Length >= 60 ? frame : [.. frame, .. new byte[60 - frame.Length]];
}
