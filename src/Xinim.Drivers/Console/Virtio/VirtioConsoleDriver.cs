using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>
/// Virtio console devices [V §5.3], of one port or many. Read this first: the order of bring-up stands here, what the device says of its ports in
/// <see cref="VirtioConsolePorts"/>, the data path in <see cref="VirtioConsoleTx"/> and <see cref="VirtioConsoleRx"/>, and what a successor
/// takes over in <see cref="VirtioConsoleRemains"/>. [V] = Virtual I/O Device (VIRTIO) Version 1.2, OASIS Committee Specification.
/// </summary>
public sealed class VirtioConsoleDriver : IConsoleDriver
{
    /// <summary>Vectors that are of use: configuration, and all queues.</summary>
    public const int Vectors = 2;

    private readonly VirtioConsoleOptions _options;
    private readonly VirtioDevice _device;
    private readonly IVirtioTransport _transport;
    private readonly VirtioConsoleConfig _config;
    private readonly VirtioVectors _vectors;
    private readonly DmaArena _arena;
    private readonly Action<string> _log;
    private VirtioConsolePorts? _ports;
    private bool _closed;
    private ulong _interrupts;

    /// <exception cref="ArgumentException">An option is unknown or out of range.</exception>
    /// <exception cref="DeviceFaultException">The device is no virtio console, or broken.</exception>
    public VirtioConsoleDriver(DriverContext context)
        : this(VirtioTransports.Open(context), context.Arena, context.Log, VirtioConsoleOptions.Parse(context.Options))
    {
    }

    /// <param name="transport">To the device; owned.</param>
    /// <exception cref="DeviceFaultException">The device is no virtio console.</exception>
    public VirtioConsoleDriver(IVirtioTransport transport, DmaArena arena, Action<string> log, VirtioConsoleOptions options)
    {
        if (transport.Type != VirtioDeviceType.Console) throw new DeviceFaultException($"{transport.Name} is a virtio device of type {(uint)transport.Type}, no console (3) [V §5]");
        (_transport, _arena, _log, _options) = (transport, arena, log, options);
        _device = new VirtioDevice(transport);
        _config = new VirtioConsoleConfig(_device);
        _vectors = new VirtioVectors(transport.Vectors, queues: 1);
    }

    public bool TxBusy => Ports.All.Any(port => port.Tx.Busy);

    public ConsoleStatistics Statistics
    {
        get
        {
            ConsoleStatistics sum = new() { Interrupts = _interrupts };
            if (_ports is not { } ports) return sum;
            sum.ControlMessages = ports.Messages;
            sum.ControlIgnored = ports.Ignored;
            foreach (VirtioConsolePort port in ports.All)
            {
                sum.RxBytes += port.Rx.Bytes;
                sum.RxDropped += port.Rx.Dropped;
                sum.TxBytes += port.Tx.Bytes;
                sum.Doorbells += port.Rx.Doorbells + port.Tx.Doorbells;
            }

            return sum;
        }
    }

    private VirtioConsolePorts Ports => _ports ?? throw new InvalidOperationException("the device was not started");

    /// <summary>[V §3.1.1], with step 7 for console devices [V §5.3.5].</summary>
    public ConsoleDeviceInfo Start()
    {
        _device.Negotiate(offered => offered & VirtioConsoleFeatures.Wanted);
        _arena.Reset();
        bool multiport = _device.Has(VirtioConsoleFeatures.Multiport);
        uint most = _config.ReadMaxPorts(), count = Math.Min(most, _options.Ports);
        VirtioConsoleBanks banks = new(_arena);
        DmaBuffer<PortNotes> notes = _arena.Allocate<PortNotes>(ConsoleDeviceInfo.MostPorts, 64);
        byte[] former = banks.Former;
        VirtioConsoleControl? control = multiport ? new VirtioConsoleControl(_device, _arena) : null;
        VirtioConsolePort[] all = [.. Enumerable.Range(0, (int)count).Select(id => MakePort((uint)id, banks, notes, former))];
        _transport.SetConfigVector(_vectors.Configuration);
        control?.SetUp(_transport, _vectors.OfQueue(0));
        foreach (VirtioConsolePort port in all) port.SetUp(_transport, _vectors.OfQueue(0));
        // What the predecessor left is in the new bank; the device writes nothing before the next step.
        banks.Commit();
        _device.Begin();
        foreach (VirtioConsolePort port in all) port.Rx.Provide();
        _ports = new VirtioConsolePorts(_transport.Name, all, most, control, _log);
        _ports.Begin();
        LookAtDevice();
        _log($"virtio-console, {(multiport ? $"{count} of {most} ports" : "one port")}, features 0x{(ulong)_device.Features:x}");
        return new ConsoleDeviceInfo(count, multiport ? 1u : 0);
    }

