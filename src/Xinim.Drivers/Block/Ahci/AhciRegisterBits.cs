namespace Xinim.Drivers.Block.Ahci;

/// <summary>CAP [AHCI §3.1.1].</summary>
[Flags]
internal enum HostCapabilities : uint
{
    None = 0,
    PortsMask = 0x1f, // NP, zero-based [AHCI §3.1.1]
    Coalescing = 1u << 7, // CCCS [AHCI §3.1.1]
    SlotsMask = 0x1f00, // NCS, zero-based [AHCI §3.1.1]
    AhciOnly = 1u << 18, // SAM [AHCI §3.1.1]
    CommandListOverride = 1u << 24, // SCLO [AHCI §3.1.1]
    StaggeredSpinUp = 1u << 27, // SSS [AHCI §3.1.1]
    PresenceSwitch = 1u << 28, // SMPS: ports may have a switch in the slot [AHCI §3.1.1]
    Queueing = 1u << 30, // SNCQ [AHCI §3.1.1]
    Addresses64 = 1u << 31, // S64A [AHCI §3.1.1]
    AllOnes = 0xffff_ffff, // no device answers the read (PCI Local Bus Specification 3.0 §3.7.4) [AHCI §3.1.1]
}

/// <summary>GHC [AHCI §3.1.2].</summary>
[Flags]
internal enum HostControl : uint
{
    None = 0,
    Reset = 1u << 0, // HR, clears itself [AHCI §3.1.2]
    InterruptEnable = 1u << 1, // IE [AHCI §3.1.2]
    AhciEnable = 1u << 31, // AE [AHCI §3.1.2]
}

/// <summary>CCC_CTL [AHCI §3.1.6].</summary>
[Flags]
internal enum CoalescingControl : uint
{
    None = 0,
    Enable = 1u << 0, // EN [AHCI §3.1.6]
    InterruptShift = 3, // INT: the bit of IS that it uses, of a port that there is none of [AHCI §3.1.6]
    InterruptMask = 0x1f << 3, // INT [AHCI §3.1.6]
    CommandsShift = 8, // CC: completions that interrupt together [AHCI §3.1.6]
    TimeoutShift = 16, // TV: milliseconds after which fewer do [AHCI §3.1.6]
}

/// <summary>CAP2 [AHCI §3.1.10].</summary>
[Flags]
internal enum ExtendedCapabilities : uint
{
    None = 0,
    HandOff = 1u << 0, // BOH [AHCI §3.1.10]
}

/// <summary>BOHC [AHCI §3.1.11].</summary>
[Flags]
internal enum HandOff : uint
{
    None = 0,
    FirmwareOwns = 1u << 0, // BOS [AHCI §3.1.11]
    SystemOwns = 1u << 1, // OOS [AHCI §3.1.11]
    OwnershipChange = 1u << 3, // OOC, write one to clear [AHCI §3.1.11]
    FirmwareBusy = 1u << 4, // BB [AHCI §3.1.11]
}

/// <summary>PxIS and PxIE [AHCI §3.3.5, §3.3.6].</summary>
[Flags]
internal enum PortInterrupts : uint
{
    None = 0,
    DeviceToHost = 1u << 0, // DHRS: a register FIS [AHCI §3.3.5]
    PioSetup = 1u << 1, // PSS [AHCI §3.3.5]
    DmaSetup = 1u << 2, // DSS [AHCI §3.3.5]
    SetDeviceBits = 1u << 3, // SDBS: queued commands are finished [AHCI §3.3.5]
    UnknownFis = 1u << 4, // UFS, cleared by PxSERR.DIAG.F [AHCI §3.3.5]
    DescriptorDone = 1u << 5, // DPS [AHCI §3.3.5]
    ConnectChange = 1u << 6, // PCS, cleared by PxSERR.DIAG.X [AHCI §3.3.5]
    InterlockChange = 1u << 7, // DMPS: a switch in the slot [AHCI §3.3.5]
    PhyReadyChange = 1u << 22, // PRCS, cleared by PxSERR.DIAG.N [AHCI §3.3.5]
    Overflow = 1u << 24, // OFS: the device sent more than the table has room for [AHCI §3.3.5]
    InterfaceRecovered = 1u << 26, // INFS [AHCI §3.3.5]
    InterfaceFatal = 1u << 27, // IFS [AHCI §3.3.5]
    HostBusData = 1u << 28, // HBDS [AHCI §3.3.5]
    HostBusFatal = 1u << 29, // HBFS [AHCI §3.3.5]
    TaskFileError = 1u << 30, // TFES [AHCI §3.3.5]
    ColdPresence = 1u << 31, // CPDS [AHCI §3.3.5]

