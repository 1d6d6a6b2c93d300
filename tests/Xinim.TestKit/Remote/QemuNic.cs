using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Xinim.Drivers;
using Xinim.Drivers.Network;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Remote;

namespace Xinim.TestKit.Remote;

/// <summary>
/// One of QEMU's own NICs in a process of its own, a driver on it in this one, a client, and the wire: a UDP socket, one datagram a frame.
/// What QEMU does is not what the manual says everywhere; this shows what a driver makes of it.
/// </summary>
public sealed class QemuNic : IDisposable
{
    private readonly QemuDevice _qemu;
    private readonly UdpClient _wire = new(new IPEndPoint(IPAddress.Loopback, 0));
    private readonly IPEndPoint _nic;
    private readonly List<SharedRegion> _memory = [];
    private readonly List<DmaRegion> _regions = [];

    /// <param name="model">QEMU's name of the device.</param>
    /// <param name="make">Makes the driver.</param>
    /// <param name="buffers">Of each direction.</param>
    /// <param name="properties">Of the model, beside its address.</param>
    public QemuNic(string model, Func<DriverContext, INetworkDriver> make, uint buffers = 512, params KeyValuePair<string, string>[] properties)
    {
        _wire.Client.ReceiveBufferSize = 4 << 20;
        _nic = new IPEndPoint(IPAddress.Loopback, FreePort());
        int port = ((IPEndPoint)_wire.Client.LocalEndPoint!).Port;
        RemoteModel remote = RemoteModel.Parse($"remote:{model}", $"socket,udp=127.0.0.1:{port},localaddr=127.0.0.1:{_nic.Port}", properties: [KeyValuePair.Create("mac", "52:54:00:12:34:56"), .. properties]);
        _qemu = new QemuDevice(remote);
        _make = make;
        Work = Map("work", 2 << 20, RegionAccess.ReadWrite);
        Client = new FakeNetworkClient(Map, buffers, buffers);
        Open();
    }

    private readonly Func<DriverContext, INetworkDriver> _make;

    /// <summary>The driver's work region.</summary>
    public DmaRegion Work { get; }

    public FakeNetworkClient Client { get; }

    public INetworkDriver Driver { get; private set; } = null!;

    public IPciDevice Device { get; private set; } = null!;

    public IDeviceInterrupts Interrupts { get; private set; } = null!;

    /// <summary>Lines that the driver logged.</summary>
    public List<string> Log { get; } = [];

    /// <summary>What a supervisor does after a driver's death, without the device's reset method where <paramref name="reset"/> is false; then a new driver.</summary>
    public void Reincarnate(bool reset)
    {
        Interrupts.Dispose();
        Device.Dispose();
        _qemu.Backend.DisableInterrupts();
        _qemu.Backend.ClearBusMaster();
        if (reset) _ = _qemu.Backend.Reset();
        Open();
    }

    /// <summary>One round of the host's loop.</summary>
    public void Poll()
    {
        _ = Driver.RxReturn(Client.Driver.Received);
        _ = Driver.RxProvide(Client.Driver.Free);
        _ = Driver.TxProvide(Client.Driver.Submit);
        _ = Driver.TxReturn(Client.Driver.Completed);
    }

    /// <summary>Polls until something holds.</summary>
    public void PollUntil(Func<bool> condition, string what, int milliseconds = 10_000)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            Poll();
            if (condition()) return;
            if (Stopwatch.GetElapsedTime(start).TotalMilliseconds > milliseconds) throw new TimeoutException($"{what} did not happen within {milliseconds} ms");
            _ = Descriptor.Poll(1, Interrupts.EventOf(0));
        }
    }

    /// <summary>Puts a frame on the wire.</summary>
    public void Inject(ReadOnlySpan<byte> frame) => _wire.Send(frame, _nic);

    /// <summary>The next frame from the wire.</summary>
    public byte[] NextSent(int milliseconds = 10_000)
    {
        _wire.Client.ReceiveTimeout = milliseconds;
        IPEndPoint? from = null;
        return _wire.Receive(ref from);
    }

    /// <summary>Waits for the interrupt.</summary>
    public bool AwaitInterrupt(int milliseconds) => Descriptor.Poll(milliseconds, Interrupts.EventOf(0)) != 0;

    public void Dispose()
    {
        Interrupts.Dispose();
        Device.Dispose();
        _qemu.Dispose();
        _wire.Dispose();
        Client.Dispose();
        foreach (SharedRegion memory in _memory) memory.Dispose();
    }

    private void Open()
    {
        Device = RemotePciDevice.FromHandles(_qemu.DuplicateSocket(), _qemu.Backend.Name);
        Interrupts = Device.EnableInterrupts(InterruptKind.Intx, 1);
        Driver = _make(new DriverContext(Device, Interrupts, new DmaArena(Work), Log.Add));
    }

    private DmaRegion Map(string name, long size, RegionAccess access)
    {
        SharedRegion memory = SharedRegion.Create(name, size, PageChoice.Ordinary);
        _memory.Add(memory);
        DmaRegion region = new((uint)_regions.Count + 1, _qemu.Backend.Map(memory, access), memory.Size, access, memory);
        _regions.Add(region);
        return region;
    }

    private static int FreePort()
    {
        using UdpClient probe = new(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)probe.Client.LocalEndPoint!).Port;
    }
}
