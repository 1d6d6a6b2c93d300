using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;

namespace Xinim.Drivers.Network.E1000;

/// <summary>
/// Intel 8254x and 82574 gigabit controllers. Glue: the order of bring-up stands here, its steps in <see cref="E1000Hardware"/>, the data
/// path in <see cref="E1000TxQueue"/> and <see cref="E1000RxQueue"/>.
/// </summary>
public sealed class E1000Driver : INetworkDriver
{
    private readonly E1000Options _options;
    private readonly E1000Variant _variant;
    private readonly E1000Hardware _hardware;
    private readonly E1000Filters _filters;
    private readonly E1000Statistics _statistics;
    private readonly E1000Interrupts _interrupts;
    private readonly E1000TxQueue _tx;
    private readonly E1000RxQueue _rx;
    private readonly Action<string> _log;
    private MacAddress _mac;
    private bool _started;

    /// <param name="options">Instead of the context's.</param>
    /// <exception cref="ArgumentException">The device is none of <see cref="Matches"/>, or an option is out of range.</exception>
    public E1000Driver(DriverContext context, E1000Options? options = null)
    {
        _options = options?.Check() ?? E1000Options.Parse(context.Options);
        _variant = E1000Variant.Of(context.Pci);
        _log = context.Log;
        _hardware = new E1000Hardware(context.Pci, _variant, _log);
        E1000Registers registers = _hardware.Registers;
        _filters = new E1000Filters(registers, _variant);
        _statistics = new E1000Statistics(registers);
        // 128 bytes: the lengths are multiples of it, and a ring that starts on a line shares none with its neighbour [SDM §13.4.25, §13.4.36].
        _tx = new E1000TxQueue(context.Arena.Allocate<TxDescriptor>(_options.TxDescriptors, 128), registers.TxTail) { Segmentation = _options.Segmentation };
        _rx = new E1000RxQueue(context.Arena.Allocate<RxDescriptor>(_options.RxDescriptors, 128), registers.RxTail, _variant.Express ? RxLayout.Extended : RxLayout.Legacy);
        _interrupts = new E1000Interrupts(_hardware, _tx, _rx, new E1000Moderation(registers, _variant, _options.ThrottleInterval), context.Interrupts.Kind);
    }

    public bool TxBusy => _tx.Busy;
    public LinkState Link => _interrupts.Link;

    public NetworkStatistics Statistics => _statistics.Sums with
    {
        RxDropped = _rx.Dropped, TxRejected = _tx.Rejected,
        Interrupts = _interrupts.Count, Doorbells = _tx.Doorbells + _rx.Doorbells,
    };

    /// <summary>True for the devices that this driver is for.</summary>
    public static bool Matches(ushort vendor, ushort device) => E1000Variant.Find(vendor, device) is not null;

    public NetworkDeviceInfo Start()
    {
        _hardware.Reset();
        _mac = new E1000Eeprom(_hardware.Registers, _variant.Eeprom).ReadMac();
        BringUp();
        _started = true;
        _log($"{_variant.Name}, {_mac}, link {Link}");
        return _options.Describe(_mac, Link);
    }

    public void Attach(BufferTable buffers)
    {
        _tx.Attach(buffers);
        _rx.Attach(buffers);
    }

    /// <summary>A reset: the only thing after which the manual says that no DMA follows [SDM §13.4.1].</summary>
    public void Detach()
    {
        _statistics.Collect();
        _hardware.Reset();
        BringUp();
    }

    public uint TxProvide(RingConsumer<NetBuffer> submitted) => _tx.Provide(submitted);

    public uint TxReturn(RingProducer<NetBuffer> completed) => _tx.Return(completed);

    public uint RxProvide(RingConsumer<NetBuffer> free) => _rx.Provide(free);

    public uint RxReturn(RingProducer<NetBuffer> received) => _rx.Return(received);

    public void ArmInterrupts()
    {
        _rx.Flush();
        _interrupts.Arm();
    }

    public void OnInterrupt(int vector) => _interrupts.Handle();

    public void MaskInterrupts() => _hardware.MaskInterrupts();

    public void OnTimer()
    {
        DeviceStatus status = _interrupts.ReadLink();
        _statistics.Collect();
        _tx.CheckProgress(excused: Link.Up == 0 || (status & DeviceStatus.TransmitOff) != 0);
    }

    public void SetFilters(in NetworkFilters filters)
    {
        _filters.Set(filters);
        if (!_started) return;
        _filters.Write();
        _tx.Apply(_filters);
        _rx.Apply(_filters);
    }

    public void StopReceiving() => _hardware.StopReceiver();

    public void Stop()
    {
        _started = false;
        _hardware.Quiesce();
    }

    public void Dispose()
    {
        if (!_started) return;
        try
        {
            Stop();
        }
        catch (DeviceFaultException gone)
        {
            _log(gone.Message);
        }
    }

    private void BringUp()
    {
        _tx.Reset();
        _rx.Reset();
        _hardware.ConfigureDevice();
        _hardware.ConfigureFlowControl();
        _hardware.ConfigureAddresses(_mac);
        _hardware.ConfigureReceive(_rx.Ring);
        _hardware.ConfigureTransmit(_tx.Ring);
        _hardware.ConfigureInterrupts();
        _interrupts.Restart();
        _statistics.Discard();
        _hardware.SetBusMaster();
        _hardware.EnableTransmit();
        _filters.WriteAfterReset();
        _tx.Apply(_filters);
        _rx.Apply(_filters);
    }
}
