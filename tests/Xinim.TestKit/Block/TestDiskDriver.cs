using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;

namespace Xinim.TestKit.Block;

/// <summary>The driver of a device that is one <see cref="DiskModel"/>.</summary>
public sealed class TestDiskDriver : IBlockDriver
{
    private readonly IPciDevice _device;
    private readonly TestDisk _disk;

    public TestDiskDriver(DriverContext context)
    {
        _device = context.Pci;
        _disk = new TestDisk(_device.MapBar(0), 0, context.Arena.Allocate<DiskEntry>(DiskModel.Depth, 4096));
    }

    /// <inheritdoc cref="TestDisk.Lie"/>
    public Func<BlockCompletion, IReadOnlyList<BlockCompletion>>? Lie
    {
        get => _disk.Lie;
        set => _disk.Lie = value;
    }

    public bool Busy => _disk.Busy;

    public BlockStatistics Statistics => _disk.Statistics;

    public BlockDeviceInfo Start()
    {
        TestController.BeginDma(_device);
        return _disk.IsPresent ? _disk.Start() : throw new DeviceFaultException($"{_device.Name} is no test disk");
    }

    public void Attach(BufferTable buffers) => _disk.Attach(buffers);

    public void Detach() => _disk.Detach();

    public uint Submit(RingConsumer<BlockRequest> submitted) => _disk.Submit(submitted);

    public uint Complete(RingProducer<BlockCompletion> completed) => _disk.Complete(completed);

    public void ArmInterrupts() => _disk.Enable(true);

    public void MaskInterrupts() => _disk.Enable(false);

    public void OnInterrupt(int vector) => _ = _disk.TakeCause();

    public void OnTimer() => _disk.Look();

    public bool TryTakeChange(out BlockDeviceInfo info) => _disk.TryTakeChange(out info);

    public void SetWriteCache(bool on) => _disk.SetWriteCache(on);

    public void Stop() => _disk.Stop();

    public void Dispose() => _device.Dispose();
}
