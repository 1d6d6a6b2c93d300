using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;

namespace Xinim.TestKit.Fakes;

/// <summary>
/// What an IOMMU and the memory behind it are to a device model: mapped regions with an access each, and everything else a fault that is
/// written down and moves nothing.
/// </summary>
public sealed class FakeDma : IDisposable
{
    private readonly List<DmaRegion> _regions = [];

    // Above 4 GiB, so that a driver that forgets the upper halves is found out.
    private ulong _next = 0x12_3400_0000;

    /// <summary>False while bus mastering is off: then every access is a fault.</summary>
    public bool Enabled { get; set; }

    /// <summary>Accesses that were refused.</summary>
    public List<string> Faults { get; } = [];

    /// <summary>What is mapped.</summary>
    public IReadOnlyList<DmaRegion> Regions => _regions;

    /// <summary>Makes a region and maps it, with a hole before and behind it.</summary>
    public DmaRegion Map(string name, long size, RegionAccess deviceAccess)
    {
        SharedRegion memory = SharedRegion.Create(name, size, PageChoice.Ordinary);
        DmaRegion region = new((uint)_regions.Count + 1, new Iova(_next), memory.Size, deviceAccess, memory);
        _next += (ulong)memory.Size + 0x10_0000;
        _regions.Add(region);
        return region;
    }

    /// <summary>Takes a region away from the device.</summary>
    public void Unmap(DmaRegion region) => _regions.Remove(region);

    /// <summary>The device reads memory.</summary>
    public bool Read(ulong iova, Span<byte> to)
    {
        Span<byte> from = Find(iova, to.Length, RegionAccess.Read);
        if (from.IsEmpty) return to.IsEmpty;
        from.CopyTo(to);
        return true;
    }

    /// <summary>The device writes memory.</summary>
    public bool Write(ulong iova, ReadOnlySpan<byte> from)
    {
        Span<byte> to = Find(iova, from.Length, RegionAccess.Write);
        if (to.IsEmpty) return from.IsEmpty;
        from.CopyTo(to);
        return true;
    }

    /// <summary>A word of a descriptor, written in one store as a device does it.</summary>
    public bool Write64(ulong iova, ulong value)
    {
        Span<byte> to = Find(iova, sizeof(ulong), RegionAccess.Write);
        if (to.IsEmpty) return false;
        Volatile.Write(ref System.Runtime.InteropServices.MemoryMarshal.AsRef<ulong>(to), value);
        return true;
    }

    /// <summary>A word of a descriptor.</summary>
    public bool Read64(ulong iova, out ulong value)
    {
        Span<byte> from = Find(iova, sizeof(ulong), RegionAccess.Read);
        value = from.IsEmpty ? 0 : Volatile.Read(ref System.Runtime.InteropServices.MemoryMarshal.AsRef<ulong>(from));
        return !from.IsEmpty;
    }

    public void Dispose()
    {
        foreach (DmaRegion region in _regions) region.Memory?.Dispose();
        _regions.Clear();
    }

    private Span<byte> Find(ulong iova, int length, RegionAccess access)
    {
        if (Enabled)
        {
            foreach (DmaRegion region in _regions)
            {
                if (iova < region.Iova.Value || iova - region.Iova.Value > (ulong)region.Size - (ulong)length) continue;
                if ((region.DeviceAccess & access) == access) return region.Memory!.Slice((long)(iova - region.Iova.Value), length);
            }
        }

        Faults.Add($"{access} of {length} bytes at 0x{iova:x}{(Enabled ? "" : " with bus mastering off")}");
        return default;
    }
}