    Completions = DeviceToHost | PioSetup | DmaSetup | SetDeviceBits | DescriptorDone, // [AHCI §3.3.5]
    LinkChanges = ConnectChange | InterlockChange | PhyReadyChange | ColdPresence, // [AHCI §7.3]
    Fatal = Overflow | InterfaceFatal | HostBusData | HostBusFatal | TaskFileError, // [AHCI §6.1]
    Wanted = DeviceToHost | PioSetup | SetDeviceBits | UnknownFis | LinkChanges | InterfaceRecovered | Fatal, // [AHCI §3.3.6]
    All = 0xffff_ffff, // [AHCI §3.3.5]
}

/// <summary>PxCMD [AHCI §3.3.7].</summary>
[Flags]
internal enum PortCommand : uint
{
    None = 0,
    Start = 1u << 0, // ST [AHCI §3.3.7]
    SpinUp = 1u << 1, // SUD [AHCI §3.3.7]
    PowerOn = 1u << 2, // POD [AHCI §3.3.7]
    CommandListOverride = 1u << 3, // CLO [AHCI §3.3.7]
    ReceiveEnable = 1u << 4, // FRE [AHCI §3.3.7]
    SwitchOpen = 1u << 13, // MPSS: the slot is open, where there is a switch [AHCI §3.3.7]
    ReceiveRunning = 1u << 14, // FR [AHCI §3.3.7]
    ListRunning = 1u << 15, // CR [AHCI §3.3.7]
    ColdPresent = 1u << 16, // CPS: something is in the slot, powered or not, where there is cold presence detection [AHCI §3.3.7]
    PresenceSwitch = 1u << 19, // MPSP: a switch in the slot [AHCI §3.3.7]
    ColdPresence = 1u << 20, // CPD: cold presence detection, and power that the port can switch [AHCI §3.3.7]
    Active = 1u << 28, // ICC 1: leave a saving state of the link [AHCI §3.3.7]
    StateMask = 0xfu << 28, // ICC [AHCI §3.3.7]
}

/// <summary>PxTFD: status in the low byte, error above it [AHCI §3.3.8]; the bits as [ACS §6.2, §6.3] have them.</summary>
[Flags]
internal enum TaskFile : uint
{
    None = 0,
    Error = 1u << 0, // ERR [ACS §6.2]
    DataRequest = 1u << 3, // DRQ [ACS §6.2]
    DeviceFault = 1u << 5, // DF [ACS §6.2]
    Busy = 1u << 7, // BSY [ACS §6.2]
    Aborted = 1u << 10, // ABRT [ACS §6.3]
    IdNotFound = 1u << 12, // IDNF [ACS §6.3]
    Uncorrectable = 1u << 14, // UNC [ACS §6.3]
    InterfaceCrc = 1u << 15, // ICRC [ACS §6.3]

    Occupied = Busy | DataRequest, // [AHCI §10.3.1]
    Failed = Error | DeviceFault, // [ACS §6.2]
    Located = IdNotFound | Uncorrectable, // the LBA says where [ACS §6.3]
}

/// <summary>PxSSTS [AHCI §3.3.10].</summary>
[Flags]
internal enum LinkStatus : uint
{
    None = 0,
    DetectMask = 0xf, // DET [AHCI §3.3.10]
    Present = 1, // DET 1: a device, and no communication yet [AHCI §3.3.10]
    Established = 3, // DET 3 [AHCI §3.3.10]
    SpeedMask = 0xf0, // SPD: 1.5 Gbit/s, 3, 6 [AHCI §3.3.10]
}

/// <summary>PxSCTL [AHCI §3.3.11].</summary>
[Flags]
internal enum LinkControl : uint
{
    None = 0,
    Reset = 1, // DET 1: COMRESET as long as it is set [AHCI §3.3.11]
    SpeedShift = 4, // SPD: no faster than 1.5 Gbit/s, 3, 6; 0 for no limit [AHCI §3.3.11]
    NoSaving = 3u << 8, // IPM 3: the link may not go into Partial or Slumber [AHCI §3.3.11]
}
