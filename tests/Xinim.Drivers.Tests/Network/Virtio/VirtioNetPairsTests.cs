using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Network;
using Xinim.Drivers.Network.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.Fakes;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>Several pairs of queues, each with rings of its own [V §5.1.6.5.5, §5.1.6.5.7].</summary>
public sealed class VirtioNetPairsTests : IDisposable
{
    private const byte MaxPairs = 4, SteeringClass = 4;
    private const VirtioFeatures Several = VirtioNetBench.Everything | VirtioNetFeatures.MultiQueue;
    private static readonly RingShape s_shape = new(16, 16, 1, MaxPairs);
    private readonly SharedRegion _rings = NetworkRings.Create(s_shape);
    private readonly SafeFileHandle _bell = Descriptor.CreateEvent();
    private readonly NetworkRings.DriverSide _driver;
    private readonly NetworkRings.ClientEnd[] _client;

    public VirtioNetPairsTests()
    {
        _driver = new NetworkRings.DriverSide(_rings, s_shape, _bell, [_bell, _bell, _bell, _bell]);
        _client = [.. Enumerable.Range(0, MaxPairs).Select(pair => new NetworkRings.ClientEnd(_rings, s_shape, _bell, _bell, (uint)pair))];
    }

    public void Dispose()
    {
        _rings.Dispose();
        _bell.Dispose();
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void Each_pair_has_its_own_queues_before_and_after_a_client_has_left(bool packed, bool ringReset)
    {
        VirtioFeatures reset = ringReset ? VirtioFeatures.RingReset : VirtioFeatures.None;
        using VirtioNetBench bench = New(Several | reset, new VirtioNetOptions { Packed = packed }).Started();
        bench.TransmitAtOnce = false;
        for (int client = 0; client < 2; client++)
        {
            for (int pair = 0; pair < MaxPairs; pair++) Send(bench, pair, 60 + pair);
            for (int pair = 0; pair < MaxPairs; pair++)
            {
                Assert.Equal(Packets.Plain(60 + pair, pair), Sent(bench, (2 * pair) + 1));
                Receive(bench, 2 * pair, Packets.Plain(100 + pair, pair));
            }

            for (int pair = 0; pair < MaxPairs; pair++)
            {
                Serve(bench, pair);
                Assert.Equal(1u, _client[pair].Completed.Peek(16));
                Assert.Equal(1u, _client[pair].Received.Peek(16));
                Assert.Equal((uint)(100 + pair), _client[pair].Received.Read(0).Length);
                _client[pair].Completed.Release(1);
                _client[pair].Received.Release(1);
            }

            Assert.Equal((4ul * ((ulong)client + 1), 4ul * ((ulong)client + 1)), (bench.Driver.Statistics.TxFrames, bench.Driver.Statistics.RxFrames));
            bench.Driver.Detach();
            bench.Driver.Prepare(MaxPairs, NetworkWishes.None);
            bench.Driver.Attach(bench.Client.Buffers);
        }

        bench.AssertClean();
    }

    [Fact]
    public void Pairs_are_enabled_by_a_command_once_they_are_set_up_and_one_needs_none()
    {
        using VirtioNetBench bench = New(Several);
        bench.Answer = (kind, _) => kind != SteeringClass || Enumerable.Range(0, 2 * bench.Driver.Pairs.Count).All(queue => bench.Model.Queue((ushort)queue) is not null) ? 0 : 1;
        Assert.Equal((uint)MaxPairs, bench.Driver.Start().MaxPairs);
        Assert.DoesNotContain(bench.Commands, command => command.Class == SteeringClass);
        bench.Driver.Prepare(3, NetworkWishes.None);
        (_, byte kind, byte[] data) = Assert.Single(bench.Commands, command => command.Class == SteeringClass);
        Assert.Equal((0, 3), (kind, BinaryPrimitives.ReadUInt16LittleEndian(data)));
        Assert.Equal(3, bench.Driver.Pairs.Count);
        Assert.Null(bench.Model.Queue(6));
        bench.Driver.Prepare(1, NetworkWishes.None);
        Assert.Single(bench.Commands, command => command.Class == SteeringClass);
        bench.AssertClean();
    }

    /// <summary>The rest of them are shared where there are fewer [V §4.1.5.1.2].</summary>
    [Fact]
    public void Each_queue_has_a_vector_of_its_own()
    {
        using VirtioNetBench bench = New(Several, vectors: VirtioNetDriver.Vectors).Started();
        bench.TransmitAtOnce = false;
        for (int pair = 0; pair < MaxPairs; pair++) Send(bench, pair, 60);
        bench.Driver.ArmInterrupts();
        for (int pair = 0; pair < MaxPairs; pair++)
        {
            Receive(bench, 2 * pair, Packets.Plain(60, pair));
            _ = Sent(bench, (2 * pair) + 1);
        }

        Assert.Equal(Enumerable.Range(0, 1 + (2 * MaxPairs)).Select(vector => vector == 0 ? 0 : 1), bench.Model.Raised[..(1 + (2 * MaxPairs))]);
        Assert.DoesNotContain(1, bench.Model.Raised[(1 + (2 * MaxPairs))..]);
        bench.AssertClean();
    }

    [Fact]
    public void With_rss_the_table_spreads_over_all_pairs()
    {
        using VirtioNetBench bench = New(Several | VirtioNetFeatures.Rss).Started();
        (_, byte kind, byte[] data) = Assert.Single(bench.Commands, command => command.Class == SteeringClass);
        // struct virtio_net_rss_config [V §5.1.6.5.7.1].
        Assert.Equal((1, 0x3fu, 127, 0), (kind, BinaryPrimitives.ReadUInt32LittleEndian(data), Word(data, 4), Word(data, 6)));
        Assert.Equal(Enumerable.Range(0, 128).Select(i => i % MaxPairs), Enumerable.Range(0, 128).Select(i => Word(data, 8 + (2 * i))));
        Assert.Equal((MaxPairs, 40, 8 + 256 + 3 + 40), ((byte)Word(data, 264), (int)data[266], data.Length));
        bench.AssertClean();
        using VirtioNetBench one = New(Several | VirtioNetFeatures.Rss, pairs: 1).Started();
        Assert.Equal(VirtioFeatures.None, one.Model.Accepted & VirtioNetFeatures.Rss);
        Assert.DoesNotContain(one.Commands, command => command.Class == SteeringClass);
    }

    /// <summary>A device that hashes keeps frames waiting for a notification that nothing else is a reason for.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Where_the_device_hashes_receive_queues_are_notified_once_a_second(bool rss)
    {
        using VirtioNetBench bench = New(rss ? Several | VirtioNetFeatures.Rss : Several).Started();
        int[] before = [.. bench.Model.Notified];
        bench.Driver.OnTimer();
        for (int pair = 0; pair < MaxPairs; pair++) Assert.Equal((before[2 * pair] + (rss ? 1 : 0), before[(2 * pair) + 1]), (bench.Model.Notified[2 * pair], bench.Model.Notified[(2 * pair) + 1]));
        bench.AssertClean();
    }

    [Fact]
    public void More_pairs_than_there_are_are_refused_and_nothing_has_changed()
    {
        using VirtioNetBench bench = New(Several).Started();
        bench.Driver.Detach();
        Assert.Contains("4 pair(s)", Assert.Throws<ArgumentException>(() => bench.Driver.Prepare(5, NetworkWishes.None)).Message, StringComparison.Ordinal);
        Assert.Equal(MaxPairs, bench.Driver.Pairs.Count);
        using VirtioNetBench one = new VirtioNetBench().Started();
        Assert.Throws<ArgumentException>(() => one.Driver.Prepare(2, NetworkWishes.None));
        one.Poll();
    }

    [Fact]
    public void A_device_that_refuses_what_it_offers_is_a_fault()
    {
        using VirtioNetBench bench = New(Several);
        bench.Answer = (kind, _) => kind == SteeringClass ? 1 : 0;
        _ = bench.Driver.Start();
        Assert.Contains("refuses 4 pairs", Assert.Throws<DeviceFaultException>(() => bench.Driver.Prepare(MaxPairs, NetworkWishes.None)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "max_virtqueue_pairs is 0")]
    [InlineData(0x8001, "max_virtqueue_pairs is 32769")]
    public void A_number_of_pairs_that_cannot_be_is_a_fault(int pairs, string named)
    {
        byte[] config = Config();
        BinaryPrimitives.WriteUInt16LittleEndian(config.AsSpan(8), (ushort)pairs);
        using VirtioNetBench bench = new(Several, device: options => options with { Config = config });
        Assert.Contains(named, Assert.Throws<DeviceFaultException>(() => bench.Driver.Start()).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(39, 128)]
    [InlineData(40, 127)]
    public void Less_than_what_rss_needs_is_a_fault(byte key, byte entries)
    {
        byte[] config = Config();
        (config[17], config[18]) = (key, entries);
        using VirtioNetBench bench = new(Several | VirtioNetFeatures.Rss, device: options => options with { Config = config, Queues = 9 }) { Pairs = MaxPairs };
        Assert.Contains("the least", Assert.Throws<DeviceFaultException>(() => bench.Started()).Message, StringComparison.Ordinal);
    }

    private static VirtioNetBench New(VirtioFeatures features, VirtioNetOptions? options = null, int pairs = MaxPairs, int vectors = 3)
        => new(features, options, device => device with { Config = Config(), Queues = (2 * MaxPairs) + 1, Vectors = vectors }) { Pairs = pairs };

    /// <summary>The usual one, with four pairs and what RSS can do: hashes 0 to 5, 128 entries, a key of 40 bytes [V §5.1.4].</summary>
    private static byte[] Config()
    {
        byte[] config = [.. VirtioNetBench.UsualConfig, 0, 0, 0, 0];
        config[8] = MaxPairs;
        (config[17], config[18], config[20]) = (40, 128, 0x3f);
        return config;
    }

    private static int Word(byte[] data, int at) => BinaryPrimitives.ReadUInt16LittleEndian(data.AsSpan(at));

    /// <summary>Gives a frame to send, and room for one, to a pair.</summary>
    private void Send(VirtioNetBench bench, int pair, int bytes)
    {
        uint offset = FakeNetworkClient.OffsetOf((uint)pair);
        Packets.Plain(bytes, pair).CopyTo(bench.Client.TxPool.Memory!.Slice(offset, bytes));
        Assert.Equal(1u, _client[pair].Submit.Reserve(1));
        _client[pair].Submit[0] = new NetBuffer { Grant = bench.Client.TxGrant.Handle, Offset = offset, Length = (uint)bytes, Cookie = (ulong)pair };
        _client[pair].Submit.Publish(1);
        Assert.Equal(1u, _client[pair].Free.Reserve(1));
        _client[pair].Free[0] = new NetBuffer { Grant = bench.Client.RxGrant.Handle, Offset = offset, Length = FakeNetworkClient.BufferBytes, Cookie = (ulong)pair };
        _client[pair].Free.Publish(1);
        Serve(bench, pair);
    }

    private void Serve(VirtioNetBench bench, int number)
    {
        INetworkPair pair = bench.Driver.Pairs[number];
        _ = pair.RxReturn(_driver[number].Received);
        _ = pair.RxProvide(_driver[number].Free);
        _ = pair.TxProvide(_driver[number].Submit);
        _ = pair.TxReturn(_driver[number].Completed);
    }

    private static byte[] Sent(VirtioNetBench bench, int number)
    {
        DeviceQueue queue = bench.Model.Queue((ushort)number)!;
        DeviceChain chain = queue.Pop() ?? throw new InvalidOperationException($"nothing was sent on queue {number}");
        byte[] frame = chain.Read(bench.Model.Dma)[VirtioNetBench.HeaderBytes..];
        queue.Use(chain, 0);
        Assert.Null(queue.Pop());
        _ = bench.Model.Flush((ushort)number);
        return frame;
    }

    private static void Receive(VirtioNetBench bench, int number, byte[] frame)
    {
        DeviceQueue queue = bench.Model.Queue((ushort)number)!;
        DeviceChain chain = queue.Pop() ?? throw new InvalidOperationException($"no room on queue {number}");
        queue.Use(chain, chain.Write(bench.Model.Dma, [.. new byte[VirtioNetBench.HeaderBytes], .. frame]));
        _ = bench.Model.Flush((ushort)number);
    }
}
