using System.Buffers.Binary;
using Xinim.Drivers.Network.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>Frames with the hash that the device has made: headers of 20 bytes both ways [V §5.1.6, §5.1.6.4.4, §5.1.6.5.6.4].</summary>
public sealed class VirtioNetHashTests
{
    private const VirtioFeatures Hashes = VirtioNetBench.Everything | VirtioNetFeatures.HashReport;
    private const int HeaderBytes = 20;
    private const byte SteeringClass = 4, SetRss = 1, SetHash = 2;
    private const ushort LastKind = 9;

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void Each_frame_has_its_hash_and_what_that_is_of(bool packed, bool checksums)
    {
        using VirtioNetBench bench = New(Hashes, new VirtioNetOptions { Packed = packed, RxChecksum = checksums }).Started(post: 64);
        for (ushort kind = 0; kind <= LastKind; kind++)
        {
            byte[] frame = Packets.Plain(60 + kind, kind);
            Receive(bench, frame, 0xdead_0000u + kind, kind);
            bench.Poll();
            (NetBuffer last, byte[] received) = Assert.Single(bench.Client.TakeReceived());
            Assert.Equal(frame, received);
            Assert.Equal(kind == 0 ? NetFlags.None : NetFlags.Hash, last.Flags);
            if (kind != 0) Assert.Equal((0xdead_0000u + kind, (HashKind)kind), (last.Hash, last.HashKind));
        }

        bench.AssertClean();
    }

    /// <summary>A frame of several buffers has it in the last one, as all results.</summary>
    [Fact]
    public void A_frame_of_several_buffers_has_one_hash()
    {
        using VirtioNetBench bench = New(Hashes);
        bench.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        _ = bench.Started(post: 64);
        byte[] frame = Packets.Plain(5000);
        Receive(bench, frame, 7, 2);
        bench.Poll();
        // Those of its place that it did not need come back after it.
        (NetBuffer last, byte[] received) = bench.Client.TakeReceived()[0];
        Assert.Equal(frame, received);
        Assert.Equal((NetFlags.Hash, 7u, HashKind.TcpIpv4), (last.Flags, last.Hash, last.HashKind));
        Assert.Equal(NetFlags.More, bench.Client.FirstOfFrames[0].Flags);
        bench.AssertClean();
    }

    [Theory]
    [InlineData(LastKind + 1)]
    [InlineData(ushort.MaxValue)]
    public void A_kind_that_there_is_not_is_no_hash(ushort kind)
    {
        using VirtioNetBench bench = New(Hashes).Started(post: 16);
        Receive(bench, Packets.Plain(60), 1, kind);
        bench.Poll();
        Assert.Equal(NetFlags.None, Assert.Single(bench.Client.TakeReceived()).Last.Flags);
        bench.AssertClean();
    }

    [Fact]
    public void Less_than_a_header_is_a_fault()
    {
        using VirtioNetBench bench = New(Hashes).Started(post: 16);
        DeviceQueue queue = bench.Model.Queue(VirtioNetBench.Rx)!;
        queue.Use(queue.Pop()!, HeaderBytes - 1);
        Assert.Contains("19 bytes, less than its header's 20", Assert.Throws<DeviceFaultException>(bench.Poll).Message, StringComparison.Ordinal);
    }

    /// <summary>Before the frame where the client has room for it, or with all others; and with requests.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_is_sent_has_a_header_as_long_with_zeroes_at_its_end(bool headroom)
    {
        using VirtioNetBench bench = New(Hashes, new VirtioNetOptions { Headroom = headroom });
        Assert.Equal(headroom ? HeaderBytes : 0, bench.Driver.Start().TxHeadroom);
        bench.Driver.Prepare(1, NetworkWishes.ReceiveHash);
        bench.Driver.Attach(bench.Client.Buffers);
        bench.Client.Headroom = headroom ? NetFlags.Headroom : NetFlags.None;
        byte[] plain = Packets.Plain(60, 1), summed = Packets.Ip(40, complete: false);
        bench.Client.Send(plain);
        bench.Client.Send(summed, new NetBuffer { Flags = NetFlags.TcpChecksum, LinkHeader = 14, NetworkHeader = 20 });
        bench.Poll();
        Assert.Equal([headroom ? 1 : 2, 2], bench.SentParts);
        Assert.Equal([.. new byte[HeaderBytes], .. plain], Whole(bench, 0));
        Assert.Equal([1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, .. summed], Whole(bench, 1));
        bench.AssertClean();
    }

