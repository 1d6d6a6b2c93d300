namespace Xinim.Drivers.Network.E1000;

/// <summary>CTRL [SDM §13.4.1] [82574 §10.2.2.1].</summary>
[Flags]
internal enum DeviceControl : uint
{
    None = 0,
    MasterDisable = 1u << 2, // GIO_MASTER_DISABLE [82574 §10.2.2.1]
    LinkReset = 1u << 3, // LRST [SDM §13.4.1]
    AutoSpeed = 1u << 5, // ASDE [SDM §13.4.1]
    SetLinkUp = 1u << 6, // SLU [SDM §13.4.1]
    InvertLossOfSignal = 1u << 7, // ILOS [SDM §13.4.1]
    ForceSpeed = 1u << 11, // FRCSPD [SDM §13.4.1]
    ForceDuplex = 1u << 12, // FRCDPLX [SDM §13.4.1]
    Reset = 1u << 26, // RST, clears itself [SDM §13.4.1]
    ReceiveFlow = 1u << 27, // RFCE [SDM §13.4.1]
    TransmitFlow = 1u << 28, // TFCE [SDM §13.4.1]
    Vlan = 1u << 30, // VME: insertion on transmit and stripping on receive, one bit for both [SDM §13.4.1]
    PhyReset = 1u << 31, // PHY_RST [SDM §13.4.1]
}

/// <summary>STATUS [SDM §13.4.2] [82574 §10.2.2.2].</summary>
[Flags]
internal enum DeviceStatus : uint
{
    None = 0,
    FullDuplex = 1u << 0, // FD [SDM §13.4.2]
    LinkUp = 1u << 1, // LU [SDM §13.4.2]
    TransmitOff = 1u << 4, // TXOFF: paused by the link partner [SDM §13.4.2]
    Speed100 = 1u << 6, // SPEED 01 [SDM §13.4.2]
    Speed1000 = 1u << 7, // SPEED 10; 11 means 1000 too [SDM §13.4.2]
    MasterEnabled = 1u << 19, // GIO Master Enable Status [82574 §10.2.2.2]
    AllOnes = 0xffff_ffff, // no device answers the read (PCI Local Bus Specification 3.0 §3.7.4)
}

/// <summary>EECD [SDM §13.4.3] [82574 §10.2.2.3].</summary>
[Flags]
internal enum EepromControl : uint
{
    None = 0,
    Clock = 1u << 0, // SK [SDM §13.4.3]
    Select = 1u << 1, // CS [SDM §13.4.3]
    DataIn = 1u << 2, // DI, into the EEPROM [SDM §13.4.3]
    DataOut = 1u << 3, // DO, out of the EEPROM [SDM §13.4.3]
    AutoReadDone = 1u << 9, // Auto_RD [82574 §10.2.2.3]
}

/// <summary>CTRL_EXT [82574 §10.2.2.5].</summary>
[Flags]
internal enum ExtendedControl : uint
{
    None = 0,
    AutoMaskOnVector = 1u << 24, // EIAME [82574 §10.2.2.5]
    AutoMaskOnRead = 1u << 27, // IAME [82574 §10.2.2.5]
    DriverLoaded = 1u << 28, // DRV_LOAD: tells the manageability firmware who owns the link [82574 §10.2.2.5]
    ClearPending = 1u << 31, // PBA_support: a mask-set clears the vector's pending bit [82574 §10.2.2.5]
}

/// <summary>ICR, IMS, IMC, EIAC, IAM [SDM §13.4.17] [82574 §10.2.4.1].</summary>
[Flags]
internal enum InterruptCauses : uint
{
    None = 0,
    TransmitWritten = 1u << 0, // TXDW [SDM §13.4.17]
    TransmitEmpty = 1u << 1, // TXQE [SDM §13.4.17]
    LinkChange = 1u << 2, // LSC [SDM §13.4.17]
    ReceiveLow = 1u << 4, // RXDMT0 [SDM §13.4.17]
    ReceiveOverrun = 1u << 6, // RXO [SDM §13.4.17]
    Receive = 1u << 7, // RXT0 [SDM §13.4.17]
    ReceiveQueue0 = 1u << 20, // RXQ0, the cause in MSI-X mode [82574 §10.2.4.1]
    TransmitQueue0 = 1u << 22, // TXQ0, the cause in MSI-X mode [82574 §10.2.4.1]
    Other = 1u << 24, // OTHER: link, overrun and the rest in MSI-X mode [82574 §10.2.4.1]
    All = 0xffff_ffff, // to IMC: every cause [SDM §13.4.21]
}

