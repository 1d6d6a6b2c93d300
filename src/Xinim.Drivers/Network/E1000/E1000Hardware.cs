using System.Diagnostics;
using Xinim.Ipc.Protocols;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Network.E1000;

/// <summary>
/// Reset and bring-up, one method a section of the manual. Everything that the driver relies on is written: QEMU 7.2's models keep
/// all registers over CTRL.RST, and hardware leaves ring registers undefined [SDM §13.4.25], so nothing is taken over from a reset.
/// </summary>
internal sealed class E1000Hardware
{
    /// <summary>Bytes that the device may write to one receive buffer: RCTL.BSIZE 00 [SDM §13.4.22].</summary>
    public const uint RxBufferBytes = 2048;

    /// <summary>The largest frame with LPE, without FCS: what the 82574 carries, the least of the family [82574 §10.2.5.1].</summary>
    public const uint MaxFrame = 9018;

    private const int PciCommand = 0x04; // PCI Local Bus Specification 3.0 §6.2.2
    private const ushort PciMemorySpace = 1 << 1;
    private const ushort PciBusMaster = 1 << 2;

    private static readonly TimeSpan s_resetLimit = TimeSpan.FromMilliseconds(100);

    private readonly IPciDevice _device;
    private readonly E1000Variant _variant;
    private readonly Action<string> _log;
    private readonly E1000Phy _phy;

    public E1000Hardware(IPciDevice device, E1000Variant variant, Action<string> log)
    {
        _device = device;
        _variant = variant;
        _log = log;
        device.Config.Write16(PciCommand, (ushort)(device.Config.Read16(PciCommand) | PciMemorySpace));
        Mmio bar = device.MapBar(0);
        if (bar.Length < E1000Registers.MinBarBytes)
            throw new DeviceFaultException($"BAR 0 of {device.Name} has 0x{bar.Length:x} bytes, the registers take 0x{E1000Registers.MinBarBytes:x} [SDM §13.2]");
        Registers = new E1000Registers(bar);
        _phy = new E1000Phy(Registers, device.Name);
    }

    public E1000Registers Registers { get; }

    /// <summary>No interrupts from here on [SDM §13.4.21].</summary>
    public void MaskInterrupts() => Registers.MaskClear.Write(InterruptCauses.All);

    /// <summary>
    /// Ends all DMA and puts the device into its initial state [SDM §14.2, §13.4.1]. Bus mastering is off when the reset begins: a device
    /// whose last driver died is quiet before this one touches it, and a reset that does nothing (QEMU 7.2) still leaves no DMA.
    /// </summary>
    public void Reset()
    {
        CheckPresent();
        MaskInterrupts();
        StopUnits();
        if (_variant.Express) DisableMaster();
        ClearBusMaster();
        Registers.Control.Write(Registers.Control.Read() | DeviceControl.Reset);
        // The manual forbids accesses in the first microsecond; the EEPROM is reloaded after it [SDM §13.4.1].
        Wait.Pause(TimeSpan.FromMicroseconds(2));
        Wait.Until(() => (Registers.Control.Read() & DeviceControl.Reset) == 0, s_resetLimit, $"CTRL.RST = 0 of {_device.Name} [SDM §13.4.1]");
        long reset = Stopwatch.GetTimestamp();
        ClearTables();
        WaitForEepromLoad(reset);
        _phy.Restore();
        MaskInterrupts();
        _ = Registers.Causes.ReadAndClear();
    }

    /// <summary>Receive and transmit units off; frames in progress are finished [SDM §13.4.22, §13.4.33].</summary>
    public void StopUnits()
    {
        StopReceiver();
        Registers.TransmitControl.Write(TransmitControl.PadShort);
        CheckPresent(); // a read pushes the posted writes to the device (PCI Local Bus Specification 3.0 §3.2.5)
    }

    /// <summary>A frame in progress is finished [SDM §13.4.22].</summary>
    public void StopReceiver()
    {
        Registers.ReceiveControl.Write(ReceiveControl.None);
        CheckPresent();
    }

