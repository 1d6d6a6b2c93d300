using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.TestKit.Block;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Remote;

namespace Xinim.TestKit.Remote;

/// <summary>One of QEMU's own disk controllers with a disk on each port, a driver on it in this process, and a client of each disk.</summary>
public sealed class QemuController : IDisposable
{
    private readonly QemuSeat<IBlockController> _seat;
    private readonly int _disks;
    private readonly List<DmaRegion> _pools = [];

    /// <param name="model">QEMU's name of the device.</param>
    /// <param name="drives">Paths of images.</param>
    /// <param name="make">Makes a driver.</param>
    public QemuController(string model, IReadOnlyCollection<string> drives, Func<DriverContext, IBlockController> make)
        : this(RemoteModel.Parse($"remote:{model}", drives: drives), drives.Count, make)
    {
    }

    /// <param name="disks">Disks that it has, on its first ports.</param>
    public QemuController(RemoteModel model, int disks, Func<DriverContext, IBlockController> make)
    {
        _seat = new QemuSeat<IBlockController>(model, make, 4 << 20);
        _disks = disks;
    }

    public IBlockController Driver => _seat.Driver;

    public IPciDevice Device => _seat.Device;

    public IDeviceInterrupts Interrupts => _seat.Interrupts;

    public List<string> Log => _seat.Log;

    /// <summary>All ports.</summary>
    public IReadOnlyList<IControllerUnit> Units { get; private set; } = [];

    /// <summary>The clients of the disks.</summary>
    public List<UnitClient> Clients { get; } = [];

    /// <summary>Starts the driver and gives it new clients, with the memory of the last ones.</summary>
    public IControllerUnit Start()
    {
        Units = Driver.Start();
        foreach (UnitClient client in Clients) client.Dispose();
        Clients.Clear();
        // Clients come when the driver is up, and their memory with them.
        while (_pools.Count < _disks) _pools.Add(_seat.Map($"pool {_pools.Count}", 8 << 20, RegionAccess.ReadWrite));
        for (int i = 0; i < _disks; i++)
        {
            Clients.Add(new UnitClient(Units[i], _pools[i], () => Descriptor.Poll(1, Interrupts.EventOf(0))));
            Clients[i].Attach();
        }

        return Units[0];
    }

    /// <summary>A new driver, after <see cref="QemuSeat{TDriver}.Reincarnate"/>.</summary>
    public void Reincarnate(bool reset)
    {
        _seat.Reincarnate(reset);
        _ = Start();
    }

    /// <summary>Serves an interrupt as the host's loop does, if there is one by then.</summary>
    public bool Serve(int milliseconds)
    {
        if (Descriptor.Poll(milliseconds, Interrupts.EventOf(0)) == 0) return false;
        Driver.OnInterrupt(0);
        Interrupts.Acknowledge(0);
        return true;
    }

    public void Dispose()
    {
        foreach (UnitClient client in Clients) client.Dispose();
        _seat.Dispose();
    }
}
