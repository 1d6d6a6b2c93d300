using System.Runtime.InteropServices;

namespace Xinim.Vfio.Vfio;

// The structures of linux/vfio.h that are used, each under the header's name in our spelling. Offsets are written down, not left to the
// compiler; a test compares them with what a C compiler makes of the header.

/// <summary>struct vfio_info_cap_header.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
internal struct VfioInfoCapHeader
{
    [FieldOffset(0)] public ushort Id;
    [FieldOffset(2)] public ushort Version;
    [FieldOffset(4)] public uint Next;
}

/// <summary>struct vfio_group_status.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
internal struct VfioGroupStatus
{
    [FieldOffset(0)] public uint Argsz;
    [FieldOffset(4)] public uint Flags;
}

/// <summary>struct vfio_device_info, as far as every kernel knows it (cap_offset came later and is not needed).</summary>
[StructLayout(LayoutKind.Explicit, Size = 20)]
internal struct VfioDeviceInfo
{
    [FieldOffset(0)] public uint Argsz;
    [FieldOffset(4)] public uint Flags;
    [FieldOffset(8)] public uint NumRegions;
    [FieldOffset(12)] public uint NumIrqs;
    [FieldOffset(16)] public uint CapOffset;
}

/// <summary>struct vfio_region_info; capabilities may follow.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct VfioRegionInfo
{
    [FieldOffset(0)] public uint Argsz;
    [FieldOffset(4)] public uint Flags;
    [FieldOffset(8)] public uint Index;
    [FieldOffset(12)] public uint CapOffset;
    [FieldOffset(16)] public ulong Size;
    [FieldOffset(24)] public ulong Offset;
}

/// <summary>struct vfio_region_info_cap_sparse_mmap; the areas follow.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct VfioRegionInfoCapSparseMmap
{
    [FieldOffset(0)] public VfioInfoCapHeader Header;
    [FieldOffset(8)] public uint NrAreas;
    [FieldOffset(12)] public uint Reserved;
}

/// <summary>struct vfio_region_sparse_mmap_area.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct VfioRegionSparseMmapArea
{
    [FieldOffset(0)] public ulong Offset;
    [FieldOffset(8)] public ulong Size;
}

/// <summary>struct vfio_irq_info.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct VfioIrqInfo
{
    [FieldOffset(0)] public uint Argsz;
    [FieldOffset(4)] public uint Flags;
    [FieldOffset(8)] public uint Index;
    [FieldOffset(12)] public uint Count;
}

/// <summary>struct vfio_irq_set; the data follow.</summary>
[StructLayout(LayoutKind.Explicit, Size = 20)]
internal struct VfioIrqSet
{
    [FieldOffset(0)] public uint Argsz;
    [FieldOffset(4)] public uint Flags;
    [FieldOffset(8)] public uint Index;
    [FieldOffset(12)] public uint Start;
    [FieldOffset(16)] public uint Count;
}

/// <summary>struct vfio_iommu_type1_info; capabilities may follow.</summary>
[StructLayout(LayoutKind.Explicit, Size = 24)]
internal struct VfioIommuType1Info
{
    [FieldOffset(0)] public uint Argsz;
    [FieldOffset(4)] public uint Flags;
    [FieldOffset(8)] public ulong IovaPgsizes;
    [FieldOffset(16)] public uint CapOffset;
}

/// <summary>struct vfio_iommu_type1_info_cap_iova_range; the ranges follow.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct VfioIommuType1InfoCapIovaRange
{
    [FieldOffset(0)] public VfioInfoCapHeader Header;
    [FieldOffset(8)] public uint NrIovas;
    [FieldOffset(12)] public uint Reserved;
}

/// <summary>struct vfio_iova_range; the end is inside.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct VfioIovaRange
{
    [FieldOffset(0)] public ulong Start;
    [FieldOffset(8)] public ulong End;
}

/// <summary>struct vfio_iommu_type1_info_dma_avail.</summary>
[StructLayout(LayoutKind.Explicit, Size = 12)]
internal struct VfioIommuType1InfoDmaAvail
{
    [FieldOffset(0)] public VfioInfoCapHeader Header;
    [FieldOffset(8)] public uint Avail;
}

/// <summary>struct vfio_iommu_type1_dma_map.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct VfioIommuType1DmaMap
{
    [FieldOffset(0)] public uint Argsz;
    [FieldOffset(4)] public uint Flags;
    [FieldOffset(8)] public ulong Vaddr;
    [FieldOffset(16)] public ulong Iova;
    [FieldOffset(24)] public ulong Size;
}

/// <summary>struct vfio_iommu_type1_dma_unmap.</summary>
[StructLayout(LayoutKind.Explicit, Size = 24)]
internal struct VfioIommuType1DmaUnmap
{
    [FieldOffset(0)] public uint Argsz;
    [FieldOffset(4)] public uint Flags;
    [FieldOffset(8)] public ulong Iova;
    [FieldOffset(16)] public ulong Size;
}
