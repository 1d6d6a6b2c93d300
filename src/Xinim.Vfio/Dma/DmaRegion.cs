using Xinim.Ipc.Memory;

namespace Xinim.Vfio.Dma;

/// <summary>
/// Memory that the supervisor mapped for the device. A driver learns id, IOVA and access; it has a mapping of its own only of its
/// work region (<see cref="Memory"/>), never of the packets or blocks that it moves.
/// </summary>
/// <param name="Id">Given by the supervisor, unique for the device.</param>
/// <param name="Iova">Where the device sees the first byte.</param>
/// <param name="Size">Bytes.</param>
/// <param name="DeviceAccess">What the IOMMU lets the device do.</param>
/// <param name="Memory">This process's mapping, if it has one.</param>
public sealed record DmaRegion(uint Id, Iova Iova, long Size, RegionAccess DeviceAccess, SharedRegion? Memory = null);
