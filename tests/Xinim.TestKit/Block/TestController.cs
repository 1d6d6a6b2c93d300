using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.TestKit.Block;

/// <summary>The driver of <see cref="ControllerModel"/>: what the driver of a controller with disks is at the least.</summary>
public sealed class TestController : IBlockController
{
    /// <summary>In manifests.</summary>
    public const string Name = "test-controller";

    private readonly IPciDevice _device;
    private readonly TestDisk[] _disks;

    public TestController(DriverContext context)
    {
        _device = context.Pci;
        Mmio registers = _device.MapBar(0);
        _disks = [.. Enumerable.Range(0, ControllerModel.Ports.Length).Select(at => new TestDisk(
            registers, (uint)at * DiskModel.BarBytes, context.Arena.Allocate<DiskEntry>(DiskModel.Depth, 4096), ControllerModel.Ports[at]))];
    }

    public IReadOnlyList<IControllerUnit> Start()
    {
        BeginDma(_device);
        foreach (TestDisk disk in _disks) disk.Start();
        return _disks;
    }

    public void ArmInterrupts()
    {
        foreach (TestDisk disk in _disks) disk.Enable(true);
    }

    public void MaskInterrupts()
    {
        foreach (TestDisk disk in _disks) disk.Enable(false);
    }

    public void OnInterrupt(int vector)
    {
        foreach (TestDisk disk in _disks) disk.TakeCause();
    }

    public void OnTimer()
    {
        foreach (TestDisk disk in _disks) disk.Look();
    }

    public void Stop()
    {
        foreach (TestDisk disk in _disks) disk.Stop();
    }

    public void Dispose() => _device.Dispose();

    /// <summary>Memory decoding and bus mastering.</summary>
    internal static void BeginDma(IPciDevice device) => device.Config.Write16(4, (ushort)(device.Config.Read16(4) | 6));
}
