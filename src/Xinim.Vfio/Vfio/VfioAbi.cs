namespace Xinim.Vfio.Vfio;

/// <summary>Numbers of linux/vfio.h, under the header's names; a test compares each with the header. Request numbers are _IO(';', 100 + n).</summary>
internal static class VfioAbi
{
    public const int VFIO_API_VERSION = 0;
    public const int VFIO_TYPE1v2_IOMMU = 3;
    public const int VFIO_NOIOMMU_IOMMU = 8;
    public const int VFIO_UNMAP_ALL = 9;

    public const uint VFIO_GET_API_VERSION = 0x3b64;
    public const uint VFIO_CHECK_EXTENSION = 0x3b65;
    public const uint VFIO_SET_IOMMU = 0x3b66;
    public const uint VFIO_GROUP_GET_STATUS = 0x3b67;
    public const uint VFIO_GROUP_SET_CONTAINER = 0x3b68;
    public const uint VFIO_GROUP_UNSET_CONTAINER = 0x3b69;
    public const uint VFIO_GROUP_GET_DEVICE_FD = 0x3b6a;
    public const uint VFIO_DEVICE_GET_INFO = 0x3b6b;
    public const uint VFIO_DEVICE_GET_REGION_INFO = 0x3b6c;
    public const uint VFIO_DEVICE_GET_IRQ_INFO = 0x3b6d;
    public const uint VFIO_DEVICE_SET_IRQS = 0x3b6e;
    public const uint VFIO_DEVICE_RESET = 0x3b6f;
    public const uint VFIO_IOMMU_GET_INFO = 0x3b70;
    public const uint VFIO_IOMMU_MAP_DMA = 0x3b71;
    public const uint VFIO_IOMMU_UNMAP_DMA = 0x3b72;

    public const uint VFIO_GROUP_FLAGS_VIABLE = 1;
    public const uint VFIO_GROUP_FLAGS_CONTAINER_SET = 2;

    public const uint VFIO_DEVICE_FLAGS_RESET = 1;
    public const uint VFIO_DEVICE_FLAGS_PCI = 2;

    public const uint VFIO_REGION_INFO_FLAG_READ = 1;
    public const uint VFIO_REGION_INFO_FLAG_WRITE = 2;
    public const uint VFIO_REGION_INFO_FLAG_MMAP = 4;
    public const uint VFIO_REGION_INFO_FLAG_CAPS = 8;
    public const ushort VFIO_REGION_INFO_CAP_SPARSE_MMAP = 1;
    public const ushort VFIO_REGION_INFO_CAP_MSIX_MAPPABLE = 3;

    public const uint VFIO_PCI_BAR0_REGION_INDEX = 0;
    public const uint VFIO_PCI_ROM_REGION_INDEX = 6;
    public const uint VFIO_PCI_CONFIG_REGION_INDEX = 7;

    public const uint VFIO_PCI_INTX_IRQ_INDEX = 0;
    public const uint VFIO_PCI_MSI_IRQ_INDEX = 1;
    public const uint VFIO_PCI_MSIX_IRQ_INDEX = 2;
    public const uint VFIO_PCI_ERR_IRQ_INDEX = 3;
    public const uint VFIO_PCI_REQ_IRQ_INDEX = 4;

    public const uint VFIO_IRQ_INFO_EVENTFD = 1;
    public const uint VFIO_IRQ_INFO_MASKABLE = 2;
    public const uint VFIO_IRQ_INFO_AUTOMASKED = 4;
    public const uint VFIO_IRQ_INFO_NORESIZE = 8;

    public const uint VFIO_IRQ_SET_DATA_NONE = 1;
    public const uint VFIO_IRQ_SET_DATA_BOOL = 2;
    public const uint VFIO_IRQ_SET_DATA_EVENTFD = 4;
    public const uint VFIO_IRQ_SET_ACTION_MASK = 8;
    public const uint VFIO_IRQ_SET_ACTION_UNMASK = 16;
    public const uint VFIO_IRQ_SET_ACTION_TRIGGER = 32;

    public const uint VFIO_IOMMU_INFO_PGSIZES = 1;
    public const uint VFIO_IOMMU_INFO_CAPS = 2;
    public const ushort VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE = 1;
    public const ushort VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL = 3;

    public const uint VFIO_DMA_MAP_FLAG_READ = 1;
    public const uint VFIO_DMA_MAP_FLAG_WRITE = 2;
    public const uint VFIO_DMA_UNMAP_FLAG_ALL = 2;
}