/// <summary>IVAR: a 3-bit vector and a valid bit a cause; vector 0 for all of them here [82574 §10.2.4.9].</summary>
[Flags]
internal enum VectorAllocation : uint
{
    None = 0,
    ReceiveQueue0 = 1u << 3, // INT_Alloc[0] valid, vector 0 [82574 §10.2.4.9]
    TransmitQueue0 = 1u << 11, // INT_Alloc[2] valid, vector 0 [82574 §10.2.4.9]
    Other = 1u << 19, // INT_Alloc[4] valid, vector 0 [82574 §10.2.4.9]
}

/// <summary>RCTL [SDM §13.4.22]. BSIZE 00 without BSEX: 2,048-byte buffers. LBM 00: no loopback. MO 00: hash from bits 47:36.</summary>
[Flags]
internal enum ReceiveControl : uint
{
    None = 0,
    Enable = 1u << 1, // EN [SDM §13.4.22]
    UnicastPromiscuous = 1u << 3, // UPE [SDM §13.4.22]
    MulticastPromiscuous = 1u << 4, // MPE [SDM §13.4.22]
    LongPackets = 1u << 5, // LPE: up to 16,384 bytes [SDM §13.4.22]
    ThresholdEighth = 2u << 8, // RDMTS 10: RXDMT0 at an eighth of the ring [SDM §13.4.22]
    Broadcast = 1u << 15, // BAM [SDM §13.4.22]
    VlanFilter = 1u << 18, // VFE [SDM §13.4.22]
    StripCrc = 1u << 26, // SECRC [SDM §13.4.22]
}

/// <summary>TCTL [SDM §13.4.33].</summary>
[Flags]
internal enum TransmitControl : uint
{
    None = 0,
    Enable = 1u << 1, // EN [SDM §13.4.33]
    PadShort = 1u << 3, // PSP [SDM §13.4.33]
    CollisionThreshold = 0x0fu << 4, // CT, the recommended 15 [SDM §13.4.33]
    CollisionDistance = 0x40u << 12, // COLD, 64 bytes for full duplex [SDM §13.4.33]
    RetransmitLate = 1u << 24, // RTLC [SDM §13.4.33]
    MultipleRequests = 1u << 28, // MULR [82574 §10.2.6.1]
}

/// <summary>RXDCTL and TXDCTL [SDM §13.4.46, §13.4.43].</summary>
[Flags]
internal enum DescriptorControl : uint
{
    None = 0,
    WriteBackEach = 1u << 16, // WTHRESH 1 [SDM §13.4.46]
    CountDescriptors = 1u << 22, // set as the datasheet asks for [82574 §10.2.6.10]
    UnitDescriptors = 1u << 24, // GRAN: thresholds count descriptors, not cache lines [SDM §13.4.43]
}

/// <summary>RXCSUM [SDM §13.4.47].</summary>
[Flags]
internal enum ReceiveChecksum : uint
{
    None = 0,
    Ip = 1u << 8, // IPOFLD [SDM §13.4.47]
    Transport = 1u << 9, // TUOFLD [SDM §13.4.47]
}

/// <summary>RFCTL [82574 §10.2.5.16].</summary>
[Flags]
internal enum ReceiveFilterControl : uint
{
    None = 0,
    ExtendedStatus = 1u << 15, // EXSTEN: extended receive descriptors [82574 §10.2.5.16]
}

/// <summary>MDIC, an access to the PHY; the data is in the low half [SDM §13.4.7].</summary>
[Flags]
internal enum ManagementAccess : uint
{
    None = 0,
    Write = 1u << 26, // OP 01 [SDM §13.4.7]
    Read = 1u << 27, // OP 10 [SDM §13.4.7]
    Ready = 1u << 28, // R [SDM §13.4.7]
    Error = 1u << 30, // E [SDM §13.4.7]
}

/// <summary>The PHY's control register, PCTRL [SDM §13.4.7].</summary>
[Flags]
internal enum PhyControl : uint
{
    None = 0,
    Speed1000 = 1u << 6, // Speed Selection MSB [SDM §13.4.7]
    FullDuplex = 1u << 8, // Duplex Mode [SDM §13.4.7]
    RestartNegotiation = 1u << 9, // Restart Auto-Negotiation [SDM §13.4.7]
    Isolate = 1u << 10, // [SDM §13.4.7]
    PowerDown = 1u << 11, // [SDM §13.4.7]
    Negotiate = 1u << 12, // Auto-Negotiation Enable [SDM §13.4.7]
    Loopback = 1u << 14, // [SDM §13.4.7]
    Reset = 1u << 15, // [SDM §13.4.7]
}