    /// <summary>[SDM §14.3] [82574 §4.6]: link set-up, VLAN and flow control off, which the filters then set.</summary>
    public void ConfigureDevice()
    {
        DeviceControl control = Registers.Control.Read()
            & ~(DeviceControl.LinkReset | DeviceControl.InvertLossOfSignal | DeviceControl.ForceSpeed | DeviceControl.ForceDuplex
                | DeviceControl.PhyReset | DeviceControl.Vlan | DeviceControl.ReceiveFlow | DeviceControl.TransmitFlow
                | DeviceControl.MasterDisable | DeviceControl.Reset | DeviceControl.AutoSpeed);
        // The older MACs sense the PHY's speed themselves; the 82574's PHY tells it [SDM §8.6.2] [82574 §4.6.3].
        control |= DeviceControl.SetLinkUp | (_variant.Express ? DeviceControl.None : DeviceControl.AutoSpeed);
        Registers.Control.Write(control);
        Registers.VlanEtherType.Write(0x8100); // IEEE 802.1Q [SDM §13.4.11]
    }

    /// <summary>The PAUSE frame's address, type and time [SDM §13.4.8, §13.4.9, §13.4.10, §13.4.12]; whether they are used is a filter.</summary>
    public void ConfigureFlowControl()
    {
        Registers.FlowAddressLow.Write(0x00c2_8001); // 01:80:c2:00:00:01, low bytes first
        Registers.FlowAddressHigh.Write(0x0000_0100);
        Registers.FlowType.Write(0x8808);
        Registers.FlowTimer.Write(0xffff);
    }

    /// <summary>The station's address [SDM §14.4, §13.5.2]; the other filters are empty since the reset.</summary>
    public void ConfigureAddresses(in MacAddress mac)
    {
        E1000Filters.WriteAddress(Registers, 0, mac);
    }

    /// <summary>The receive ring, empty, and the receive unit's parameters; still off [SDM §14.4].</summary>
    public void ConfigureReceive(DmaBuffer<RxDescriptor> ring)
    {
        Registers.RxBaseLow.Write(ring.Iova.Low);
        Registers.RxBaseHigh.Write(ring.Iova.High);
        Registers.RxLength.Write(ring.Bytes);
        Registers.RxHead.Write(0);
        Registers.RxTail.Write(0);
        // No delay timers: the manual asks for ITR in their place [SDM §13.4.30, §13.4.31].
        Registers.RxDelay.Write(0);
        Registers.RxAbsoluteDelay.Write(0);
        Registers.RxDescriptorControl.Write(DescriptorControl.UnitDescriptors | DescriptorControl.WriteBackEach);
        // Always on: the register may be written only while the receiver is off [SDM §13.4.47]. Whether results are reported is a filter.
        Registers.ReceiveChecksum.Write(ReceiveChecksum.Ip | ReceiveChecksum.Transport);
        if (!_variant.Express) return;
        // The extended layout: QEMU 7.2's 82574 leaves the VLAN tag out of legacy descriptors.
        Registers.ReceiveFilter.Write(ReceiveFilterControl.ExtendedStatus);
        Registers.MultipleQueues.Write(0);
        Registers.SecondRxLength.Write(0);
    }

    /// <summary>The transmit ring, empty, and the transmit unit's parameters; still off [SDM §14.5].</summary>
    public void ConfigureTransmit(DmaBuffer<TxDescriptor> ring)
    {
        Registers.TxBaseLow.Write(ring.Iova.Low);
        Registers.TxBaseHigh.Write(ring.Iova.High);
        Registers.TxLength.Write(ring.Bytes);
        Registers.TxHead.Write(0);
        Registers.TxTail.Write(0);
        Registers.TxDelay.Write(0);
        Registers.TxAbsoluteDelay.Write(0);
        // WTHRESH 0: a descriptor with RS is written back at once [SDM §13.4.43].
        Registers.TxDescriptorControl.Write(DescriptorControl.UnitDescriptors | (_variant.Express ? DescriptorControl.CountDescriptors : DescriptorControl.None));
        Registers.InterPacketGap.Write(_variant.InterPacketGap | (8u << 10) | (6u << 20)); // IPGT, IPGR1, IPGR2 [SDM §13.4.34]
        if (_variant.Express) Registers.TxArbitration.Write(0x403); // queue 0 on, count 3: the default [82574 §10.2.6.9]
    }

