namespace Xinim.Vfio.Pci;

/// <summary>Offsets and bits of the type 0 configuration header (PCI Local Bus 3.0 §6.1, §6.2) and of capabilities (§6.7, §6.8; PCIe 4.0 §7.5).</summary>
public static class PciConfigSpace
{
    /// <summary>Vendor id, 16 bits; all ones where nothing answers.</summary>
    public const int VendorId = 0x00;

    /// <summary>Device id, 16 bits.</summary>
    public const int DeviceId = 0x02;

    /// <summary>Command, 16 bits (§6.2.2).</summary>
    public const int Command = 0x04;

    /// <summary>Status, 16 bits (§6.2.3).</summary>
    public const int Status = 0x06;

    /// <summary>Revision in the low byte, class code in the upper three.</summary>
    public const int RevisionAndClass = 0x08;

    /// <summary>Header type, 8 bits; the top bit says "more functions".</summary>
    public const int HeaderType = 0x0e;

    /// <summary>First base address register; six of 32 bits.</summary>
    public const int Bar0 = 0x10;

    /// <summary>Subsystem vendor id, 16 bits.</summary>
    public const int SubsystemVendorId = 0x2c;

    /// <summary>Subsystem id, 16 bits.</summary>
    public const int SubsystemId = 0x2e;

    /// <summary>Offset of the first capability, 8 bits.</summary>
    public const int CapabilitiesPointer = 0x34;

    /// <summary>Command: answers to I/O ports.</summary>
    public const ushort CommandIo = 1 << 0;

    /// <summary>Command: answers to memory accesses.</summary>
    public const ushort CommandMemory = 1 << 1;

    /// <summary>Command: may start DMA.</summary>
    public const ushort CommandBusMaster = 1 << 2;

    /// <summary>Command: may not raise INTx.</summary>
    public const ushort CommandInterruptDisable = 1 << 10;

    /// <summary>Status: has a capability list.</summary>
    public const ushort StatusCapabilities = 1 << 4;

    /// <summary>BAR: I/O ports, not memory.</summary>
    public const uint BarIsPorts = 1;

    /// <summary>Capability ids.</summary>
    public const byte CapabilityPowerManagement = 0x01, CapabilityMsi = 0x05, CapabilityPciExpress = 0x10, CapabilityMsiX = 0x11, CapabilityAdvancedFeatures = 0x13;
}
