using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Native;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.VhostUser;
using Xunit;

namespace Xinim.Drivers.Tests.Virtio;

/// <summary>What the transport makes of a back end: what QEMU would do for a guest is done here.</summary>
public sealed class VhostUserTransportTests : IDisposable
{
    private const ulong Required = 1ul << 30 | 1ul << 32;
    private const ulong Status = 1 << 16, ReplyAck = 1 << 3;
    private static readonly VirtQueueMemory Memory = new(256, new Iova(0x1000000), new Iova(0x1001000), new Iova(0x1002000));
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-vu-");
    private readonly VhostUserPeer _peer;
    private VhostUserBackend? _backend;
    private VhostUserDevice? _device;
    private IDeviceInterrupts? _interrupts;

    public VhostUserTransportTests() => _peer = new VhostUserPeer(Path.Combine(_folder.FullName, "s"));

    public void Dispose()
    {
        _interrupts?.Dispose();
        _device?.Dispose();
        _backend?.Dispose();
        _peer.Dispose();
        _folder.Delete(recursive: true);
        Assert.Null(_peer.Failure);
    }

    [Fact]
    public void What_the_back_end_cannot_carry_out_itself_is_not_offered()
    {
        // ACCESS_PLATFORM, LOG_ALL; CTRL_VQ, MQ, GUEST_ANNOUNCE and CTRL_MAC_ADDR as DPDK offers some of; CSUM, MRG_RXBUF and RING_PACKED stay.
        const ulong kept = 1ul << 0 | 1ul << 15 | 1ul << 34;
        _peer.Features = Required | kept | 1ul << 33 | 1ul << 26 | 1ul << 17 | 1ul << 21 | 1ul << 22 | 1ul << 23 | 1ul << 2;
        VhostUserTransport transport = Open("net");
        Assert.Equal((VirtioFeatures)(1ul << 32 | kept), transport.ReadFeatures());
        Assert.False(transport.NeedsAccessPlatform);
        Assert.Throws<ArgumentException>(() => transport.WriteFeatures(VirtioFeatures.Version1 | VirtioFeatures.AccessPlatform));
    }

    [Fact]
    public void Bits_that_mean_something_else_to_a_disk_stay()
    {
        _peer.Features = Required | 1ul << 17 | 1ul << 2;
        Assert.Equal((VirtioFeatures)(1ul << 32 | 1ul << 17 | 1ul << 2), Open("blk").ReadFeatures());
    }

    [Fact]
    public void A_back_end_that_loses_version_1_is_a_fault()
    {
        VhostUserTransport transport = Open("blk");
        _peer.Features = 1ul << 30;
        Assert.Contains("without VERSION_1", Assert.Throws<DeviceFaultException>(() => transport.ReadFeatures()).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(Status)]
    [InlineData(Status | ReplyAck)]
    public void The_status_is_kept_by_the_back_end_or_here(ulong protocol)
    {
        _peer.ProtocolFeatures = protocol;
        VhostUserTransport transport = Open("net");
        transport.Reset();
        Assert.Equal(VirtioStatus.None, transport.Status);
        transport.Status = VirtioStatus.Acknowledge;
        transport.Status = VirtioStatus.Driver;
        transport.WriteFeatures(VirtioFeatures.Version1);
        transport.Status = VirtioStatus.FeaturesOk;
        Assert.Equal(VirtioStatus.Acknowledge | VirtioStatus.Driver | VirtioStatus.FeaturesOk, transport.Status);
        // Without REPLY_ACK nobody says that what was sent has arrived.
        transport.Synchronize();
        Assert.Equal(Required, _peer.AcceptedFeatures);
        if (protocol != 0) Assert.Equal(11ul, _peer.Status);
        else Assert.DoesNotContain(_peer.Heard, message => message.StartsWith("39:", StringComparison.Ordinal) || message.StartsWith("40:", StringComparison.Ordinal));
        transport.Reset();
        Assert.Equal(VirtioStatus.None, transport.Status);
    }

    [Theory]
    [InlineData("blk", 60, 60)]
    [InlineData("blk", 256, 96)]
    [InlineData("blk", 40, 36)]
    [InlineData("net", 10, 10)]
    [InlineData("net", 5, 0)]
    public void The_configuration_is_as_long_as_the_back_end_gives(string type, int has, int expected)
    {
        _peer.Config = [.. Enumerable.Range(0, has).Select(value => (byte)value)];
        VhostUserTransport transport = Open(type);
        Assert.Equal(expected, transport.ConfigLength);
        if (expected == 0) return;
        byte[] tail = new byte[2];
        transport.ReadConfig(expected - 2, tail, 2);
        Assert.Equal([(byte)(expected - 2), (byte)(expected - 1)], tail);
        Assert.Throws<DeviceFaultException>(() => transport.ReadConfig(expected - 1, tail, 2));
        Assert.Throws<DeviceFaultException>(() => transport.ReadConfig(-1, tail, 2));
        transport.WriteConfig(0, [200]);
        transport.ReadConfig(0, tail, 1);
        Assert.Equal([200, 1], tail);
    }

    [Fact]
    public void A_back_end_without_configuration_has_none()
    {
        _peer.ProtocolFeatures = ReplyAck;
        VhostUserTransport transport = Open("net");
        Assert.Equal(0, transport.ConfigLength);
        Assert.Throws<DeviceFaultException>(() => transport.ReadConfig(0, new byte[6], 1));
        Assert.Throws<DeviceFaultException>(() => transport.WriteConfig(0, [1]));
    }

    [Theory]
    [InlineData(VirtioFeatures.None, "10:1,0")]
    [InlineData(VirtioFeatures.RingPacked, "10:1,2147516416")]
    public void A_queue_is_set_up_rung_heard_and_reset(VirtioFeatures layout, string start)
    {
        _peer.Features = Required | (ulong)VirtioFeatures.RingPacked;
        VhostUserTransport transport = Open("net");
        transport.WriteFeatures(VirtioFeatures.Version1 | layout);
        Assert.Equal((8, 1024u, 0u), (transport.QueueCount, transport.MaxQueueSize(7), transport.MaxQueueSize(8)));
        VirtioDoorbell doorbell = transport.SetUpQueue(1, Memory, 0);
        Assert.Contains(start, _peer.Heard);
        doorbell.Ring();
        Assert.True(_peer.TakeKick(1));
        _peer.Call(1);
        Assert.NotEqual(0u, Descriptor.Poll(5000, _interrupts!.EventOf(0)));
        Assert.Equal(VirtioInterrupts.Queue | VirtioInterrupts.Configuration, transport.TakeInterrupts());
        transport.ResetQueue(1);
        Assert.Equal(["18:1,0", "11:1,0"], _peer.Heard.TakeLast(2));
        Assert.Throws<DeviceFaultException>(() => transport.SetUpQueue(8, Memory, 0));
        Assert.Throws<DeviceFaultException>(() => transport.SetUpQueue(0, Memory, 3));
    }

    private VhostUserTransport Open(string type)
    {
        _backend = new VhostUserBackend(VhostUserAddress.Parse($"vhost-user-{type}:{_folder.FullName}/s"));
        VhostUserPeer.Until(() => _backend.FindMissing() is null, "the back end is ready");
        var handles = _backend.DriverHandles;
        _device = Assert.IsType<VhostUserDevice>(DeviceFactory.Open(_backend.Kind, _backend.Name, [.. handles.Select(handle => Descriptor.Duplicate(handle))]));
        _interrupts = _device.EnableInterrupts(_device.Interrupts.Best(1), 3);
        return new VhostUserTransport(_device, _interrupts);
    }
}