    /// <summary>All causes to vector 0, nothing cleared or masked behind the driver's back [82574 §10.2.4.7 to §10.2.4.9, §10.2.2.5].</summary>
    public void ConfigureInterrupts()
    {
        if (!_variant.Express) return;
        Registers.AutoClear.Write(InterruptCauses.None);
        Registers.AutoMask.Write(InterruptCauses.None);
        Registers.Vectors.Write(VectorAllocation.ReceiveQueue0 | VectorAllocation.TransmitQueue0 | VectorAllocation.Other);
        ExtendedControl control = Registers.ExtendedControl.Read() & ~(ExtendedControl.AutoMaskOnVector | ExtendedControl.AutoMaskOnRead);
        Registers.ExtendedControl.Write(control | ExtendedControl.ClearPending | ExtendedControl.DriverLoaded);
    }

    /// <summary>No interrupts, no DMA, and the link given back to firmware [SDM §13.4.21] [82574 §10.2.2.5].</summary>
    public void Quiesce()
    {
        MaskInterrupts();
        StopUnits();
        ClearBusMaster();
        if (_variant.Express) Registers.ExtendedControl.Clear(ExtendedControl.DriverLoaded);
    }

    /// <summary>Only after <see cref="Reset"/>, and before the units are switched on.</summary>
    public void SetBusMaster() => _device.Config.Write16(PciCommand, (ushort)(_device.Config.Read16(PciCommand) | PciBusMaster));

    /// <summary>No DMA can start after this returns.</summary>
    public void ClearBusMaster()
    {
        _device.Config.Write16(PciCommand, (ushort)(_device.Config.Read16(PciCommand) & ~PciBusMaster));
        _ = _device.Config.Read16(PciCommand);
    }

    /// <summary>The transmit unit on [SDM §14.5].</summary>
    public void EnableTransmit() => Registers.TransmitControl.Write(
        TransmitControl.Enable | TransmitControl.PadShort | TransmitControl.CollisionThreshold | TransmitControl.CollisionDistance
        | TransmitControl.RetransmitLate | (_variant.Express ? TransmitControl.MultipleRequests : TransmitControl.None));

    /// <summary>The link as the MAC sees it [SDM §13.4.2].</summary>
    public LinkState ReadLink(out DeviceStatus status)
    {
        status = CheckPresent();
        if ((status & DeviceStatus.LinkUp) == 0) return LinkState.Down;
        uint speed = (status & DeviceStatus.Speed1000) != 0 ? 1000u : (status & DeviceStatus.Speed100) != 0 ? 100u : 10u;
        return new LinkState(1, speed, (status & DeviceStatus.FullDuplex) != 0 ? 1u : 0);
    }

    private DeviceStatus CheckPresent()
    {
        DeviceStatus status = Registers.Status.Read();
        return status != DeviceStatus.AllOnes ? status
            : throw new DeviceFaultException($"{_device.Name} does not answer: STATUS reads 0xffffffff [SDM §13.4.2]; it was unplugged or is powered down");
    }

    /// <summary>Requests in flight end before the reset [82574 §3.1.3.10]. The datasheet lets the reset follow where they do not.</summary>
    private void DisableMaster()
    {
        Registers.Control.Write(Registers.Control.Read() | DeviceControl.MasterDisable);
        try
        {
            Wait.Until(() => (Registers.Status.Read() & DeviceStatus.MasterEnabled) == 0, s_resetLimit, $"STATUS.GIO_ME = 0 of {_device.Name} [82574 §3.1.3.10]");
        }
        catch (DeviceFaultException pending)
        {
            _log($"{pending.Message}; resetting it with requests pending");
        }
    }

    /// <summary>
    /// Filter tables that a reset leaves undefined [SDM §13.5.1, §13.5.2] and the EEPROM does not touch: done while it is loaded.
    /// The VLAN table is looked at only while its filter is on, and is written then [SDM §13.5.4].
    /// </summary>
    private void ClearTables()
    {
        for (uint i = 0; i < Registers.MulticastTable.Count; i++) Registers.MulticastTable.Write(i, 0);
        for (uint i = 1; i < E1000Filters.Addresses; i++) E1000Filters.ClearAddress(Registers, i);
    }

    private void WaitForEepromLoad(long reset)
    {
        if (_variant.Express)
            Wait.Until(() => (Registers.Eeprom.Read() & EepromControl.AutoReadDone) != 0, TimeSpan.FromMilliseconds(500), $"EECD.Auto_RD of {_device.Name} [82574 §10.2.2.3]");
        else
            Wait.Pause(TimeSpan.FromMilliseconds(5) - Stopwatch.GetElapsedTime(reset)); // no bit says when it is done [SDM §5.3]
    }
}
