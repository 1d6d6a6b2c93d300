using System.Diagnostics;
using System.Net.Sockets;
using Xinim.Drivers;
using Xinim.Drivers.Console;
using Xinim.Drivers.Console.Virtio;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Remote;

namespace Xinim.TestKit.Remote;

/// <summary>QEMU's own virtio-serial in a process of its own, a driver on it in this one, clients, and the other side of each port: a Unix socket.</summary>
public sealed class QemuSerial : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-serial-");
    private readonly QemuDevice _qemu;
    private readonly SharedRegion _work = SharedRegion.Create("work", 2 << 20, PageChoice.Ordinary);
    private readonly DmaRegion _region;
    private readonly Dictionary<string, string> _options = [];

    /// <param name="console">The first port is one.</param>
    /// <param name="names">Of the ports; one without a name has an empty one.</param>
    public QemuSerial(bool console, string[] names, params KeyValuePair<string, string>[] properties)
    {
        IEnumerable<RemotePort> ports = names.Select((name, i) => new RemotePort { Console = console && i == 0, Name = name.Length == 0 ? null : name, Socket = PathOf(i) });
        _qemu = new QemuDevice(RemoteModel.Parse("remote:virtio-serial-pci", properties: properties, ports: ports));
        _region = new DmaRegion(1, _qemu.Backend.Map(_work, RegionAccess.ReadWrite), _work.Size, RegionAccess.ReadWrite, _work);
        Open();
    }

    public IConsoleDriver Driver { get; private set; } = null!;

    public IPciDevice Device { get; private set; } = null!;

    public IDeviceInterrupts Interrupts { get; private set; } = null!;

    /// <summary>What the driver has reported, by port.</summary>
    public Dictionary<uint, ConsolePortInfo> Ports { get; } = [];

    public Dictionary<uint, FakeConsoleClient> Clients { get; } = [];

    /// <summary>Lines that the driver logged.</summary>
    public List<string> Log { get; } = [];

    /// <summary>Connects to the other side of the i-th port.</summary>
    public Socket Connect(int index) => PortSocket.Connect(PathOf(index));

    /// <summary>Starts the driver and waits for its ports.</summary>
    public void Start(int ports)
    {
        _ = Driver.Start();
        PollUntil(() => Ports.Values.Count(port => port.Has(ConsolePortFlags.Present)) == ports, $"{ports} ports");
    }

    /// <summary>What a supervisor does after a driver's death; then a new driver, which is not started.</summary>
    public void Reincarnate()
    {
        Interrupts.Dispose();
        Device.Dispose();
        _qemu.Backend.DisableInterrupts();
        _qemu.Backend.ClearBusMaster();
        _ = _qemu.Backend.Reset();
        Ports.Clear();
        foreach (FakeConsoleClient client in Clients.Values) client.Renew();
        Open();
    }

    public FakeConsoleClient Attach(uint port, ulong session = 1)
    {
        Driver.Open(port, Ports[port].Incarnation, session);
        if (!Clients.TryGetValue(port, out FakeConsoleClient? client)) Clients.Add(port, client = new FakeConsoleClient());
        return client;
    }

    /// <summary>One round of the host's loop.</summary>
    public void Poll()
    {
        while (Driver.PollControl())
        {
        }

        while (Driver.TryTakeChange(out ConsolePortInfo port)) Ports[port.Id] = port;
        foreach ((uint port, FakeConsoleClient client) in Clients) client.Serve(Driver, port);
    }

    /// <summary>Polls until something holds.</summary>
    public void PollUntil(Func<bool> condition, string what, int milliseconds = 10_000)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            Poll();
            if (condition()) return;
            if (Stopwatch.GetElapsedTime(start).TotalMilliseconds > milliseconds) throw new TimeoutException($"{what} did not happen within {milliseconds} ms\n{string.Join('\n', Log)}");
            _ = Descriptor.Poll(1, Interrupts.EventOf(0));
        }
    }

    public void Dispose()
    {
        foreach (FakeConsoleClient client in Clients.Values) client.Dispose();
        Interrupts.Dispose();
        Device.Dispose();
        _qemu.Dispose();
        _work.Dispose();
        _folder.Delete(recursive: true);
    }

    private string PathOf(int index) => Path.Combine(_folder.FullName, $"port{index}");

    private void Open()
    {
        Device = RemotePciDevice.FromHandles(_qemu.DuplicateSocket(), _qemu.Backend.Name);
        Interrupts = Device.EnableInterrupts(InterruptKind.Intx, 1);
        Driver = new VirtioConsoleDriver(new DriverContext(Device, Interrupts, new DmaArena(_region), Log.Add) { Options = _options });
    }
}
