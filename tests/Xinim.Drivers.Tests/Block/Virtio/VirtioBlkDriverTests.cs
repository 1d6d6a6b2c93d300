using System.Buffers.Binary;
using Xinim.Drivers.Block.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Virtio;

/// <summary>What the device says of itself [V §5.2.3, §5.2.4], its changes, and the ways to an end.</summary>
public sealed class VirtioBlkDriverTests
{
    public static TheoryData<int> Bits => [1, 2, 5, 6, 9, 10, 11, 12, 13, 14, 28, 29, 34, 36];

    [Theory]
    [MemberData(nameof(Bits))]
    public void Each_feature_is_taken_where_it_is_offered_and_only_there(int bit)
    {
        VirtioFeatures feature = (VirtioFeatures)(1ul << bit);
        Assert.Equal(feature, Accepted((VirtioFeatures)ulong.MaxValue) & feature);
        Assert.Equal(VirtioFeatures.None, Accepted((VirtioFeatures)ulong.MaxValue & ~feature) & feature);
    }

    [Fact]
    public void Nothing_else_is_taken()
    {
        VirtioFeatures known = VirtioBlkBench.Bus;
        foreach (TheoryDataRow<int> bit in Bits) known |= (VirtioFeatures)(1ul << bit.Data);
        Assert.Equal(known, Accepted((VirtioFeatures)ulong.MaxValue));
    }

    [Fact]
    public void The_device_says_what_it_is()
    {
        using VirtioBlkBench bench = new(config: VirtioBlkBench.Config(block: 4096));
        BlockDeviceInfo info = bench.Driver.Start();
        Assert.Equal((256ul, 4096u, 32768u, 1u, 8u, 64u), (info.Blocks, info.LogicalBlockBytes, info.PhysicalBlockBytes, info.AlignmentOffset, info.MinimumBlocks, info.OptimalBlocks));
        Assert.Equal((126u, 1u << 20, 1u, 256u, 1u), (info.MaxSegments, info.MaxSegmentBytes, info.SegmentAlignment, info.QueueDepth, info.Queues));
        Assert.Equal((64u << 20, 128u, 1u, 64u), (info.MaxRequestBytes, info.MaxDiscardBlocks, info.DiscardAlignment, info.MaxZeroesBlocks));
        Assert.Equal(("disk-4711", "virtio-blk"), (info.Serial.ToString(), info.Model.ToString()));
        const BlockFeatures all = BlockFeatures.Flush | BlockFeatures.WriteCache | BlockFeatures.WriteCacheSwitch | BlockFeatures.Discard | BlockFeatures.WriteZeroes | BlockFeatures.ZeroesMayUnmap | BlockFeatures.GetId;
        Assert.Equal(all, info.Features);
        bench.AssertClean();
    }

    [Fact]
    public void A_device_of_nothing_but_the_bus_features_works()
    {
        using VirtioBlkBench bench = new(VirtioBlkBench.Bus, config: [0, 8, 0, 0, 0, 0, 0, 0]);
        BlockDeviceInfo info = bench.Driver.Start();
        Assert.Equal((2048ul, 512u, 512u, 1u, BlockFeatures.GetId), (info.Blocks, info.LogicalBlockBytes, info.PhysicalBlockBytes, info.MaxSegments, info.Features));
        bench.AssertClean();
    }

    [Theory]
    [InlineData(0u, 4096u, 1u, 4096u, 4096u)]
    [InlineData(1u, 4096u, 1u, 4096u, 4096u)]
    [InlineData(4u, 1000u, 4u, 1000u, 3584u)]
    [InlineData(uint.MaxValue, uint.MaxValue, 126u, 4u << 20, 64u << 20)]
    public void Limits_are_those_of_the_device_and_of_the_driver(uint segments, uint size, uint maxSegments, uint maxSegment, uint maxRequest)
    {
        using VirtioBlkBench bench = new(config: VirtioBlkBench.Config(segments: segments, size: size));
        BlockDeviceInfo info = bench.Driver.Start();
        Assert.Equal((maxSegments, maxSegment, maxRequest), (info.MaxSegments, info.MaxSegmentBytes, info.MaxRequestBytes));
    }

