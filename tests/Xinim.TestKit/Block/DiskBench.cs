using Xinim.Drivers;
using Xinim.Ipc.Memory;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.TestKit.Block;

/// <summary>A disk in this process with drivers that follow one another, and memory for a client.</summary>
public sealed class DiskBench : IDisposable
{
    private readonly DmaRegion _work;

    public DiskBench(uint blocks = 16384, long poolBytes = 4 << 20)
    {
        Model = new DiskModel(blocks) { Fetch = Dma.Read, Store = Dma.Write };
        Device = new FakePciDevice(new PciIdentity(0x1234, 0x0d15, 0, 0, 0x018000, 0), Model, new Dictionary<int, uint> { [0] = DiskModel.BarBytes }, new InterruptSupport(true, 0, 0));
        Device.FakeConfig.BusMasterChanged = on => Dma.Enabled = on;
        Interrupts = Device.EnableInterrupts(InterruptKind.Intx, 1);
        Model.Line = on =>
        {
            if (on) ((FakeInterrupts)Interrupts).Raise(0);
            else ((FakeInterrupts)Interrupts).Lower(0);
        };
        _work = Dma.Map("work", 1 << 20, RegionAccess.ReadWrite);
        Pool = Dma.Map("pool", poolBytes, RegionAccess.ReadWrite);
    }

    public FakeDma Dma { get; } = new();

    public DiskModel Model { get; }

    public FakePciDevice Device { get; }

    public IDeviceInterrupts Interrupts { get; }

    /// <summary>The client's.</summary>
    public DmaRegion Pool { get; }

    /// <summary>The driver's.</summary>
    public DmaRegion Work => _work;

    /// <summary>What a driver gets.</summary>
    public DriverContext Context() => new(Device, Interrupts, new DmaArena(_work), _ => { });

    /// <summary>Makes the device quiet, as a supervisor does after a driver's death.</summary>
    public void Quieten()
    {
        Device.FakeConfig.ClearBusMaster();
        Model.Reset();
    }

    public void Dispose()
    {
        Interrupts.Dispose();
        Dma.Dispose();
    }
}
