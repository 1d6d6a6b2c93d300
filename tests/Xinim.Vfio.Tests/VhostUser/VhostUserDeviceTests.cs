using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.TestKit.Virtio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.VhostUser;
using Xunit;

namespace Xinim.Vfio.Tests.VhostUser;

/// <summary>The driver's side against a back end whose words the test chooses.</summary>
public sealed class VhostUserDeviceTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-vu-");
    private readonly SharedRegion _region = SharedRegion.Create("test", 1 << 20, PageChoice.Ordinary);
    private readonly VhostUserPeer _peer;
    private VhostUserBackend? _backend;
    private VhostUserDevice? _device;

    public VhostUserDeviceTests() => _peer = new VhostUserPeer(Path.Combine(_folder.FullName, "s"));

    public void Dispose()
    {
        _device?.Dispose();
        _backend?.Dispose();
        _peer.Dispose();
        _region.Dispose();
        _folder.Delete(recursive: true);
        Assert.Null(_peer.Failure);
    }

    [Theory]
    [InlineData("net", 1ul, 4, 8)]
    [InlineData("net", 1ul, 1000, 256)]
    [InlineData("net", 0ul, 4, 2)]
    [InlineData("blk", 1ul, 4, 4)]
    [InlineData("blk", 1ul, ulong.MaxValue, 256)]
    [InlineData("blk", 0ul, 4, 1)]
    public void Queues_are_counted_as_the_type_does(string type, ulong protocol, ulong said, int expected)
    {
        _peer.ProtocolFeatures = protocol;
        _peer.Queues = said;
        Assert.Equal(expected, Open(type).QueueCount);
    }

    [Fact]
    public void A_ring_is_given_in_this_order_and_both_ways_are_open()
    {
        VhostUserDevice device = Open("blk");
        using IDeviceInterrupts interrupts = device.EnableInterrupts(InterruptKind.MsiX, 2);
        device.WriteFeatures(1ul << 32);
        int before = _peer.Heard.Count;
        Iova at = new(0x1000000);
        var kick = device.StartRing(3, 64, 0, at, at + 1024, at + 4096, 1);
        Assert.Equal(["8:3,64", "10:3,0", "9:3,0", "13:3,0", "12:3,0", "18:3,1"], _peer.Heard.Skip(before));
        // Bit 30 goes along, or the ring would not have to be enabled (read_acked_features).
        Assert.Equal(1ul << 32 | 1ul << 30, _peer.AcceptedFeatures);

        Assert.False(_peer.TakeKick(3));
        Descriptor.Signal(kick);
        Assert.True(_peer.TakeKick(3));
        _peer.Call(3);
        Assert.Equal(2u, Descriptor.Poll(5000, interrupts.EventOf(0), interrupts.EventOf(1)));
        interrupts.Acknowledge(1);
        Assert.Equal(0u, Descriptor.Poll(0, interrupts.EventOf(1)));
    }

    [Fact]
    public void A_ring_without_vector_signals_nobody()
    {
        VhostUserDevice device = Open("blk");
        using IDeviceInterrupts interrupts = device.EnableInterrupts(InterruptKind.MsiX, 1);
        device.StartRing(0, 64, 0, new Iova(0x1000000), new Iova(0x1000000), new Iova(0x1000000), null);
        // There is an eventfd all the same: some back ends cannot do without.
        _peer.Call(0);
        Assert.Equal(0u, Descriptor.Poll(0, interrupts.EventOf(0)));
    }

    [Fact]
    public void Without_protocol_features_a_ring_is_not_enabled_and_nothing_is_acknowledged()
    {
        _peer.Features = 1ul << 32;
        VhostUserDevice device = Open("blk");
        device.WriteFeatures(1ul << 32);
        device.StartRing(0, 64, 0, new Iova(0x1000000), new Iova(0x1000000), new Iova(0x1000000), null);
        device.StopRing(0);
        Assert.Equal(1ul << 32, _peer.AcceptedFeatures);
        Assert.DoesNotContain(_peer.Heard, message => message.StartsWith("18:", StringComparison.Ordinal));
    }

    [Fact]
    public void Reset_stops_what_runs_and_nothing_else()
    {
        VhostUserDevice device = Open("blk");
        device.WriteFeatures(1ul << 32);
        device.WriteStatus(15);
        device.StartRing(0, 64, 0, new Iova(0x1000000), new Iova(0x1000000), new Iova(0x1000000), null);
        device.StartRing(2, 64, 0, new Iova(0x1000000), new Iova(0x1000000), new Iova(0x1000000), null);
        device.StopRing(2);
        device.StopRing(2);
        int before = _peer.Heard.Count;
        device.Reset();
        Assert.Equal(["18:0,0", "11:0,0", "39:0,0", "34:"], _peer.Heard.Skip(before));
        Assert.Equal(0, device.ReadStatus());
    }

    [Fact]
    public void A_masked_vector_is_silent_and_raised_when_it_is_unmasked()
    {
        VhostUserDevice device = Open("blk");
        using IDeviceInterrupts interrupts = device.EnableInterrupts(InterruptKind.MsiX, 1);
        device.StartRing(0, 64, 0, new Iova(0x1000000), new Iova(0x1000000), new Iova(0x1000000), 0);
        interrupts.Mask(0);
        _peer.Call(0);
        Assert.Equal(0u, Descriptor.Poll(0, interrupts.EventOf(0)));
        interrupts.Unmask(0);
        Assert.NotEqual(0u, Descriptor.Poll(0, interrupts.EventOf(0)));
        interrupts.Acknowledge(0);
        _peer.Call(0);
        Assert.NotEqual(0u, Descriptor.Poll(5000, interrupts.EventOf(0)));
    }

    [Fact]
    public void Configuration_is_read_whole_or_not_at_all_and_written_where_it_belongs()
    {
        VhostUserDevice device = Open("blk");
        byte[] read = new byte[60];
        Assert.True(device.TryReadConfig(read));
        Assert.Equal(_peer.Config, read);
        Assert.False(device.TryReadConfig(new byte[61]));
        device.WriteConfig(32, [99]);
        Assert.True(device.TryReadConfig(read));
        Assert.Equal(99, read[32]);
        Assert.Throws<ArgumentOutOfRangeException>(() => device.WriteConfig(256, [1]));
    }

    [Fact]
    public void A_configuration_change_raises_its_vector_after_it_was_taken()
    {
        VhostUserDevice device = Open("blk");
        using IDeviceInterrupts interrupts = device.EnableInterrupts(InterruptKind.MsiX, 2);
        device.SetConfigVector(1);
        Assert.Equal(0u, Descriptor.Poll(0, interrupts.EventOf(1)));
        _peer.Request(2, wantsAnswer: true);
        Assert.Equal(2u, Descriptor.Poll(5000, interrupts.EventOf(0), interrupts.EventOf(1)));
        interrupts.Acknowledge(1);
        Assert.Equal(0ul, _peer.AwaitAnswer());
        // Whoever read the configuration before the request was taken reads it again.
        Assert.NotEqual(0u, Descriptor.Poll(0, interrupts.EventOf(1)));
        interrupts.Acknowledge(1);
        Assert.Equal(0u, Descriptor.Poll(0, interrupts.EventOf(1)));

        _peer.Request(3, wantsAnswer: true, 1, 2, 3, 4);
        Assert.NotEqual(0u, Descriptor.Poll(5000, interrupts.EventOf(1)));
        interrupts.Acknowledge(1);
        Assert.Equal(1ul, _peer.AwaitAnswer());
        Assert.Equal(0u, Descriptor.Poll(0, interrupts.EventOf(1)));

        _peer.CloseRequests();
        Assert.NotEqual(0u, Descriptor.Poll(5000, interrupts.EventOf(1)));
        interrupts.Acknowledge(1);
        Assert.Equal(0u, Descriptor.Poll(0, interrupts.EventOf(1)));
        device.Synchronize();
    }

    [Fact]
    public void Nonsense_on_the_socket_of_the_back_ends_requests_is_a_fault()
    {
        VhostUserDevice device = Open("blk");
        using IDeviceInterrupts interrupts = device.EnableInterrupts(InterruptKind.MsiX, 1);
        device.SetConfigVector(0);
        _peer.RequestRaw([2, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255]);
        Assert.NotEqual(0u, Descriptor.Poll(5000, interrupts.EventOf(0)));
        Assert.Contains("a payload of 4294967295 bytes", Assert.Throws<DeviceFaultException>(() => interrupts.Acknowledge(0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_back_ends_end_wakes_a_driver_that_sleeps()
    {
        VhostUserDevice device = Open("blk");
        using IDeviceInterrupts interrupts = device.EnableInterrupts(InterruptKind.MsiX, 1);
        device.SetConfigVector(0);
        device.ThrowIfGone();
        _peer.Hang();
        Assert.NotEqual(0u, Descriptor.Poll(5000, interrupts.EventOf(0)));
        VhostUserPeer.Until(() => Record.Exception(() => interrupts.Acknowledge(0)) is DeviceFaultException, "the end is noticed");
        Assert.Contains("has closed the connection", Assert.Throws<DeviceFaultException>(device.ThrowIfGone).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Features_that_the_back_end_refuses_are_a_fault()
    {
        VhostUserDevice device = Open("net");
        _peer.Refused.Add(2);
        Assert.Contains("SetFeatures: refused by the back end (0x1)", Assert.Throws<DeviceFaultException>(() => device.WriteFeatures(1ul << 32)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Answers_to_what_the_supervisor_sent_are_passed_over_but_not_for_ever()
    {
        VhostUserDevice device = Open("blk");
        byte[] stray = [37, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0, .. new byte[8]];
        for (int i = 0; i < 5; i++) _peer.SendRaw(stray);
        device.Synchronize();
        for (int i = 0; i < 64; i++) _peer.SendRaw(stray);
        Assert.Contains("64 answers came to what nobody asked", Assert.Throws<DeviceFaultException>(device.Synchronize).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_region_that_came_before_a_round_trip_is_mapped_after_it()
    {
        VhostUserDevice device = Open("blk");
        for (byte i = 1; i < 20; i++)
        {
            _region.Slice(0, 1)[0] = i;
            Iova at = _backend!.Map(_region, RegionAccess.Read);
            device.Synchronize();
            Assert.Equal(i, _peer.Read(at.Value));
            _backend.Unmap(at, _region.Size);
            device.Synchronize();
            Assert.Null(_peer.Read(at.Value));
        }
    }

    [Theory]
    [InlineData("silent", "no answer within 200 ms")]
    [InlineData("another ring", "GetVringBase: answered with 8 bytes, or for another ring than 0")]
    [InlineData("long", "GetVringBase: answered with 12 bytes")]
    public void A_ring_that_does_not_stop_is_a_fault(string kind, string line)
    {
        VhostUserDevice device = Open("blk", TimeSpan.FromMilliseconds(200));
        device.StartRing(0, 64, 0, new Iova(0x1000000), new Iova(0x1000000), new Iova(0x1000000), null);
        _peer.Tamper = (request, reply) => (request, kind) switch
        {
            (11, "silent") => [],
            (11, "another ring") => [.. reply.AsSpan(0, 12), 1, .. reply.AsSpan(13)],
            (11, "long") => [.. reply.AsSpan(0, 8), 12, .. reply.AsSpan(9), 0, 0, 0, 0],
            _ => reply,
        };
        Assert.Contains(line, Assert.Throws<DeviceFaultException>(device.Reset).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_device_does_not_have_is_refused()
    {
        VhostUserDevice device = Open("blk");
        Assert.Throws<DeviceFaultException>(() => device.StartRing(4, 64, 0, default, default, default, null));
        Assert.Throws<DeviceFaultException>(() => device.StartRing(0, 64, 0, default, default, default, 0));
        Assert.Throws<ArgumentException>(() => device.EnableInterrupts(InterruptKind.Intx, 1));
        Assert.Throws<ArgumentException>(() => device.EnableInterrupts(InterruptKind.MsiX, 65));
        Assert.Throws<DeviceFaultException>(() => VhostUserDevice.FromHandles(Descriptor.Duplicate(_backend!.DriverHandles[0]), null, "remote:e1000"));
    }

    private VhostUserDevice Open(string type, TimeSpan? timeout = null)
    {
        _backend = new VhostUserBackend(VhostUserAddress.Parse($"vhost-user-{type}:{_folder.FullName}/s"));
        VhostUserPeer.Until(() => _backend.FindMissing() is null, "the back end is ready");
        var handles = _backend.DriverHandles;
        return _device = VhostUserDevice.FromHandles(Descriptor.Duplicate(handles[0]), handles.Count > 1 ? Descriptor.Duplicate(handles[1]) : null, _backend.Name, timeout);
    }
}