    [Fact]
    public void The_device_is_told_what_to_hash_by_the_one_command_or_the_other()
    {
        using VirtioNetBench one = New(Hashes | VirtioNetFeatures.MultiQueue | VirtioNetFeatures.Rss).Started();
        (_, byte command, byte[] data) = Assert.Single(one.Commands, command => command.Class == SteeringClass);
        // struct virtio_net_hash_config: types, four reserved words, length and key.
        Assert.Equal((SetHash, 0x3fu, 0ul, (byte)40, 4 + 8 + 1 + 40), (command, BinaryPrimitives.ReadUInt32LittleEndian(data), BinaryPrimitives.ReadUInt64LittleEndian(data.AsSpan(4)), data[12], data.Length));
        Assert.Equal([0x6d, 0x5a, 0x56, 0xda], data[13..17]);
        one.AssertClean();

        using VirtioNetBench several = New(Hashes | VirtioNetFeatures.MultiQueue | VirtioNetFeatures.Rss, pairs: 2).Started();
        Assert.Equal(SetRss, Assert.Single(several.Commands, command => command.Class == SteeringClass).Command);
        several.AssertClean();

        using VirtioNetBench plain = New(Hashes | VirtioNetFeatures.MultiQueue, pairs: 2).Started();
        Assert.Equal([0, SetHash], plain.Commands.Where(command => command.Class == SteeringClass).Select(command => command.Command));
        plain.AssertClean();
    }

    [Fact]
    public void Who_does_not_ask_or_asks_for_large_frames_has_short_headers()
    {
        using VirtioNetBench unasked = New(Hashes, wishes: NetworkWishes.None).Started(post: 16);
        Assert.Equal(VirtioFeatures.None, unasked.Model.Accepted & VirtioNetFeatures.HashReport);
        Assert.True(unasked.Receive(Packets.Plain(60)));
        unasked.Poll();
        Assert.Equal(Packets.Plain(60), Assert.Single(unasked.Client.TakeReceived()).Frame);
        Assert.DoesNotContain(unasked.Commands, command => command.Class == SteeringClass);

        using VirtioNetBench large = New(Hashes | VirtioNetFeatures.MergeBuffers, wishes: NetworkWishes.LargeReceive | NetworkWishes.ReceiveHash);
        Assert.Equal(NetworkWishes.LargeReceive | NetworkWishes.ReceiveHash, large.Driver.Start().Able);
        _ = large.Started(post: 64);
        Assert.Equal(VirtioNetFeatures.MergeBuffers, large.Model.Accepted & (VirtioNetFeatures.HashReport | VirtioNetFeatures.MergeBuffers));
    }

    [Theory]
    [InlineData(VirtioNetBench.Everything)]
    [InlineData(Hashes & ~VirtioNetFeatures.ControlQueue)]
    public void A_device_that_cannot_says_so_and_the_wish_is_passed_over(VirtioFeatures features)
    {
        using VirtioNetBench bench = New(features);
        Assert.Equal(NetworkWishes.None, bench.Driver.Start().Able);
        _ = bench.Started(post: 16);
        Assert.True(bench.Receive(Packets.Plain(60)));
        bench.Poll();
        Assert.Equal(Packets.Plain(60), Assert.Single(bench.Client.TakeReceived()).Frame);
        bench.AssertClean();
    }

    [Fact]
    public void A_device_that_refuses_or_has_too_short_a_key_is_a_fault()
    {
        using VirtioNetBench refuses = New(Hashes);
        refuses.Answer = (kind, _) => kind == SteeringClass ? 1 : 0;
        Assert.Contains("refuses to tell hashes", Assert.Throws<DeviceFaultException>(() => refuses.Started()).Message, StringComparison.Ordinal);

        using VirtioNetBench brief = new(Hashes, null, device => device with { Config = Config(key: 39) }) { Wishes = NetworkWishes.ReceiveHash };
        Assert.Contains("a key of 39 bytes; 40 are the least", Assert.Throws<DeviceFaultException>(() => brief.Started()).Message, StringComparison.Ordinal);
    }

    private static VirtioNetBench New(VirtioFeatures features, VirtioNetOptions? options = null, int pairs = 1, NetworkWishes wishes = NetworkWishes.ReceiveHash)
        => new(features, options, device => device with { Config = Config(), Queues = 5 }) { Pairs = pairs, Wishes = wishes };

    /// <summary>The usual one, with two pairs, hashes 0 to 5, 128 entries and a key [V §5.1.4].</summary>
    private static byte[] Config(byte key = 40)
    {
        byte[] config = [.. VirtioNetBench.UsualConfig, 0, 0, 0, 0];
        config[8] = 2;
        (config[17], config[18], config[20]) = (key, 128, 0x3f);
        return config;
    }

    private static byte[] Whole(VirtioNetBench bench, int number) => [.. bench.Sent[number].Header, .. bench.Sent[number].Frame];

    private static void Receive(VirtioNetBench bench, byte[] frame, uint hash, ushort kind)
    {
        byte[] header = new byte[HeaderBytes];
        header[10] = 1;
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(12), hash);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(16), kind);
        DeviceQueue queue = bench.Model.Queue(VirtioNetBench.Rx)!;
        DeviceChain chain = queue.Pop() ?? throw new InvalidOperationException("no room for a frame");
        queue.Use(chain, chain.Write(bench.Model.Dma, [.. header, .. frame]));
        _ = bench.Model.Flush(VirtioNetBench.Rx);
    }
}
