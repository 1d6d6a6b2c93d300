using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Supervisor.Tests.Harness;

/// <summary>A device that writes down what its owner does to it, and lets a test look around at each of those moments.</summary>
internal sealed class RecordingBackend : IDeviceBackend
{
    private readonly SafeFileHandle _device = Descriptor.CreateEvent();
    private ulong _nextIova = 1 << 30;

    public string Name { get; init; } = "0000:00:03.0";

    public BackendKind Kind => BackendKind.Vfio;

    public PciIdentity Identity { get; init; } = new(0x8086, 0x100e, 0, 0, 0x020000, 0);

    public bool HasIommu => true;

    public IReadOnlyList<SafeFileHandle> DriverHandles => [_device];

    /// <summary>Signalled by a test that wants the device back.</summary>
    public SafeFileHandle RemovalRequested { get; } = Descriptor.CreateEvent();

    /// <summary>Signalled by a test whose device has gone for now.</summary>
    public SafeFileHandle Lost { get; } = Descriptor.CreateEvent();

    /// <summary>What is missing for a driver to start.</summary>
    public string? Missing { get; set; }

    /// <summary>What was done, in order: Map, Unmap, DisableInterrupts, ClearBusMaster, Reset, Dispose.</summary>
    public List<string> Calls { get; } = [];

    /// <summary>What the device can reach now.</summary>
    public Dictionary<ulong, (SharedRegion Region, RegionAccess Access)> Mapped { get; } = [];

    /// <summary>Called before each call is carried out, with its name.</summary>
    public Action<string>? OnCall { get; set; }

    /// <summary>Calls that fail, with what.</summary>
    public Dictionary<string, Exception> Failures { get; } = [];

    public Iova Map(SharedRegion region, RegionAccess deviceAccess)
    {
        Record(nameof(Map));
        Iova iova = new(_nextIova);
        _nextIova += (ulong)region.Size + (2 << 20);
        Mapped.Add(iova.Value, (region, deviceAccess));
        return iova;
    }

    public void Unmap(Iova start, long size)
    {
        Record(nameof(Unmap));
        Assert.True(Mapped.Remove(start.Value, out var mapping), $"{start} is not mapped");
        Assert.Equal(mapping.Region.Size, size);
    }

    public void DisableInterrupts() => Record(nameof(DisableInterrupts));

    public void ClearBusMaster()
    {
        Record(nameof(ClearBusMaster));
        Descriptor.Drain(Lost);
    }

    public string? FindMissing() => Missing;

    public bool Reset()
    {
        Record(nameof(Reset));
        return false;
    }

    public void Dispose()
    {
        Record(nameof(Dispose));
        _device.Dispose();
        RemovalRequested.Dispose();
        Lost.Dispose();
    }

    private void Record(string call)
    {
        Calls.Add(call);
        OnCall?.Invoke(call);
        if (Failures.TryGetValue(call, out Exception? failure)) throw failure;
    }
}
