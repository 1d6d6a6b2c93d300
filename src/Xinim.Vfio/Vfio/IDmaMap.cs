using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;

namespace Xinim.Vfio.Vfio;

/// <summary>What a device can reach. Made by <see cref="VfioBackend"/>: through an IOMMU, or, unsafely, by physical address.</summary>
internal interface IDmaMap
{
    bool HasIommu { get; }

    Iova Map(SharedRegion region, RegionAccess access);

    void Unmap(Iova start, long size);
}
