using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Drivers.Block.Ahci;
using Xinim.Ipc.Memory;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.TestKit.Block.Ahci;

/// <summary>A controller in this process, the driver on it, a clock that a test moves, and a client of each disk.</summary>
public sealed class AhciBench : IDisposable
{
    private readonly Dictionary<string, string> _options;
    private readonly DmaRegion _work;

    /// <param name="model">The controller.</param>
    /// <param name="disks">Its disks, from port 0 on; null for an empty port.</param>
    /// <param name="options">Of the driver.</param>
    public AhciBench(AhciModel model, IReadOnlyList<AtaDiskModel?> disks, params (string Key, string Value)[] options)
    {
        Model = model;
        for (int i = 0; i < disks.Count; i++)
            if (disks[i] is { } disk) Model.Ports[i].Plug(disk);
        _options = options.ToDictionary(option => option.Key, option => option.Value);
        Interrupts = (FakeInterrupts)Model.Device.EnableInterrupts(InterruptKind.Intx, 1);
        _work = Model.Dma.Map("work", 8 << 20, RegionAccess.ReadWrite);
        Driver = NewDriver();
    }

    /// <param name="disk">In port 0.</param>
    public AhciBench(AtaDiskModel disk, params (string Key, string Value)[] options)
        : this(new AhciModel(), [disk], options)
    {
    }

    public AhciModel Model { get; }

    public FakeInterrupts Interrupts { get; }

    public ManualClock Clock { get; } = new();

    public AhciDriver Driver { get; private set; }

    public IReadOnlyList<IControllerUnit> Units { get; private set; } = [];

    public List<string> Log { get; } = [];

    /// <summary>Clients by port; of ports with a disk when the driver started.</summary>
    public Dictionary<int, UnitClient> Clients { get; } = [];

    public UnitClient Client => Clients[0];

    public AhciModelPort Port => Model.Ports[0];

    public AtaDiskModel Disk => Port.Disk!;

    /// <summary>Starts the driver and attaches a client to every port.</summary>
    public AhciBench Started()
    {
        Units = Driver.Start();
        for (int i = 0; i < Units.Count; i++)
        {
            if (!Clients.TryGetValue(i, out UnitClient? client)) Clients[i] = client = new UnitClient(Units[i], Model.Dma.Map($"pool {i}", 2 << 20, RegionAccess.ReadWrite), () => { });
            client.Unit = Units[i];
            client.Attach();
        }

        foreach (AhciModelPort port in Model.Ports) port.Disk?.Seen.Clear();
        return this;
    }

    /// <summary>A new driver after the last one's death.</summary>
    public void Reincarnate()
    {
        Model.Device.FakeConfig.ClearBusMaster();
        foreach (UnitClient client in Clients.Values) client.Dispose();
        Clients.Clear();
        Driver = NewDriver();
        _ = Started();
    }

    /// <summary>What the host's loop does before it sleeps, and when it is woken.</summary>
    /// <returns>True where an interrupt came.</returns>
    public bool Sleep()
    {
        Driver.ArmInterrupts();
        foreach (UnitClient client in Clients.Values) client.Poll();
        bool woken = Interrupts.Take(0);
        if (woken)
        {
            Driver.OnInterrupt(0);
            Interrupts.Acknowledge(0);
        }
        else
        {
            Driver.MaskInterrupts();
        }

        return woken;
    }

    /// <summary>Time passes, a second at a time, with the timer's call.</summary>
    public void Pass(int seconds)
    {
        for (int i = 0; i < seconds; i++)
        {
            Clock.Pass(TimeSpan.FromSeconds(1));
            Driver.OnTimer();
            foreach (UnitClient client in Clients.Values) client.Poll();
        }
    }

    public void Dispose()
    {
        Driver.Dispose();
        foreach (UnitClient client in Clients.Values) client.Dispose();
        Interrupts.Dispose();
        Model.Dma.Dispose();
    }

    private AhciDriver NewDriver() => new(new DriverContext(Model.Device, Interrupts, new DmaArena(_work), Log.Add) { Options = _options }, Clock);
}
