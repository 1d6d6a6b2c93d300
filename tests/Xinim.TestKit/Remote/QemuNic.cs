using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Xinim.Drivers;
using Xinim.Drivers.Network;
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
    private readonly QemuSeat<INetworkDriver> _seat;
    private readonly UdpClient _wire = new(new IPEndPoint(IPAddress.Loopback, 0));
    private readonly IPEndPoint _nic;

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
        _seat = new QemuSeat<INetworkDriver>(remote, make);
        Client = new FakeNetworkClient(_seat.Map, buffers, buffers);
    }

    /// <summary>The driver's work region.</summary>
    public DmaRegion Work => _seat.Work;

    public FakeNetworkClient Client { get; }

    public INetworkDriver Driver => _seat.Driver;

    public IPciDevice Device => _seat.Device;

    public IDeviceInterrupts Interrupts => _seat.Interrupts;

    /// <summary>Lines that the driver logged.</summary>
    public List<string> Log => _seat.Log;

    /// <inheritdoc cref="QemuSeat{TDriver}.Reincarnate"/>
    public void Reincarnate(bool reset) => _seat.Reincarnate(reset);

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
        _seat.Dispose();
        _wire.Dispose();
        Client.Dispose();
    }

    private static int FreePort()
    {
        using UdpClient probe = new(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)probe.Client.LocalEndPoint!).Port;
    }
}
