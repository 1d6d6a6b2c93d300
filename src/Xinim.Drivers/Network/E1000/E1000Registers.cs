using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Network.E1000;

/// <summary>
/// The register map of BAR 0, only what the driver uses. Sources, here and in the other files of this folder:
/// [SDM] = Intel, PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual, 317453-006, revision 4.0;
/// [82574] = Intel 82574 GbE Controller Family Datasheet, 317694, revision 3.4, where its device differs or has a register of its own.
/// </summary>
internal sealed class E1000Registers(Mmio bar)
{
    /// <summary>Bytes of BAR 0 that the map covers [SDM §13.2].</summary>
    public const uint MinBarBytes = 0x6000;

    public readonly Register<DeviceControl> Control = new(bar, 0x00000); // CTRL [SDM §13.4.1]
    public readonly ReadOnlyRegister<DeviceStatus> Status = new(bar, 0x00008); // STATUS [SDM §13.4.2]
    public readonly Register<EepromControl> Eeprom = new(bar, 0x00010); // EECD [SDM §13.4.3]
    public readonly Register<uint> EepromRead = new(bar, 0x00014); // EERD [SDM §13.4.4] [82574 §10.2.2.4]
    public readonly Register<ExtendedControl> ExtendedControl = new(bar, 0x00018); // CTRL_EXT [SDM §13.4.6] [82574 §10.2.2.5]
    public readonly Register<ManagementAccess> Management = new(bar, 0x00020); // MDIC [SDM §13.4.7]
    public readonly Register<uint> FlowAddressLow = new(bar, 0x00028); // FCAL [SDM §13.4.8]
    public readonly Register<uint> FlowAddressHigh = new(bar, 0x0002c); // FCAH [SDM §13.4.9]
    public readonly Register<uint> FlowType = new(bar, 0x00030); // FCT [SDM §13.4.10]
    public readonly Register<uint> VlanEtherType = new(bar, 0x00038); // VET [SDM §13.4.11]
    public readonly ReadToClearRegister<InterruptCauses> Causes = new(bar, 0x000c0); // ICR [SDM §13.4.17] [82574 §10.2.4.1]
    public readonly Register<uint> Throttle = new(bar, 0x000c4); // ITR [SDM §13.4.18] [82574 §10.2.4.2]
    public readonly WriteOnlyRegister<InterruptCauses> MaskSet = new(bar, 0x000d0); // IMS [SDM §13.4.20]
    public readonly WriteOnlyRegister<InterruptCauses> MaskClear = new(bar, 0x000d8); // IMC [SDM §13.4.21]
    public readonly Register<InterruptCauses> AutoClear = new(bar, 0x000dc); // EIAC [82574 §10.2.4.7]
    public readonly Register<InterruptCauses> AutoMask = new(bar, 0x000e0); // IAM [82574 §10.2.4.8]
    public readonly Register<VectorAllocation> Vectors = new(bar, 0x000e4); // IVAR [82574 §10.2.4.9]
    public readonly Register<uint> VectorThrottle = new(bar, 0x000e8); // EITR0 [82574 §10.2.4.3]
    public readonly Register<ReceiveControl> ReceiveControl = new(bar, 0x00100); // RCTL [SDM §13.4.22]
    public readonly Register<uint> FlowTimer = new(bar, 0x00170); // FCTTV [SDM §13.4.12]
    public readonly Register<TransmitControl> TransmitControl = new(bar, 0x00400); // TCTL [SDM §13.4.33]
    public readonly Register<uint> InterPacketGap = new(bar, 0x00410); // TIPG [SDM §13.4.34]
    public readonly Register<uint> PacketBuffer = new(bar, 0x01000); // PBA [SDM §13.4.16]
    public readonly Register<uint> FlowThresholdLow = new(bar, 0x02160); // FCRTL [SDM §13.4.23]
    public readonly Register<uint> FlowThresholdHigh = new(bar, 0x02168); // FCRTH [SDM §13.4.24]

    public readonly Register<uint> RxBaseLow = new(bar, 0x02800); // RDBAL [SDM §13.4.25]
    public readonly Register<uint> RxBaseHigh = new(bar, 0x02804); // RDBAH [SDM §13.4.26]
    public readonly Register<uint> RxLength = new(bar, 0x02808); // RDLEN [SDM §13.4.27]
    public readonly Register<uint> RxHead = new(bar, 0x02810); // RDH [SDM §13.4.28]
    public readonly WriteOnlyRegister<uint> RxTail = new(bar, 0x02818); // RDT [SDM §13.4.29]
    public readonly Register<uint> RxDelay = new(bar, 0x02820); // RDTR [SDM §13.4.30]
    public readonly Register<DescriptorControl> RxDescriptorControl = new(bar, 0x02828); // RXDCTL [SDM §13.4.46]
    public readonly Register<uint> RxAbsoluteDelay = new(bar, 0x0282c); // RADV [SDM §13.4.31]
    public readonly Register<uint> SecondRxLength = new(bar, 0x02908); // RDLEN1 [82574 §10.2.5.7]

