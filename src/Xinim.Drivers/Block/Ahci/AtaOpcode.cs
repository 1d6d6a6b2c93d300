namespace Xinim.Drivers.Block.Ahci;

/// <summary>ATA commands that the driver gives; the manual has them in the order of their names [ACS §7].</summary>
internal enum AtaOpcode : byte
{
    None = 0x00,
    DataSetManagement = 0x06, // [ACS §7]
    ReadSectors = 0x20, // PIO, 28-bit [ACS §7.28]
    ReadSectorsExt = 0x24, // PIO, 48-bit [ACS §7]
    ReadDmaExt = 0x25, // [ACS §7]
    ReadLogExt = 0x2f, // [ACS §7]
    WriteSectors = 0x30, // PIO, 28-bit [ACS §7]
    WriteSectorsExt = 0x34, // PIO, 48-bit [ACS §7]
    WriteDmaExt = 0x35, // [ACS §7]
    WriteDmaFuaExt = 0x3d, // [ACS §7]
    ReadQueued = 0x60, // READ FPDMA QUEUED [ACS §7]
    WriteQueued = 0x61, // WRITE FPDMA QUEUED [ACS §7]
    Packet = 0xa0, // [ACS §7]
    IdentifyPacketDevice = 0xa1, // [ACS §7]
    Smart = 0xb0, // [ACS §7.48]
    ReadDma = 0xc8, // 28-bit [ACS §7.21]
    WriteDma = 0xca, // 28-bit [ACS §7.58]
    StandbyImmediate = 0xe0, // [ACS §7]
    IdleImmediate = 0xe1, // [ACS §7]
    FlushCache = 0xe7, // [ACS §7.10]
    FlushCacheExt = 0xea, // [ACS §7]
    IdentifyDevice = 0xec, // [ACS §7.12]
    SetFeatures = 0xef, // [ACS §7]
}
