using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.E1000;
using Xinim.TestKit.Remote;
using Xinim.Vfio.Remote;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>The published driver's process on a device model of ours: what is in the device at the moment when it says Ready.</summary>
[Trait("needs", "qemu")]
public sealed class ReadyTests : IDisposable
{
    private const uint BarBytes = 0x20000;
    private const uint Ctrl = 0x0000, Rctl = 0x0100, Mta = 0x5200, Ra = 0x5400, Vfta = 0x5600;
    private const uint VlanMode = 1u << 30, UnicastPromiscuous = 1u << 3, LongPackets = 1u << 5, VlanFilter = 1u << 18;

    private readonly E1000Model _model = new(E1000ModelKind.I82540);
    private readonly RemoteServer _server;
    private readonly RemoteBackend _backend;
    private readonly SharedRegion _work = SharedRegion.Create("xinim-work-ready", 1 << 20, PageChoice.Ordinary);
    private readonly SharedRegion _vital = VitalSigns.Create();

    public ReadyTests()
    {
        (SafeFileHandle link, SafeFileHandle model) = RemoteLink.CreateSocketPair();
        byte[] config = new byte[64];
        BinaryPrimitives.WriteUInt16LittleEndian(config, 0x8086);
        BinaryPrimitives.WriteUInt16LittleEndian(config.AsSpan(2), (ushort)E1000ModelKind.I82540);
        config[0x3d] = 1; // INTA
        _server = new RemoteServer(model, config, [BarBytes], _model);
        _backend = new RemoteBackend(link, "remote:ours");
    }

    [Fact]
    public void A_driver_says_Ready_with_the_filters_in_its_device()
    {
        NetworkFilters filters = new() { Flags = NetworkFilterFlags.Promiscuous | NetworkFilterFlags.VlanStrip | NetworkFilterFlags.VlanFilter, MaxFrame = 9018, UnicastCount = 1, MulticastCount = 1 };
        filters.Unicast[0] = MacAddress.From([0x02, 0x11, 0x22, 0x33, 0x44, 0x55]);
        filters.Multicast[0] = MacAddress.From([0x01, 0x00, 0x5e, 0x00, 0x00, 0x01]);
        filters.Vlans[3] = 1u << 4; // VLAN 100

        using ChannelMessage answer = Start(filters);

        Assert.Equal(ControlMessage.Ready, (ControlMessage)answer.Header.Type);
        uint expected = UnicastPromiscuous | LongPackets | VlanFilter;
        Assert.Equal(expected, _model.Peek(Rctl) & expected);
        Assert.Equal(VlanMode, _model.Peek(Ctrl) & VlanMode);
        Assert.Equal((0x3322_1102u, 0x8000_5544u), (_model.Peek(Ra + 8), _model.Peek(Ra + 12)));
        // Bits 47:36 of the address: 0x010 [SDM §13.5.1].
        Assert.Equal(1u << 16, _model.Peek(Mta));
        Assert.Equal(1u << 4, _model.Peek(Vfta + 12));
    }

    [Fact]
    public void A_driver_that_cannot_do_them_does_not_say_Ready()
    {
        using ChannelMessage answer = Start(new NetworkFilters { MaxFrame = 1 << 20 });
        Assert.Equal(ControlMessage.Fault, (ControlMessage)answer.Header.Type);
        Assert.Contains("1048576 bytes", answer.Text, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _backend.Dispose();
        _server.Dispose();
        _model.Dispose();
        _vital.Dispose();
        _work.Dispose();
    }

    /// <summary>Starts the driver as the supervisor does, and waits for its answer.</summary>
    private ChannelMessage Start(in NetworkFilters filters)
    {
        (Channel mine, Channel its) = Channel.CreatePair();
        using (mine)
        using (its)
        {
            StartMessage start = new()
            {
                Backend = (uint)_backend.Kind,
                DeviceHandles = (uint)_backend.DriverHandles.Count,
                Work = new RegionMessage(0, RegionAccess.ReadWrite, _backend.Map(_work, RegionAccess.ReadWrite).Value, (ulong)_work.Size),
                HeartbeatPeriod = 1000,
                Device = FixedText.From(_backend.Name),
                Driver = FixedText.From("e1000"),
                Filters = filters,
            };
            using ChildProcess driver = ProcessLauncher.Start(new LaunchRequest { Executable = Path.Combine(Machine.Binaries, "xinim-driver"), Handles = [its.Handle] });
            mine.Send(new MessageHeader((uint)ControlMessage.Start, 1, 1), start, [_work.Handle, _vital.Handle, .. _backend.DriverHandles]);
            while (true)
            {
                ChannelMessage message = mine.Receive(Machine.Limit);
                if ((ControlMessage)message.Header.Type is not (ControlMessage.Hello or ControlMessage.Log)) return message;
                message.Dispose();
            }
        }
    }
}
