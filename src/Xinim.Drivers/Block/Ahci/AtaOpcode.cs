namespace Xinim.Drivers.Block.Ahci;

/// <summary>ATA commands that the driver gives; the manual has them in the order of their names [ACS §7].</summary>
internal enum AtaOpcode : byte
{
    None = 0x00,
    DataSetManagement = 0x06, // [ACS §7.5]
    ReadSectors = 0x20, // PIO, 28-bit [ACS §7.28]
    ReadSectorsExt = 0x24, // PIO, 48-bit [ACS §7.29]
    ReadDmaExt = 0x25, // [ACS §7.22]
    ReadLogExt = 0x2f, // [ACS §7.24]
    WriteSectors = 0x30, // PIO, 28-bit [ACS §7.67]
    WriteSectorsExt = 0x34, // PIO, 48-bit [ACS §7.68]
    WriteDmaExt = 0x35, // [ACS §7.59]
    WriteDmaFuaExt = 0x3d, // [ACS §7.60]
    ReadQueued = 0x60, // READ FPDMA QUEUED [ACS §7.23] [SATA §13.6.4.1]
    WriteQueued = 0x61, // WRITE FPDMA QUEUED [ACS §7.61] [SATA §13.6.4]
    Packet = 0xa0, // [ACS §7.18]
    IdentifyPacketDevice = 0xa1, // [ACS §7.13]
    Smart = 0xb0, // [ACS §7.48]
    ReadDma = 0xc8, // 28-bit [ACS §7.21]
    WriteDma = 0xca, // 28-bit [ACS §7.58]
    StandbyImmediate = 0xe0, // [ACS §7.50]
    IdleImmediate = 0xe1, // [ACS §7.15]
    FlushCache = 0xe7, // [ACS §7.10]
    FlushCacheExt = 0xea, // [ACS §7.11]
    IdentifyDevice = 0xec, // [ACS §7.12]
    SetFeatures = 0xef, // [ACS §7.45]
}
