using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio.Transports;

/// <summary>The registers of virtio over PCI, in widths and in order as [V §4.1] has them. [V] = Virtual I/O Device (VIRTIO) Version 1.2.</summary>
public sealed class VirtioPciTransportTests
{
    private const ulong RingReset = (ulong)VirtioFeatures.RingReset;
    private static readonly VirtQueueMemory s_memory = new(64, new Iova(0x12_3456_7000), new Iova(0x23_4567_8000), new Iova(0x34_5678_9000));

    [Fact]
    public void Features_are_read_and_written_in_two_halves()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Features = 0x8123_4567_89ab_cdef });
        VirtioPciTransport transport = Open(model);
        Assert.Equal((VirtioFeatures)0x8123_4567_89ab_cdef, transport.ReadFeatures());
        transport.WriteFeatures((VirtioFeatures)0x8003_0000_0000_0021);
        Assert.Equal(0x8003_0000_0000_0021ul, model.Accepted);
        Assert.Empty(model.Violations);
    }

    [Fact]
    public void The_bus_master_bit_comes_on_after_the_reset_is_done()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { ResetReads = 3 }) { Status = 15 };
        VirtioPciTransport transport = Open(model);
        Assert.False(model.Device.FakeConfig.BusMaster);
        transport.Reset();
        transport.Status = VirtioStatus.Acknowledge;
        transport.Status |= VirtioStatus.Driver;
        Assert.Equal(["status 0", "bus master on", "status 1", "status 3"], model.Events);
        Assert.Equal(VirtioStatus.Acknowledge | VirtioStatus.Driver, transport.Status);
        Assert.Empty(model.Violations);
    }

    [Fact]
    public void A_reset_that_never_completes_is_a_fault_and_leaves_dma_off()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { ResetReads = -1 });
        Assert.Contains("device_status", Assert.Throws<DeviceFaultException>(Open(model).Reset).Message, StringComparison.Ordinal);
        Assert.False(model.Device.FakeConfig.BusMaster);
    }

    [Fact]
    public void A_queue_is_selected_described_and_enabled_last()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions());
        VirtioPciTransport transport = Open(model);
        transport.Reset();
        VirtioDoorbell doorbell = transport.SetUpQueue(2, s_memory, 1);
        VirtioPciModel.QueueRegisters queue = model.Queue(2);
        Assert.Equal((64, 1, 1), (queue.Size, queue.Vector, queue.Enabled));
        Assert.Equal(s_memory, new VirtQueueMemory(64, new Iova(queue.Address(0)), new Iova(queue.Address(1)), new Iova(queue.Address(2))));
        Assert.Equal((0, 0), (model.Queue(0).Enabled, model.Queue(1).Enabled));
        model.ForgetEvents();
        doorbell.Ring();
        Assert.Equal(["doorbell 0x8 = 2"], model.Events);
        Assert.Empty(model.Violations);
    }

    [Theory]
    [InlineData(0u, 5, "doorbell 0x0 = 0")]
    [InlineData(2u, 5, "doorbell 0xa = 0")]
    [InlineData(4096u - 2, 1, "doorbell 0xffe = 0")]
    public void A_doorbell_is_where_offset_and_multiplier_say(uint multiplier, ushort offset, string seen)
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Multiplier = multiplier, NotifyOffsets = new Dictionary<int, ushort> { [0] = offset } });
        VirtioPciTransport transport = Open(model);
        transport.Reset();
        transport.SetUpQueue(0, s_memory, null).Ring();
        Assert.Equal(seen, model.Events[^1]);
    }

    [Theory]
    [InlineData(4096u, 1)]
    [InlineData(2u, 0xffff)]
    [InlineData(0x2_0000u, 0x8000)] // wraps to 0 in 32 bits
    public void A_doorbell_outside_the_structure_is_a_fault(uint multiplier, ushort offset)
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Multiplier = multiplier, NotifyOffsets = new Dictionary<int, ushort> { [0] = offset } });
        VirtioPciTransport transport = Open(model);
        transport.Reset();
        Assert.Contains("doorbell", Assert.Throws<DeviceFaultException>(() => transport.SetUpQueue(0, s_memory, null)).Message, StringComparison.Ordinal);
        Assert.Equal(0, model.Queue(0).Enabled);
    }

    [Fact]
    public void An_odd_multiplier_is_refused()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Multiplier = 3 });
        Assert.Contains("notify_off_multiplier is 3", Assert.Throws<DeviceFaultException>(() => Open(model)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sizes_are_those_of_the_queue_that_is_asked_about()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Queues = [256, 0, 32768, 32769] });
        VirtioPciTransport transport = Open(model);
        transport.Reset();
        Assert.Equal((256u, 0u, 32768u), (transport.MaxQueueSize(0), transport.MaxQueueSize(1), transport.MaxQueueSize(2)));
        Assert.Equal(0u, transport.MaxQueueSize(4));
        Assert.Equal(4, transport.QueueCount);
        Assert.Contains("32769", Assert.Throws<DeviceFaultException>(() => transport.MaxQueueSize(3)).Message, StringComparison.Ordinal);
        Assert.Contains("queue 1", Assert.Throws<DeviceFaultException>(() => transport.SetUpQueue(1, s_memory, null)).Message, StringComparison.Ordinal);
        Assert.Contains("queue 9", Assert.Throws<DeviceFaultException>(() => transport.SetUpQueue(9, s_memory, null)).Message, StringComparison.Ordinal);
        Assert.Empty(model.Violations);
    }

    [Fact]
    public void A_vector_that_reads_back_otherwise_is_a_fault()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { RefusedVectors = 1 });
        VirtioPciTransport transport = Open(model);
        transport.Reset();
        transport.SetConfigVector(0);
        _ = transport.SetUpQueue(0, s_memory, 0);
        Assert.Contains("vector 1 for queue 1", Assert.Throws<DeviceFaultException>(() => transport.SetUpQueue(1, s_memory, 1)).Message, StringComparison.Ordinal);
        Assert.Contains("vector 2 for configuration changes", Assert.Throws<DeviceFaultException>(() => transport.SetConfigVector(2)).Message, StringComparison.Ordinal);
        Assert.Equal(0, model.Queue(1).Enabled);
    }

    [Fact]
    public void With_intx_no_vector_is_written_and_the_isr_tells()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { RefusedVectors = 0 });
        VirtioPciTransport transport = new(model.Device, model.Device.EnableInterrupts(InterruptKind.Intx, 1));
        Assert.Equal(0, transport.Vectors);
        transport.Reset();
        transport.SetConfigVector(null);
        _ = transport.SetUpQueue(0, s_memory, null);
        model.Isr = 3;
        Assert.Equal(VirtioInterrupts.Queue | VirtioInterrupts.Configuration, transport.TakeInterrupts());
        Assert.Equal(VirtioInterrupts.None, transport.TakeInterrupts());
        Assert.Empty(model.Violations);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Configuration_is_read_and_written_in_the_fields_widths(int width)
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Config = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] });
        VirtioPciTransport transport = Open(model);
        byte[] bytes = new byte[8];
        transport.ReadConfig(4, bytes, width);
        Assert.Equal([5, 6, 7, 8, 9, 10, 11, 12], bytes);
        Assert.Equal(Enumerable.Range(0, 8 / width).Select(i => ((uint)(4 + (i * width)), width)), model.ConfigAccesses);
        model.ConfigAccesses.Clear();
        transport.WriteConfig(4, new byte[] { 0xa1, 0xa2, 0xa3, 0xa4 }.AsSpan(0, width));
        Assert.Equal([(4u, width)], model.ConfigAccesses);
        Assert.Equal(width == 4 ? 0xa4 : 8, model.Config[7]);
        Assert.Throws<ArgumentOutOfRangeException>(() => transport.WriteConfig(0, new byte[3]));
    }

    [Fact]
    public void A_configuration_that_changes_meanwhile_is_read_again()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Config = [1, 2, 3, 4], ConfigChanges = 1 });
        byte[] bytes = new byte[4];
        Open(model).ReadConfig(0, bytes, 1);
        Assert.Equal([2, 2, 3, 4], bytes);
        Assert.Equal(8, model.ConfigAccesses.Count);
    }

    [Fact]
    public void A_configuration_that_never_rests_is_a_fault()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Config = [1, 2, 3, 4], ConfigChanges = -1 });
        Assert.Contains("config_generation", Assert.Throws<DeviceFaultException>(() => Open(model).ReadConfig(0, new byte[4], 4)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Fields_beyond_the_configuration_are_a_fault()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions
        {
            Capabilities = [.. VirtioPciModelOptions.Usual.Select(place => place.Type == VirtioPciCapability.DeviceType ? place with { Length = 12 } : place)],
            Config = new byte[12],
        });
        VirtioPciTransport transport = Open(model);
        Assert.Equal(12, transport.ConfigLength);
        Assert.Contains("12 bytes, a field ends at 16", Assert.Throws<DeviceFaultException>(() => transport.ReadConfig(8, new byte[8], 4)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => transport.WriteConfig(12, new byte[1]));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    public void A_queue_is_reset_when_the_register_says_so(int reads)
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Features = ulong.MaxValue, QueueResetReads = reads });
        VirtioPciTransport transport = Open(model);
        transport.Reset();
        transport.WriteFeatures((VirtioFeatures)RingReset);
        _ = transport.SetUpQueue(1, s_memory, null);
        transport.ResetQueue(1);
        Assert.Equal("queue 1 reset", model.Events[^1]);
        Assert.Equal(0, model.Queue(1).Enabled);
        _ = transport.SetUpQueue(1, s_memory, null);
        Assert.Equal(1, model.Queue(1).Enabled);
        Assert.Empty(model.Violations);
    }

    [Fact]
    public void A_queue_whose_reset_is_never_done_is_a_fault()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Features = ulong.MaxValue, QueueResetReads = -1 });
        VirtioPciTransport transport = Open(model);
        transport.Reset();
        transport.WriteFeatures((VirtioFeatures)RingReset);
        Assert.Contains("queue_reset", Assert.Throws<DeviceFaultException>(() => transport.ResetQueue(0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_without_the_register_resets_no_queue()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions
        {
            Capabilities = [.. VirtioPciModelOptions.Usual.Select(place => place.Type == VirtioPciCapability.CommonType ? place with { Length = 56 } : place)],
        });
        Assert.Contains("no queue_reset", Assert.Throws<DeviceFaultException>(() => Open(model).ResetQueue(0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unplugged_device_is_a_fault()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { ResetReads = -1 }) { Status = 0xff };
        VirtioPciTransport transport = Open(model);
        Assert.Throws<DeviceFaultException>(new VirtioDevice(transport).CheckHealth);
        Assert.Throws<DeviceFaultException>(transport.Reset);
    }

    private static VirtioPciTransport Open(VirtioPciModel model) => new(model.Device, model.Device.EnableInterrupts(InterruptKind.MsiX, 3));
}
