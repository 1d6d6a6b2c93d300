using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;

namespace Xinim.Vfio.Vfio;

/// <summary>Mappings in an IOMMU, each checked against the limits before the kernel is asked, so that the message can say what to do.</summary>
internal sealed class IommuMap : IDmaMap
{
    private readonly VfioContainer _container;
    private readonly IovaAllocator _addresses;
    private readonly uint _slots;
    private readonly Func<LockedMemory> _lockedMemory;

    /// <param name="container">With its IOMMU.</param>
    /// <param name="info">What the container said.</param>
    /// <param name="slots">Mappings that the kernel allows where it does not count them for us.</param>
    /// <param name="lockedMemory">What may be locked now.</param>
    public IommuMap(VfioContainer container, IommuInfo info, uint slots, Func<LockedMemory> lockedMemory)
    {
        _container = container;
        _slots = slots;
        _lockedMemory = lockedMemory;
        _addresses = new IovaAllocator(info.Ranges, info.SmallestPage);
    }

    public bool HasIommu => true;

    public Iova Map(SharedRegion region, RegionAccess access)
    {
        CheckAccess(region, access);
        if (region.Size % (long)_addresses.Granule != 0)
            throw new LinuxException($"a region of {region.Size} bytes is no multiple of the IOMMU's pages of {_addresses.Granule} bytes; round its size up");
        if (SlotsLeft() == 0)
        {
            throw new LinuxException($"all {_addresses.Count} mapping slots of the IOMMU are in use; map fewer, larger regions, "
                + "or raise the module parameter vfio_iommu_type1.dma_entry_limit");
        }

        _lockedMemory().Require((ulong)region.Size, $"mapping {region.Size} bytes for a device");
        Iova start = _addresses.Allocate((ulong)region.Size, (ulong)region.PageSize);
        try
        {
            _container.Map(region.Address, start, (ulong)region.Size, access);
            return start;
        }
        catch
        {
            _addresses.Free(start, (ulong)region.Size);
            throw;
        }
    }

    public void Unmap(Iova start, long size)
    {
        if (size % (long)_addresses.Granule != 0 || !_addresses.Contains(start, (ulong)size))
            throw new ArgumentException($"no region of {size} bytes is mapped at {start}", nameof(start));
        _container.Unmap(start, (ulong)size);
        // Only now: an address that the IOMMU still translates must not be handed out again.
        _addresses.Free(start, (ulong)size);
    }

    internal static void CheckAccess(SharedRegion region, RegionAccess access)
    {
        if ((access & RegionAccess.ReadWrite) == 0 || (access & ~RegionAccess.ReadWrite) != 0)
            throw new ArgumentOutOfRangeException(nameof(access), access, "a device reads, writes or both");
        if ((access & ~region.Access) != 0)
            throw new LinuxException($"the device is to {access}, this process may only {region.Access} the region; open it with that access");
    }

    private uint SlotsLeft() => _container.GetInfo().MappingsAvailable ?? (_slots > (uint)_addresses.Count ? _slots - (uint)_addresses.Count : 0);
}
