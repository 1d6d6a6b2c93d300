using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Xinim.Vfio.Dma;

namespace Xinim.Vfio.Vfio;

/// <summary>What VFIO_IOMMU_GET_INFO says of a container (linux/vfio.h).</summary>
/// <param name="PageSizes">Bit n set: pages of 2^n bytes.</param>
/// <param name="Ranges">Usable addresses; a cautious guess where the kernel does not tell (before 5.4).</param>
/// <param name="MappingsAvailable">Mappings that can still be made; null where the kernel does not tell (before 5.10).</param>
public sealed record IommuInfo(ulong PageSizes, IReadOnlyList<IovaRange> Ranges, uint? MappingsAvailable)
{
    /// <summary>What any x86 IOMMU translates: 39 bits, without the window of interrupt messages (Intel SDM vol. 3 §11.11.1).</summary>
    internal static readonly IovaRange[] Cautious = [new(0, 0xfedf_ffff), new(0xfef0_0000, (1UL << 39) - 1)];

    /// <summary>Bytes of the smallest page.</summary>
    public ulong SmallestPage => PageSizes == 0 ? 4096 : PageSizes & (~PageSizes + 1);

    internal static IommuInfo Parse(ReadOnlySpan<byte> answer)
    {
        VfioIommuType1Info info = MemoryMarshal.Read<VfioIommuType1Info>(answer);
        ulong pages = (info.Flags & VfioAbi.VFIO_IOMMU_INFO_PGSIZES) != 0 ? info.IovaPgsizes : 0;
        uint first = (info.Flags & VfioAbi.VFIO_IOMMU_INFO_CAPS) != 0 ? info.CapOffset : 0;
        return new IommuInfo(pages, Spans(answer, first), Available(answer, first));
    }

    private static IovaRange[] Spans(ReadOnlySpan<byte> answer, uint first)
    {
        ReadOnlySpan<byte> capability = VfioCapabilityChain.Find(answer, first, VfioAbi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
        int header = Unsafe.SizeOf<VfioIommuType1InfoCapIovaRange>();
        if (capability.Length < header) return Cautious;
        uint count = MemoryMarshal.Read<VfioIommuType1InfoCapIovaRange>(capability).NrIovas;
        return [.. VfioCapabilityChain.Elements<VfioIovaRange>(capability, header, count).Select(range => new IovaRange(range.Start, range.End))];
    }

    private static uint? Available(ReadOnlySpan<byte> answer, uint first)
    {
        ReadOnlySpan<byte> capability = VfioCapabilityChain.Find(answer, first, VfioAbi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
        return capability.Length < Unsafe.SizeOf<VfioIommuType1InfoDmaAvail>() ? null : MemoryMarshal.Read<VfioIommuType1InfoDmaAvail>(capability).Avail;
    }
}