    public readonly Register<uint> TxBaseLow = new(bar, 0x03800); // TDBAL [SDM §13.4.36]
    public readonly Register<uint> TxBaseHigh = new(bar, 0x03804); // TDBAH [SDM §13.4.37]
    public readonly Register<uint> TxLength = new(bar, 0x03808); // TDLEN [SDM §13.4.38]
    public readonly Register<uint> TxHead = new(bar, 0x03810); // TDH [SDM §13.4.39]
    public readonly WriteOnlyRegister<uint> TxTail = new(bar, 0x03818); // TDT [SDM §13.4.40]
    public readonly Register<uint> TxDelay = new(bar, 0x03820); // TIDV [SDM §13.4.41]
    public readonly Register<DescriptorControl> TxDescriptorControl = new(bar, 0x03828); // TXDCTL [SDM §13.4.43]
    public readonly Register<uint> TxAbsoluteDelay = new(bar, 0x0382c); // TADV [SDM §13.4.44]
    public readonly Register<uint> TxArbitration = new(bar, 0x03840); // TARC0 [82574 §10.2.6.9]

    public readonly Register<ReceiveChecksum> ReceiveChecksum = new(bar, 0x05000); // RXCSUM [SDM §13.4.47]
    public readonly Register<ReceiveFilterControl> ReceiveFilter = new(bar, 0x05008); // RFCTL [82574 §10.2.5.16]
    public readonly RegisterTable MulticastTable = new(bar, 0x05200, 128); // MTA [SDM §13.5.1]
    public readonly RegisterTable ReceiveAddresses = new(bar, 0x05400, 32); // RAL, RAH, in turns [SDM §13.5.2, §13.5.3]
    public readonly RegisterTable VlanTable = new(bar, 0x05600, 128); // VFTA [SDM §13.5.4]
    public readonly Register<uint> MultipleQueues = new(bar, 0x05818); // MRQC [82574 §10.2.5.21]

    public readonly ReadToClearRegister<uint> CrcErrors = new(bar, 0x04000); // CRCERRS [SDM §13.7.1]
    public readonly ReadToClearRegister<uint> AlignmentErrors = new(bar, 0x04004); // ALGNERRC [SDM §13.7.2]
    public readonly ReadToClearRegister<uint> SymbolErrors = new(bar, 0x04008); // SYMERRS [SDM §13.7.3]
    public readonly ReadToClearRegister<uint> ReceiveErrors = new(bar, 0x0400c); // RXERRC [SDM §13.7.4]
    public readonly ReadToClearRegister<uint> MissedPackets = new(bar, 0x04010); // MPC [SDM §13.7.5]
    public readonly ReadToClearRegister<uint> ExcessiveCollisions = new(bar, 0x04018); // ECOL [SDM §13.7.7]
    public readonly ReadToClearRegister<uint> LateCollisions = new(bar, 0x04020); // LATECOL [SDM §13.7.9]
    public readonly ReadToClearRegister<uint> LengthErrors = new(bar, 0x04040); // RLEC [SDM §13.7.15]
    public readonly ReadToClearRegister<uint> GoodReceived = new(bar, 0x04074); // GPRC [SDM §13.7.27]
    public readonly ReadToClearRegister<uint> BroadcastReceived = new(bar, 0x04078); // BPRC [SDM §13.7.28]
    public readonly ReadToClearRegister<uint> MulticastReceived = new(bar, 0x0407c); // MPRC [SDM §13.7.29]
    public readonly ReadToClearRegister<uint> GoodTransmitted = new(bar, 0x04080); // GPTC [SDM §13.7.30]
    public readonly ReadOnlyRegister<uint> ReceivedOctetsLow = new(bar, 0x04088); // GORCL [SDM §13.7.31]
    public readonly ReadToClearRegister<uint> ReceivedOctetsHigh = new(bar, 0x0408c); // GORCH, clears both halves [SDM §13.7.31]
    public readonly ReadOnlyRegister<uint> TransmittedOctetsLow = new(bar, 0x04090); // GOTCL [SDM §13.7.32]
    public readonly ReadToClearRegister<uint> TransmittedOctetsHigh = new(bar, 0x04094); // GOTCH, clears both halves [SDM §13.7.32]
}