    public bool PollControl() => Ports.PollControl();

    public bool TryTakeChange(out ConsolePortInfo port) => Ports.TryTakeChange(out port);

    public void Open(uint port, uint incarnation, ulong session) => Ports.Open(port, incarnation, session);

    public void Close(uint port) => Ports.Close(port);

    public uint Transmit(uint port, RingConsumer<ConsoleChunk> submitted)
    {
        VirtioConsolePort one = Ports.All[(int)port];
        // One that has gone keeps what the device had of it; the ring belongs to a client of former days then.
        if (!one.IsOpen) return one.Tx.Return(null, 0);
        uint released = one.Tx.Return(submitted, one.Session);
        return _closed || !one.Info.Has(ConsolePortFlags.HostOpen) ? released : released + one.Tx.Provide(submitted, one.Session);
    }

    public uint Receive(uint port, RingProducer<ConsoleChunk> received)
    {
        VirtioConsolePort one = Ports.All[(int)port];
        return one.IsOpen ? one.Rx.Return(received) : 0;
    }

    public void StopIntake() => _closed = true;

    public void ArmInterrupts()
    {
        Ports.Control?.Arm();
        foreach (VirtioConsolePort port in Ports.All) port.Arm();
    }

    public void MaskInterrupts()
    {
        Ports.Control?.Mask();
        foreach (VirtioConsolePort port in Ports.All) port.Mask();
    }

    public void OnInterrupt(int vector)
    {
        _interrupts++;
        // INTx is lowered by reading the ISR [V §4.1.4.5].
        bool configuration = _transport.Vectors == 0 ? (_transport.TakeInterrupts() & VirtioInterrupts.Configuration) != 0 : vector == _vectors.Configuration;
        MaskInterrupts();
        if (configuration) LookAtDevice();
    }

    public void OnTimer()
    {
        LookAtDevice();
        Ports.OnTimer();
    }

    public void Stop()
    {
        _ports = null;
        _transport.Reset();
    }

    public void Dispose()
    {
        try
        {
            // Still there: it was not stopped, but failed.
            if (_ports is not null && _options.LastWords) _config.WriteEmergency($"\r\nxinim: the driver of {_transport.Name} failed\r\n");
            if (_ports is not null) Stop();
        }
        catch (DeviceFaultException gone)
        {
            _log(gone.Message);
        }

        _transport.Dispose();
    }

    private VirtioConsolePort MakePort(uint id, VirtioConsoleBanks banks, DmaBuffer<PortNotes> notes, byte[] bank)
    {
        VirtioConsoleRemains former = VirtioConsoleRemains.Read(bank, id);
        VirtioConsoleRx rx = new(_device, _arena, VirtioConsolePort.RxNumber(id), banks, notes, id, former);
        VirtioConsoleTx tx = new(_device, _arena, VirtioConsolePort.TxNumber(id), banks, notes, id, former);
        notes[id].Session = former.Session;
        return new VirtioConsolePort(id, notes, rx, tx);
    }

    private void LookAtDevice()
    {
        _device.CheckHealth();
        (ushort columns, ushort rows) = _config.ReadSize();
        if (columns != 0 && rows != 0) Ports.SetSize(0, columns, rows);
    }
}
