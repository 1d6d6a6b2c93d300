using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio;

/// <summary>The bring-up of [V §3.1.1] and what ends it.</summary>
public sealed class VirtioDeviceTests
{
    private const VirtioFeatures Bus = VirtioFeatures.Version1 | VirtioFeatures.AccessPlatform;
    private static readonly VirtioModelOptions s_options = new(VirtioDeviceType.Network) { Features = Bus | VirtioFeatures.EventIndex | VirtioFeatures.RingPacked, NeedsAccessPlatform = true };

    [Fact]
    public void Steps_come_in_the_order_of_the_specification()
    {
        VirtioPciModel model = new(new VirtioPciModelOptions { Features = (ulong)(Bus | VirtioFeatures.EventIndex) });
        VirtioDevice device = new(new VirtioPciTransport(model.Device, model.Device.EnableInterrupts(InterruptKind.MsiX, 1)));
        device.Negotiate(_ => VirtioFeatures.EventIndex | VirtioFeatures.RingPacked);
        device.Begin();
        Assert.Equal(["status 0", "bus master on", "status 1", "status 3", "status 11", "status 15"], model.Events);
        Assert.Equal((ulong)(Bus | VirtioFeatures.EventIndex), model.Accepted);
    }

    [Fact]
    public void Only_what_is_offered_and_wanted_is_accepted()
    {
        using VirtioModel model = new(s_options);
        VirtioDevice device = new(model);
        VirtioFeatures seen = VirtioFeatures.None;
        device.Negotiate(offered =>
        {
            seen = offered;
            return VirtioFeatures.EventIndex | VirtioFeatures.InOrder;
        });
        Assert.Equal(s_options.Features, seen);
        Assert.Equal(Bus | VirtioFeatures.EventIndex, device.Features);
        Assert.Equal(device.Features, model.Accepted);
        Assert.True(device.Has(VirtioFeatures.EventIndex));
        Assert.False(device.Has(VirtioFeatures.EventIndex | VirtioFeatures.InOrder));
        Assert.Empty(model.Violations);
    }

    [Theory]
    [InlineData(VirtioFeatures.AccessPlatform, "VIRTIO_F_VERSION_1")]
    [InlineData(VirtioFeatures.None, "VIRTIO_F_VERSION_1")]
    [InlineData(VirtioFeatures.Version1, "iommu_platform=on")]
    public void A_device_that_lacks_what_is_needed_is_given_up(VirtioFeatures offered, string reason)
    {
        using VirtioModel model = new(s_options with { Features = offered });
        Assert.Contains(reason, Refusal(model), StringComparison.Ordinal);
        Assert.Equal(VirtioFeatures.None, model.Accepted);
    }

    [Fact]
    public void Without_an_iommu_in_between_access_platform_is_not_needed()
    {
        using VirtioModel model = new(s_options with { Features = VirtioFeatures.Version1, NeedsAccessPlatform = false });
        VirtioDevice device = new(model);
        device.Negotiate(_ => VirtioFeatures.None);
        device.Begin();
        Assert.Equal(VirtioFeatures.Version1, model.Accepted);
    }

    [Fact]
    public void A_device_that_takes_features_ok_back_is_given_up()
    {
        using VirtioModel model = new(s_options with { Misbehaviour = VirtioMisbehaviour.RefusesFeatures });
        Assert.Contains("does not accept the features 0x300000000", Refusal(model), StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_cannot_go_on_is_a_fault()
    {
        using VirtioModel atOnce = new(s_options with { Misbehaviour = VirtioMisbehaviour.NeedsReset });
        VirtioDevice device = new(atOnce);
        device.Negotiate(_ => VirtioFeatures.None);
        Assert.Contains("DEVICE_NEEDS_RESET", Assert.Throws<DeviceFaultException>(device.Begin).Message, StringComparison.Ordinal);

        using VirtioModel later = new(s_options);
        device = new VirtioDevice(later);
        device.Negotiate(_ => VirtioFeatures.None);
        device.Begin();
        device.CheckHealth();
        later.FailNow();
        Assert.Contains("DEVICE_NEEDS_RESET", Assert.Throws<DeviceFaultException>(device.CheckHealth).Message, StringComparison.Ordinal);
        device.Negotiate(_ => VirtioFeatures.None);
        device.Begin();
    }

    [Fact]
    public void A_device_that_somebody_else_reset_is_a_fault()
    {
        using VirtioModel model = new(s_options);
        VirtioDevice device = new(model);
        device.Negotiate(_ => VirtioFeatures.None);
        device.Begin();
        model.Reset();
        Assert.Contains("reset by somebody else", Assert.Throws<DeviceFaultException>(device.CheckHealth).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, null, null, null)]
    [InlineData(1, 0, 0, 0)]
    [InlineData(2, 0, 1, 1)]
    [InlineData(3, 0, 1, 2)]
    [InlineData(64, 0, 1, 2)]
    public void Vectors_are_one_for_changes_and_one_a_queue_or_shared(int vectors, int? configuration, int? first, int? second)
    {
        VirtioVectors map = new(vectors, queues: 2);
        Assert.Equal((configuration, first, second), (map.Configuration, map.OfQueue(0), map.OfQueue(1)));
    }

    [Fact]
    public void Shared_vectors_never_are_the_one_for_changes()
        => Assert.Equal([1, 2, 3, 1, 2], Enumerable.Range(0, 5).Select(queue => new VirtioVectors(4, queues: 5).OfQueue(queue)));

    private static string Refusal(VirtioModel model)
    {
        string message = Assert.Throws<DeviceFaultException>(() => new VirtioDevice(model).Negotiate(_ => VirtioFeatures.None)).Message;
        Assert.NotEqual(VirtioStatus.None, model.Status & VirtioStatus.Failed);
        Assert.Empty(model.Violations);
        return message;
    }
}
