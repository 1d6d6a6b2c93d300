using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Memory;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio;

/// <summary>The model that drivers are tested on tells right from wrong.</summary>
public sealed class VirtioModelTests
{
    private const VirtioFeatures Offered = VirtioFeatures.Version1 | VirtioFeatures.AccessPlatform | VirtioFeatures.EventIndex | VirtioFeatures.RingReset;
    private static readonly VirtioModelOptions s_options = new(VirtioDeviceType.Network) { Features = Offered, Config = [1, 2, 3, 4], NeedsAccessPlatform = true };

    [Fact]
    public void A_driver_by_the_book_gets_its_buffers_and_interrupts()
    {
        using VirtioModel model = new(s_options);
        BringUp(model, Offered);
        DmaArena arena = new(model.Dma.Map("work", 1 << 16, RegionAccess.ReadWrite));
        SplitQueue queue = new(Offered, arena, 16);
        model.SetConfigVector(0);
        VirtioDoorbell doorbell = model.SetUpQueue(1, queue.Memory, 2);
        model.Status |= VirtioStatus.DriverOk;
        model.Notify = number =>
        {
            DeviceChain chain = model.Queue(number)!.Pop()!;
            model.Queue(number)!.Use(chain, chain.Write(model.Dma, [9, 8, 7]));
            Assert.True(model.Flush(number));
        };
        Assert.True(queue.EnableInterrupts());
        DmaBuffer<byte> buffer = arena.Allocate<byte>(4, 4);
        Assert.Equal(0, queue.Add(buffer.Iova, 4, deviceWrites: true));
        Assert.True(queue.Publish());
        doorbell.Ring();
        Assert.Equal((0, 3u), (queue.Take(out uint written), written));
        Assert.Equal((9, 7), (buffer[0], buffer[2]));
        Assert.Equal([0, 0, 1], model.Raised);
        Assert.Equal([0, 1], model.Notified);
        Assert.Equal(VirtioInterrupts.Queue, model.TakeInterrupts());
        model.ChangeConfig(1, [7]);
        Assert.Equal([1, 0, 1], model.Raised);
        Assert.Equal(VirtioInterrupts.Configuration, model.TakeInterrupts());
        byte[] config = new byte[4];
        model.ReadConfig(0, config, 2);
        Assert.Equal([1, 7, 3, 4], config);
        Assert.Empty(model.Violations);
        Assert.Empty(model.Dma.Faults);
    }

    [Theory]
    [InlineData(VirtioFeatures.EventIndex)]
    [InlineData(VirtioFeatures.Version1)]
    [InlineData(VirtioFeatures.Version1 | VirtioFeatures.AccessPlatform | VirtioFeatures.InOrder)]
    public void Features_that_it_cannot_live_with_are_refused(VirtioFeatures accepted)
    {
        using VirtioModel model = new(s_options);
        BringUp(model, accepted);
        Assert.Equal(VirtioStatus.Acknowledge | VirtioStatus.Driver, model.Status);
        Assert.Equal((accepted & ~Offered) != 0, model.Violations.Any());
    }

    [Fact]
    public void Steps_out_of_order_are_written_down()
    {
        Wrong(model => model.Status = VirtioStatus.Driver);
        Wrong(model => model.WriteFeatures(Offered));
        Wrong(model => model.SetUpQueue(0, default, null));
        Wrong(model =>
        {
            BringUp(model, Offered);
            model.Status = VirtioStatus.DriverOk;
        });
        Wrong(model =>
        {
            BringUp(model, Offered);
            SplitQueue queue = new(Offered, new DmaArena(model.Dma.Map("work", 1 << 16, RegionAccess.ReadWrite)), 16);
            model.SetUpQueue(0, queue.Memory, null).Ring();
        });
        Wrong(model =>
        {
            BringUp(model, Offered & ~VirtioFeatures.RingReset);
            model.ResetQueue(0);
        });
        Wrong(model => model.ReadConfig(1, new byte[2], 2));
    }

    [Fact]
    public void It_misbehaves_as_it_is_told()
    {
        using VirtioModel refuses = With(VirtioMisbehaviour.RefusesFeatures);
        BringUp(refuses, Offered);
        Assert.Equal(VirtioStatus.None, refuses.Status & VirtioStatus.FeaturesOk);
        Assert.Throws<DeviceFaultException>(With(VirtioMisbehaviour.StuckReset).Reset);
        Assert.Equal(0u, With(VirtioMisbehaviour.NoQueues).MaxQueueSize(0));
        Assert.Equal(255u, With(VirtioMisbehaviour.OddQueueSize).MaxQueueSize(0));
        Assert.Equal(65536u, With(VirtioMisbehaviour.HugeQueueSize).MaxQueueSize(0));
        Assert.Throws<DeviceFaultException>(() => With(VirtioMisbehaviour.RestlessConfig).ReadConfig(0, new byte[1], 1));
        Assert.Throws<DeviceFaultException>(() => With(VirtioMisbehaviour.RefusesVectors).SetConfigVector(0));
        Assert.Throws<DeviceFaultException>(() => With(VirtioMisbehaviour.None).ReadConfig(2, new byte[4], 1));
        using VirtioModel fails = With(VirtioMisbehaviour.NeedsReset);
        BringUp(fails, Offered);
        fails.SetConfigVector(1);
        fails.Status |= VirtioStatus.DriverOk;
        Assert.Equal([0, 1, 0], fails.Raised);
        Assert.NotEqual(VirtioStatus.None, fails.Status & VirtioStatus.NeedsReset);
    }

    private static VirtioModel With(VirtioMisbehaviour misbehaviour) => new(s_options with { Misbehaviour = misbehaviour });

    private static void BringUp(VirtioModel model, VirtioFeatures accepted)
    {
        model.Reset();
        model.Status = VirtioStatus.Acknowledge;
        model.Status |= VirtioStatus.Driver;
        model.WriteFeatures(accepted);
        model.Status |= VirtioStatus.FeaturesOk;
    }

    private static void Wrong(Action<VirtioModel> act)
    {
        using VirtioModel model = new(s_options);
        act(model);
        Assert.NotEmpty(model.Violations);
    }
}
