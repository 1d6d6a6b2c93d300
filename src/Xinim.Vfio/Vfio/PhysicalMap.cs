using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Native;

namespace Xinim.Vfio.Vfio;

/// <summary>
/// No IOMMU: a device gets physical addresses (Documentation/admin-guide/mm/pagemap.rst) and could use any other. Regions must be in
/// one piece of physical memory, as a single huge page is. They stay where they are because huge pages of a memfd are not moved or swapped.
/// </summary>
internal sealed class PhysicalMap(string pagemap = "/proc/self/pagemap") : IDmaMap
{
    private const int PageSize = 4096;
    private const ulong Present = 1UL << 63;
    private const ulong FrameMask = (1UL << 55) - 1;
    private readonly Dictionary<Iova, long> _mapped = [];

    public bool HasIommu => false;

    public Iova Map(SharedRegion region, RegionAccess access)
    {
        IommuMap.CheckAccess(region, access);
        if (region.PageSize == PageSize)
            throw new LinuxException("without an IOMMU a region must be made of huge pages, which stay in place; reserve some with 'xinim hugepages 64'");
        using SafeFileHandle file = NativeMethods.Open(pagemap, flags: 0);
        if (file.IsInvalid) throw LinuxException.Last($"cannot open {pagemap}");
        ulong first = FrameOf(file, region.Address);
        for (long offset = region.PageSize; offset < region.Size; offset += region.PageSize)
        {
            if (FrameOf(file, region.Address + (nuint)offset) != first + ((ulong)offset / PageSize))
            {
                throw new LinuxException($"without an IOMMU a region must be one piece of physical memory, this one of {region.Size} bytes is not; "
                    + $"use regions of {region.PageSize} bytes, or pages of 1 GiB");
            }
        }

        Iova start = new(first * PageSize);
        _mapped.Add(start, region.Size);
        return start;
    }

    public void Unmap(Iova start, long size)
    {
        if (!_mapped.TryGetValue(start, out long mapped) || mapped != size)
            throw new ArgumentException($"no region of {size} bytes is mapped at {start}", nameof(start));
        _mapped.Remove(start);
    }

    private unsafe ulong FrameOf(SafeFileHandle file, nuint address)
    {
        ulong entry = 0;
        nint got = NativeMethods.Pread(file, &entry, sizeof(ulong), (long)(address / PageSize) * sizeof(ulong));
        if (got != sizeof(ulong)) throw new LinuxException($"cannot read {pagemap}", Marshal.GetLastPInvokeError());
        // The kernel shows frame 0 to whoever lacks CAP_SYS_ADMIN.
        if ((entry & Present) == 0 || (entry & FrameMask) == 0)
            throw new LinuxException($"{pagemap} hides physical addresses; without an IOMMU the supervisor must be root");
        return entry & FrameMask;
    }
}
