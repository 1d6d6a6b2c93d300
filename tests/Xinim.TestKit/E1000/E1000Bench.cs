using Xinim.Drivers;
using Xinim.Drivers.Network.E1000;
using Xinim.Ipc.Memory;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.TestKit.E1000;

/// <summary>A model, a driver on it and a client: what most tests begin with.</summary>
public sealed class E1000Bench : IDisposable
{
    private readonly IReadOnlyDictionary<string, string> _settings;
    private readonly IPciDevice _device;

    /// <param name="settings">What a configuration says; counts where <paramref name="options"/> is null.</param>
    /// <param name="wrap">Puts something between driver and device.</param>
    public E1000Bench(
        E1000ModelKind kind,
        E1000Options? options = null,
        E1000Misbehaviour misbehaviour = E1000Misbehaviour.None,
        uint buffers = 1024,
        InterruptKind? interrupts = null,
        IReadOnlyDictionary<string, string>? settings = null,
        Func<E1000Model, IPciDevice>? wrap = null)
    {
        _settings = settings ?? new Dictionary<string, string>();
        Model = new E1000Model(kind, misbehaviour);
        _device = wrap?.Invoke(Model) ?? Model.Device;
        InterruptKind chosen = interrupts ?? Model.Device.Interrupts.Best(1);
        _ = Model.Device.EnableInterrupts(chosen, 1);
        Work = Model.Dma.Map("work", 1 << 20, RegionAccess.ReadWrite);
        Client = new FakeNetworkClient(Model.Dma, buffers, buffers);
        Options = options;
        Driver = NewDriver();
    }

    public E1000Model Model { get; }

    public DmaRegion Work { get; }

    public FakeNetworkClient Client { get; }

    public E1000Driver Driver { get; private set; }

    public E1000Options? Options { get; }

    /// <summary>Lines that the driver logged.</summary>
    public List<string> Log { get; } = [];

    public FakeInterrupts Interrupts => Model.Device.Enabled!;

    /// <summary>Starts the driver and gives it the client's buffers.</summary>
    public E1000Bench Started(uint post = 0)
    {
        _ = Driver.Start();
        Driver.Attach(Client.Buffers);
        if (post != 0) Client.Post(post);
        Poll();
        return this;
    }

    /// <summary>One round of the host's loop.</summary>
    public void Poll()
    {
        _ = Driver.TxReturn(Client.Driver.Completed);
        _ = Driver.RxReturn(Client.Driver.Received);
        _ = Driver.TxProvide(Client.Driver.Submit);
        _ = Driver.RxProvide(Client.Driver.Free);
        _ = Driver.TxReturn(Client.Driver.Completed);
    }

    /// <summary>Kills the driver as a supervisor does and makes its successor.</summary>
    public void Reincarnate()
    {
        Model.KillDriver();
        Driver = NewDriver();
    }

    public void Dispose()
    {
        Client.Dispose();
        Model.Dispose();
    }

    private E1000Driver NewDriver() => new(new DriverContext(_device, Interrupts, new DmaArena(Work), Log.Add) { Options = _settings }, Options);
}
