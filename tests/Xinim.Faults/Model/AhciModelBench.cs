using System.Runtime.InteropServices;
using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Drivers.Block.Ahci;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Memory;
using Xinim.TestKit.Block.Ahci;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Faults.Model;

/// <summary>The real AHCI driver's code on a controller model with one disk, whose registers, memory and disk lie to it.</summary>
internal sealed class AhciModelBench : IModelBench
{
    private const uint Entries = 32;
    private const int RoundsPerTurn = 4, Storm = 100;

    private readonly AhciModel _model;
    private readonly DmaRegion _work;
    private readonly DmaArena _arena;
    private readonly AhciDriver _driver;
    private readonly DiskModelClient _client;
    private readonly FakeInterrupts _interrupts;
    private readonly ManualClock _clock = new();
    private IControllerUnit? _unit;

    /// <param name="slots">Of the controller.</param>
    /// <param name="options">Of the driver.</param>
    public AhciModelBench(uint slots, params (string Key, string Value)[] options)
    {
        _model = new AhciModel(ports: 1, slots);
        Registers = new TamperedRegisters(_model);
        Disk = new AtaDiskModel(DiskModelClient.DiskBlocks) { Fault = command => Fault?.Invoke(command) };
        Port.Plug(Disk);
        _interrupts = (FakeInterrupts)_model.Device.EnableInterrupts(InterruptKind.Intx, 1);
        _work = _model.Dma.Map("work", 1 << 20, RegionAccess.ReadWrite);
        _arena = new DmaArena(_work);
        _client = new DiskModelClient(_model.Dma, Entries);
        Dictionary<string, string> all = options.ToDictionary(option => option.Key, option => option.Value);
        // Commands that are never answered are given up before the campaign gives up.
        all["timeout"] = "2";
        _driver = new AhciDriver(new DriverContext(new TamperedDevice(_model.Device, Registers), _interrupts, _arena, _ => { }) { Options = all }, _clock);
    }

    /// <summary>Ways to ask a disk for its blocks.</summary>
    public static IReadOnlyList<(string Name, uint Slots, (string Key, string Value)[] Options)> Layouts { get; } =
    [
        ("queued", 32, []),
        ("queued, few slots", 4, []),
        ("DMA", 32, [("ncq", "false")]),
        ("PIO", 32, [("ncq", "false"), ("dma", "false")]),
    ];

    public TamperedRegisters Registers { get; }

    public AtaDiskModel Disk { get; }

    public AhciModelPort Port => _model.Ports[0];

    /// <summary>What the disk does to a command instead; null for what it should.</summary>
    public Func<AtaCommandModel, AtaFault?>? Fault { get; set; }

    /// <summary>The controller raises its line for nothing.</summary>
    public bool Storms { get; set; }

    /// <summary>What the driver wrote for the controller: command lists, tables, and where FISes come.</summary>
    public Span<ulong> WorkWords => MemoryMarshal.Cast<byte, ulong>(_work.Memory!.Slice(0, (int)(_work.Size - _arena.Free)));

    public Span<byte> ClientMemory => _client.Memory;

    public StreamCounts Sent => _client.Written;

    public StreamCounts Received => _client.Read;

    public string? Breach => _client.Breach;

    public void Start()
    {
        IReadOnlyList<IControllerUnit> units = _driver.Start();
        // A controller may show fewer ports than it has: then there is nothing to serve, and nobody is harmed.
        if (units.Count == 0) throw new DeviceFaultException("no port");
        _unit = units[0];
        _client.Attach(_unit);
    }

    public void Arrive() => _client.Arrive();

    public void Turn()
    {
        for (int round = 0; round < RoundsPerTurn; round++) Poll();
        _driver.ArmInterrupts();
        Poll();
        for (int i = 0; Storms && i < Storm; i++) _driver.OnInterrupt(0);
        if (!_interrupts.Take(0)) return;
        _driver.OnInterrupt(0);
        _interrupts.Acknowledge(0);
    }

    public void OnTimer()
    {
        _clock.Pass(TimeSpan.FromSeconds(1));
        _driver.OnTimer();
        Poll();
    }

    public void Relent()
    {
        Registers.Relent();
        (Fault, Storms, _model.Hold, _model.Unplugged) = (null, false, false, false);
        Registers.Guard(Port.Release);
    }

    public void Succeed()
    {
    }

    /// <summary>The controller holds commands back.</summary>
    public void Hold() => _model.Hold = true;

    /// <summary>Every read is all ones from now on.</summary>
    public void Vanish() => _model.Unplugged = true;

    public void Dispose()
    {
        _driver.Dispose();
        _client.Dispose();
        _interrupts.Dispose();
        _model.Dma.Dispose();
    }

    private void Poll()
    {
        if (_unit is null) return;
        _client.Submit(_unit);
        _client.Complete(_unit);
        _client.Take();
    }
}