    [Theory]
    [InlineData(20, 0u, "blk_size is 0")]
    [InlineData(20, 256u, "blk_size is 256")]
    [InlineData(20, 1000u, "blk_size is 1000")]
    [InlineData(20, 1u << 17, "blk_size is 131072")]
    [InlineData(8, 511u, "size_max is 511")]
    [InlineData(4, 0xffff_ffffu, "more than bytes can be counted")]
    [InlineData(24, 17u, "physical_block_exp is 17")]
    [InlineData(32, 1u, "num_queues is 0")]
    public void A_configuration_that_cannot_be_is_a_fault(int offset, uint value, string named)
    {
        byte[] config = VirtioBlkBench.Config();
        VirtioBlkBench.Put(config, offset, value);
        using VirtioBlkBench bench = new(config: config);
        Assert.Contains(named, Assert.Throws<DeviceFaultException>(() => bench.Driver.Start()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_physical_block_of_four_gigabytes_is_a_fault()
    {
        byte[] config = VirtioBlkBench.Config(block: 1 << 16);
        config[24] = 16;
        using VirtioBlkBench bench = new(config: config);
        Assert.Contains("physical_block_exp is 16", Assert.Throws<DeviceFaultException>(() => bench.Driver.Start()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_without_queues_is_a_fault()
    {
        using VirtioBlkBench bench = new(device: options => options with { Queues = 0 });
        Assert.Contains("queue 0", Assert.Throws<DeviceFaultException>(() => bench.Driver.Start()).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true, true, 1, BlockFeatures.WriteCache | BlockFeatures.WriteCacheSwitch | BlockFeatures.Flush)]
    [InlineData(true, true, 0, BlockFeatures.WriteCacheSwitch | BlockFeatures.Flush)]
    [InlineData(true, false, 0, BlockFeatures.WriteCache | BlockFeatures.Flush)]
    [InlineData(false, false, 1, BlockFeatures.None)]
    public void The_cache_follows_from_flush_and_switch(bool flush, bool cacheSwitch, byte writeback, BlockFeatures expected)
    {
        byte[] config = VirtioBlkBench.Config();
        config[32] = writeback;
        VirtioFeatures features = VirtioBlkBench.Bus | (flush ? VirtioBlkFeatures.Flush : 0) | (cacheSwitch ? VirtioBlkFeatures.ConfigWriteCache : 0);
        using VirtioBlkBench bench = new(features, config: config);
        Assert.Equal(expected | BlockFeatures.GetId, bench.Driver.Start().Features);
    }

    [Fact]
    public void The_write_cache_is_switched_and_reported()
    {
        using VirtioBlkBench bench = new VirtioBlkBench().Started();
        bench.Driver.SetWriteCache(false);
        Assert.Equal(0, bench.Model.Config[32]);
        Assert.True(bench.Driver.TryTakeChange(out BlockDeviceInfo info));
        Assert.False(info.Has(BlockFeatures.WriteCache));
        Assert.False(bench.Driver.TryTakeChange(out _));
        bench.Driver.SetWriteCache(true);
        Assert.True(bench.Driver.TryTakeChange(out info));
        Assert.True(info.Has(BlockFeatures.WriteCache));
        using VirtioBlkBench without = new VirtioBlkBench(VirtioBlkBench.Bus).Started();
        Assert.Throws<ArgumentException>(() => without.Driver.SetWriteCache(true));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(1)]
    [InlineData(0)]
    public void A_new_size_is_told_once_and_holds(int vectors)
    {
        using VirtioBlkBench bench = new VirtioBlkBench(device: options => options with { Vectors = vectors }).Started();
        bench.Model.Interrupt = bench.Driver.OnInterrupt;
        byte[] capacity = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(capacity, 1024);
        bench.Model.ChangeConfig(0, capacity);
        if (vectors == 0) bench.Driver.OnInterrupt(0);
        Assert.True(bench.Driver.TryTakeChange(out BlockDeviceInfo info));
        Assert.Equal(1024ul, info.Blocks);
        Assert.False(bench.Driver.TryTakeChange(out _));
        bench.Submit(BlockOperation.Read, 1024, 1, 1, segments: bench.Segment(0, 512));
        bench.Submit(BlockOperation.Read, 1023, 1, 2, segments: bench.Segment(0, 512));
        bench.Poll();
        bench.Poll();
        Assert.Equal([BlockStatus.OutOfRange, BlockStatus.Ok], bench.Take().OrderBy(done => done.Cookie).Select(done => done.Status));
        Assert.Equal(1ul, bench.Driver.Statistics.Interrupts);
    }

    [Theory]
    [InlineData("disk\0rest of it", "disk")]
    [InlineData("01234567890123456789", "01234567890123456789")]
    [InlineData("  two words\r\n\u001b[2J ", "twowords[2J")]
    [InlineData("", "")]
    public void A_serial_number_is_one_word_of_plain_text(string says, string serial)
    {
        using VirtioBlkBench bench = new() { Id = System.Text.Encoding.Latin1.GetBytes(says) };
        Assert.Equal(serial, bench.Driver.Start().Serial.ToString());
    }

    [Fact]
    public void A_device_that_has_no_serial_number_has_none()
    {
        using VirtioBlkBench bench = new() { Answer = seen => seen.Type == VirtioBlkBench.GetId ? 2 : 0 };
        Assert.Equal("", bench.Driver.Start().Serial.ToString());
    }

    [Theory]
    [InlineData(2u, false)]
    [InlineData(1u, true)]
    public void A_queue_that_holds_no_request_is_a_fault(uint size, bool tables)
    {
        using VirtioBlkBench bench = new(options: new VirtioBlkOptions { Indirect = tables }, device: options => options with { QueueSize = size });
        Assert.Contains("holds no request", Assert.Throws<DeviceFaultException>(() => bench.Driver.Start()).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(VirtioMisbehaviour.RefusesFeatures, "does not accept the features")]
    [InlineData(VirtioMisbehaviour.StuckReset, "device_status")]
    [InlineData(VirtioMisbehaviour.NoQueues, "queue 0")]
    [InlineData(VirtioMisbehaviour.HugeQueueSize, "65536")]
    [InlineData(VirtioMisbehaviour.RestlessConfig, "config_generation")]
    [InlineData(VirtioMisbehaviour.RefusesVectors, "vector")]
    [InlineData(VirtioMisbehaviour.NeedsReset, "DEVICE_NEEDS_RESET")]
    public void A_device_that_breaks_the_bring_up_ends_the_start(VirtioMisbehaviour misbehaviour, string named)
    {
        using VirtioBlkBench bench = new(device: options => options with { Misbehaviour = misbehaviour });
        Assert.Contains(named, Assert.Throws<DeviceFaultException>(() => bench.Driver.Start()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_type_of_device_is_refused()
    {
        using VirtioModel nic = new(new VirtioModelOptions(VirtioDeviceType.Network));
        using VirtioBlkBench bench = new();
        Assert.Contains("type 1", Assert.Throws<DeviceFaultException>(() => new VirtioBlkDriver(nic, bench.Arena, bench.Log.Add, new VirtioBlkOptions())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_finishes_nothing_is_a_fault_after_two_minutes()
    {
        using VirtioBlkBench bench = new VirtioBlkBench().Started();
        for (int i = 0; i < 200; i++) bench.Driver.OnTimer();
        bench.Hold = true;
        bench.Submit(BlockOperation.Flush, 0, 0, 1);
        bench.Poll();
        for (int i = 0; i < 119; i++) bench.Driver.OnTimer();
        Assert.Contains("120 s", Assert.Throws<DeviceFaultException>(bench.Driver.OnTimer).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(200u, 1u, "buffer 200")]
    [InlineData(ushort.MaxValue, 1u, "buffer 65535")]
    [InlineData(0u, 514u, "514 bytes written")]
    public void A_completion_that_cannot_be_is_a_fault(uint id, uint written, string named)
    {
        foreach (bool packed in (bool[])[false, true])
        {
            using VirtioBlkBench bench = new VirtioBlkBench(options: new VirtioBlkOptions { Packed = packed }).Started();
            bench.Hold = true;
            bench.Submit(BlockOperation.Read, 0, 1, 1, segments: bench.Segment(0, 512));
            bench.Poll();
            uint existing = bench.Model.Queue(0)!.Pop()!.Id;
            bench.Model.Queue(0)!.Forge(id == 0 ? existing : id, written);
            Assert.Contains(id == 0 ? "514 bytes written" : named, Assert.Throws<DeviceFaultException>(bench.Poll).Message, StringComparison.Ordinal);
            Assert.Empty(bench.Take());
        }
    }

    [Fact]
    public void A_request_that_is_finished_twice_is_a_fault()
    {
        using VirtioBlkBench bench = new VirtioBlkBench().Started();
        bench.Hold = true;
        bench.Submit(BlockOperation.Flush, 0, 0, 1);
        bench.Submit(BlockOperation.Flush, 0, 0, 2);
        bench.Poll();
        uint id = bench.Model.Queue(0)!.Pop()!.Id;
        bench.Serve(0);
        bench.Model.Queue(0)!.Forge(id, 1);
        bench.Model.Queue(0)!.Forge(id, 1);
        Assert.Throws<DeviceFaultException>(bench.Poll);
    }

    [Fact]
    public void A_device_that_fails_or_was_reset_is_seen_by_the_timer()
    {
        using VirtioBlkBench fails = new VirtioBlkBench().Started();
        fails.Model.FailNow();
        Assert.Contains("DEVICE_NEEDS_RESET", Assert.Throws<DeviceFaultException>(fails.Driver.OnTimer).Message, StringComparison.Ordinal);
        using VirtioBlkBench reset = new VirtioBlkBench().Started();
        reset.Model.Reset();
        Assert.Contains("somebody else", Assert.Throws<DeviceFaultException>(reset.Driver.OnTimer).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Detach_leaves_nothing_with_the_device_and_a_new_client_works()
    {
        using VirtioBlkBench bench = new VirtioBlkBench().Started();
        bench.Hold = true;
        bench.Submit(BlockOperation.Flush, 0, 0, 1);
        bench.Submit(BlockOperation.Flush, 0, 9, 2);
        bench.Poll();
        Assert.True(bench.Driver.Busy);
        DeviceQueue former = bench.Model.Queue(0)!;
        bench.Driver.Detach();
        Assert.NotSame(former, bench.Model.Queue(0));
        Assert.False(bench.Driver.Busy);
        _ = bench.Take();
        bench.Submit(BlockOperation.Flush, 0, 0, 3);
        bench.Poll();
        _ = bench.Take();
        bench.Hold = false;
        bench.Attach();
        bench.Submit(BlockOperation.Read, 0, 1, 4, segments: bench.Segment(0, 512));
        bench.Poll();
        bench.Serve(0);
        bench.Poll();
        Assert.Contains(new BlockCompletion(4, BlockStatus.Ok), bench.Take());
        Assert.Equal(1ul, bench.Driver.Statistics.Rejected);
        Assert.Equal(2, bench.Model.Synchronized);
        bench.AssertClean();
    }

    [Fact]
    public void Stop_and_dispose_reset_the_device_once()
    {
        using VirtioBlkBench bench = new VirtioBlkBench().Started();
        bench.Driver.Stop();
        Assert.Equal(VirtioStatus.None, bench.Model.Status);
        int resets = bench.Model.Resets;
        bench.Driver.Dispose();
        Assert.Equal(resets, bench.Model.Resets);
    }

    private static VirtioFeatures Accepted(VirtioFeatures offered)
    {
        using VirtioBlkBench bench = new(offered);
        _ = bench.Driver.Start();
        bench.AssertClean();
        return bench.Model.Accepted;
    }
}
