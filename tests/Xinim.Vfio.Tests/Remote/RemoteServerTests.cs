using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.TestKit.Remote;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;
using Xinim.Vfio.Remote;
using Xunit;

namespace Xinim.Vfio.Tests.Remote;

/// <summary>Owner and driver side against a model of ours behind the same protocol: no QEMU.</summary>
public sealed class RemoteServerTests : IDisposable
{
    private readonly Registers _registers = new();
    private readonly RemoteServer _server;
    private readonly RemoteBackend _backend;
    private readonly List<RemotePciDevice> _drivers = [];

    public RemoteServerTests()
    {
        (SafeFileHandle link, SafeFileHandle model) = RemoteLink.CreateSocketPair();
        byte[] config = new byte[64];
        ((ReadOnlySpan<byte>)[0x86, 0x80, 0x0E, 0x10]).CopyTo(config);
        config[0x14] = 1; // BAR 1: I/O
        config[0x3D] = 1;
        _server = new RemoteServer(model, config, [4096, 64], _registers);
        _backend = new RemoteBackend(link, "remote:ours");
    }

    public void Dispose()
    {
        foreach (RemotePciDevice driver in _drivers) driver.Dispose();
        _backend.Dispose();
        _server.Dispose();
    }

    [Fact]
    public void Registers_of_both_kinds_of_bar_reach_the_model()
    {
        RemotePciDevice device = OpenDriver();
        Mmio memory = device.MapBar(0);
        Mmio io = device.MapBar(1);
        Assert.Equal((4096u, 64u), (memory.Length, io.Length));
        memory.Write32(0x10, 0xCAFE);
        io.Write16(0x10, 0xBEEF);
        Assert.Equal(0xCAFEu, memory.Read32(0x10));
        Assert.Equal(0xBEEF, io.Read16(0x10));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Read32(4096));
        Assert.Null(_server.Failure);
    }

    [Fact]
    public void Regions_are_reached_while_mapped_and_the_device_masters_the_bus()
    {
        using SharedRegion region = SharedRegion.Create("test", 4096, PageChoice.Ordinary);
        Iova start = _backend.Map(region, RegionAccess.ReadWrite);
        RemotePciDevice device = OpenDriver();
        Assert.False(_server.WriteMemory(start.Value, [1]));
        device.Config.Write16(4, (ushort)(device.Config.Read16(4) | 4));
        Assert.True(_server.WriteMemory(start.Value + 4095, [42]));
        Assert.False(_server.WriteMemory(start.Value + 4095, [1, 2]));
        Assert.Equal(42, region.Slice(4095, 1)[0]);
        byte[] read = new byte[1];
        Assert.True(_server.ReadMemory(start.Value + 4095, read));
        Assert.Equal(42, read[0]);

        _backend.ClearBusMaster();
        Assert.False(_server.WriteMemory(start.Value, [1]));
    }

    [Fact]
    public void A_model_that_answers_no_more_is_ended()
    {
        int ended = 0;
        _backend.EndModel = () => ended++;
        _server.TamperWithReply = _ => [];
        Assert.Throws<DeviceFaultException>(_backend.ClearBusMaster);
        _server.TamperWithReply = null;
        // Once may be the machine's load.
        _backend.ClearBusMaster();
        _server.TamperWithReply = _ => [];
        Assert.Throws<DeviceFaultException>(_backend.ClearBusMaster);
        Assert.Equal(0, ended);
        Assert.Throws<DeviceFaultException>(() => _backend.Reset());
        Assert.Equal(1, ended);
    }

    [Fact]
    public void Level_interrupt_fires_again_until_it_falls()
    {
        using IDeviceInterrupts interrupts = OpenDriver().EnableInterrupts(InterruptKind.Intx, 1);
        _server.SetLine(true);
        for (int i = 0; i < 3; i++)
        {
            Assert.NotEqual(0u, Descriptor.Poll(2000, interrupts.EventOf(0)));
            interrupts.Acknowledge(0);
        }
        _server.SetLine(false);
        interrupts.Acknowledge(0);
        if (Descriptor.Poll(100, interrupts.EventOf(0)) != 0) interrupts.Acknowledge(0);
        Assert.Equal(0u, Descriptor.Poll(100, interrupts.EventOf(0)));
    }

    [Fact]
    public void Reset_reaches_the_model()
    {
        int resets = 0;
        _server.OnReset = () => resets++;
        OpenDriver().Reset();
        Assert.True(_backend.Reset());
        Assert.Equal(2, resets);
    }

    [Fact]
    public void Hostile_reply_is_a_fault_for_the_driver_and_the_owner_recovers()
    {
        Mmio bar = OpenDriver().MapBar(0);
        _server.TamperWithReply = reply =>
        {
            reply[0] = 99;
            return reply;
        };
        Assert.Contains("command 99", Assert.Throws<DeviceFaultException>(() => bar.Read32(0)).Message, StringComparison.Ordinal);
        _server.TamperWithReply = null;
        Assert.True(_backend.Reset());
        Assert.Equal(0u, OpenDriver().MapBar(0).Read32(0));
    }

    [Fact]
    public void Model_that_ends_on_nonsense_is_a_fault()
    {
        using RemoteLink link = new(Descriptor.Duplicate(_backend.DriverHandles[0]), "remote:ours");
        Assert.Contains("has ended", Assert.Throws<DeviceFaultException>(() => link.ReadBar(0xD000_0000, 4, true)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Eighth_region_is_refused_and_addresses_repeat()
    {
        SharedRegion[] regions = [.. Enumerable.Range(1, 8).Select(i => SharedRegion.Create($"test-{i}", 4096 * i, PageChoice.Ordinary))];
        Iova[] first = [.. regions.Take(7).Select(region => _backend.Map(region, RegionAccess.Read))];
        Assert.Throws<LinuxException>(() => _backend.Map(regions[7], RegionAccess.Read));
        for (int i = 0; i < 7; i++) _backend.Unmap(first[i], regions[i].Size);
        Assert.Equal(first, regions.Take(7).Select(region => _backend.Map(region, RegionAccess.Read)));
        Assert.Throws<ArgumentException>(() => _backend.Unmap(new Iova(0x1234_0000), 4096));
        foreach (SharedRegion region in regions) region.Dispose();
    }

    private RemotePciDevice OpenDriver()
    {
        RemotePciDevice device = RemotePciDevice.FromHandles(Descriptor.Duplicate(_backend.DriverHandles[0]), "remote:ours");
        _drivers.Add(device);
        return device;
    }

    private sealed class Registers : RegisterChannel
    {
        private readonly Dictionary<(int, uint), ulong> _values = [];

        public override ulong Read(int bar, uint offset, int size) => _values.GetValueOrDefault((bar, offset));

        public override void Write(int bar, uint offset, int size, ulong value) => _values[(bar, offset)] = value;
    }
}
