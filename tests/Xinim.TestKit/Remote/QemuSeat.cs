using Xinim.Drivers;
using Xinim.Ipc.Memory;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Remote;

namespace Xinim.TestKit.Remote;

/// <summary>One of QEMU's device models in a process of its own, with drivers in this one that follow each other as a supervisor has them follow.</summary>
public sealed class QemuSeat<TDriver> : IDisposable
    where TDriver : class, IDriver
{
    private readonly QemuDevice _qemu;
    private readonly Func<DriverContext, TDriver> _make;
    private readonly List<SharedRegion> _memory = [];

    /// <param name="make">Makes a driver.</param>
    public QemuSeat(RemoteModel model, Func<DriverContext, TDriver> make, long workBytes = 2 << 20)
    {
        _qemu = new QemuDevice(model);
        _make = make;
        Work = Map("work", workBytes, RegionAccess.ReadWrite);
        Open();
    }

    /// <summary>The driver's work region.</summary>
    public DmaRegion Work { get; }

    public TDriver Driver { get; private set; } = null!;

    public IPciDevice Device { get; private set; } = null!;

    public IDeviceInterrupts Interrupts { get; private set; } = null!;

    /// <summary>Lines that the drivers logged.</summary>
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

    /// <summary>Memory that the device reaches.</summary>
    public DmaRegion Map(string name, long size, RegionAccess access)
    {
        SharedRegion memory = SharedRegion.Create(name, size, PageChoice.Ordinary);
        _memory.Add(memory);
        return new DmaRegion((uint)_memory.Count, _qemu.Backend.Map(memory, access), memory.Size, access, memory);
    }

    public void Dispose()
    {
        Interrupts.Dispose();
        Device.Dispose();
        _qemu.Dispose();
        foreach (SharedRegion memory in _memory) memory.Dispose();
    }

    private void Open()
    {
        Device = RemotePciDevice.FromHandles(_qemu.DuplicateSocket(), _qemu.Backend.Name);
        Interrupts = Device.EnableInterrupts(InterruptKind.Intx, 1);
        Driver = _make(new DriverContext(Device, Interrupts, new DmaArena(Work), Log.Add));
    }
}
