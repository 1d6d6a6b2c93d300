using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Xinim.Vfio.Vfio;

/// <summary>A region of a VFIO device: a BAR, the ROM or configuration space (struct vfio_region_info).</summary>
/// <param name="Index">0–5 for BARs, 6 for the ROM, 7 for configuration space.</param>
/// <param name="Flags">VFIO_REGION_INFO_FLAG_*.</param>
/// <param name="Size">Bytes; 0 where the device has no such region.</param>
/// <param name="Offset">Bytes from the start of the device descriptor.</param>
/// <param name="Mappable">Parts that may be mapped, as (offset, size) in the region; the whole where there is no restriction.</param>
public sealed record VfioRegion(uint Index, uint Flags, ulong Size, ulong Offset, IReadOnlyList<(ulong Offset, ulong Size)> Mappable)
{
    /// <summary>True where one mapping can cover the region, so that registers are plain memory.</summary>
    public bool CanMapWhole => Size != 0 && Mappable.Count == 1 && Mappable[0] == (0UL, Size);

    internal static VfioRegion Parse(ReadOnlySpan<byte> answer)
    {
        VfioRegionInfo info = MemoryMarshal.Read<VfioRegionInfo>(answer);
        return new VfioRegion(info.Index, info.Flags, info.Size, info.Offset, Areas(answer, info));
    }

    private static (ulong Offset, ulong Size)[] Areas(ReadOnlySpan<byte> answer, VfioRegionInfo info)
    {
        if ((info.Flags & VfioAbi.VFIO_REGION_INFO_FLAG_MMAP) == 0 || info.Size == 0) return [];
        uint first = (info.Flags & VfioAbi.VFIO_REGION_INFO_FLAG_CAPS) != 0 ? info.CapOffset : 0;
        ReadOnlySpan<byte> sparse = VfioCapabilityChain.Find(answer, first, VfioAbi.VFIO_REGION_INFO_CAP_SPARSE_MMAP);
        int header = Unsafe.SizeOf<VfioRegionInfoCapSparseMmap>();
        if (sparse.Length < header) return [(0, info.Size)];
        uint count = MemoryMarshal.Read<VfioRegionInfoCapSparseMmap>(sparse).NrAreas;
        return [.. VfioCapabilityChain.Elements<VfioRegionSparseMmapArea>(sparse, header, count).Select(area => (area.Offset, area.Size))];
    }
}
