using Xinim.Ipc.Protocols;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Network.E1000;

/// <summary>Turns <see cref="NetworkFilters"/> into registers. Writes RCTL and CTRL only where their value changes: QEMU 7.2 stops reception for a second at every write of RCTL.</summary>
internal sealed class E1000Filters(E1000Registers registers, E1000Variant variant)
{
    /// <summary>RAL/RAH pairs, the first for the station itself [SDM §13.5.2].</summary>
    public const uint Addresses = 16;

    private const uint AddressValid = 1u << 31; // RAH.AV [SDM §13.5.3]
    private const uint StandardFrame = 1518; // what passes with LPE = 0, without FCS [SDM §13.4.22]
    private const uint MinFrame = 64;

    private const NetworkFilterFlags Known = NetworkFilterFlags.Promiscuous | NetworkFilterFlags.AllMulticast | NetworkFilterFlags.VlanStrip
        | NetworkFilterFlags.VlanFilter | NetworkFilterFlags.RxChecksum | NetworkFilterFlags.FlowControl;

    /// <summary>The multicast table as the device has it: a register costs microseconds where it is reached through a channel.</summary>
    private readonly uint[] _multicast = new uint[128];

    private NetworkFilters _filters;
    private uint _unicast;
    private ReceiveControl _receiveControl;

    /// <summary>Bytes of the largest frame that is accepted, without FCS.</summary>
    public uint MaxFrame => _filters.MaxFrame == 0 ? StandardFrame : _filters.MaxFrame;

    /// <summary>True where received tags are stripped, and may be inserted on transmit.</summary>
    public bool VlanOffload => (_filters.Flags & NetworkFilterFlags.VlanStrip) != 0;

    /// <summary>True where checksum results are reported.</summary>
    public bool ReportChecksums => (_filters.Flags & NetworkFilterFlags.RxChecksum) != 0;

    /// <summary>Takes new filters; <see cref="Write"/> gives them to the device.</summary>
    /// <exception cref="ArgumentException">A value that the device cannot do; nothing was changed.</exception>
    public void Set(in NetworkFilters filters)
    {
        Check(filters);
        _filters = filters;
    }

    /// <summary>Switches the receive unit on, with these filters, after a reset that left all tables empty [SDM §14.4].</summary>
    public void WriteAfterReset()
    {
        _receiveControl = ReceiveControl.None;
        Array.Clear(_multicast);
        _unicast = 0;
        Write();
    }

    /// <summary>Writes what changed; the receive unit may be running.</summary>
    public void Write()
    {
        WriteUnicast();
        WriteMulticast();
        if ((_filters.Flags & NetworkFilterFlags.VlanFilter) != 0)
            for (uint i = 0; i < NetworkFilters.VlanWords; i++) registers.VlanTable.Write(i, _filters.Vlans[(int)i]);
        WriteControl();
        WriteReceiveControl();
    }

    /// <summary>Sets a filter entry, low half first [SDM §13.5.3]. One that is right already is left alone: frames for it may be arriving.</summary>
    public static void WriteAddress(E1000Registers registers, uint index, in MacAddress mac)
    {
        uint low = mac[0] | ((uint)mac[1] << 8) | ((uint)mac[2] << 16) | ((uint)mac[3] << 24);
        uint high = mac[4] | ((uint)mac[5] << 8) | AddressValid;
        RegisterTable table = registers.ReceiveAddresses;
        if (table.Read(index * 2) == low && table.Read((index * 2) + 1) == high) return;
        ClearAddress(registers, index);
        table.Write(index * 2, low);
        table.Write((index * 2) + 1, high);
    }

    /// <summary>Clears a filter entry, high half first [SDM §13.5.3].</summary>
    public static void ClearAddress(E1000Registers registers, uint index)
    {
        registers.ReceiveAddresses.Write((index * 2) + 1, 0);
        registers.ReceiveAddresses.Write(index * 2, 0);
    }

    private static void Check(in NetworkFilters filters)
    {
        if ((filters.Flags & ~Known) != 0) throw new ArgumentException($"filter flags 0x{(uint)filters.Flags:x}: only 0x{(uint)Known:x} are known");
        if (filters.MaxFrame is not 0 and (< MinFrame or > E1000Hardware.MaxFrame))
            throw new ArgumentException($"a largest frame of {filters.MaxFrame} bytes: the device does {MinFrame} to {E1000Hardware.MaxFrame}");
        if (filters.UnicastCount > NetworkFilters.MaxUnicast)
            throw new ArgumentException($"{filters.UnicastCount} unicast addresses: the device has room for {NetworkFilters.MaxUnicast} beside its own");
        if (filters.MulticastCount > NetworkFilters.MaxMulticast)
            throw new ArgumentException($"{filters.MulticastCount} multicast addresses: a message carries {NetworkFilters.MaxMulticast}; ask for all multicast");
        for (int i = 0; i < filters.UnicastCount; i++)
            if (filters.Unicast[i].IsMulticast) throw new ArgumentException($"{filters.Unicast[i]} is a group address, not a unicast one");
        for (int i = 0; i < filters.MulticastCount; i++)
            if (!filters.Multicast[i].IsMulticast) throw new ArgumentException($"{filters.Multicast[i]} is not a group address");
    }

    private void WriteReceiveControl()
    {
        ReceiveControl control = ReceiveControl.Enable | ReceiveControl.Broadcast | ReceiveControl.StripCrc | ReceiveControl.ThresholdEighth;
        if ((_filters.Flags & NetworkFilterFlags.Promiscuous) != 0) control |= ReceiveControl.UnicastPromiscuous | ReceiveControl.MulticastPromiscuous;
        if ((_filters.Flags & NetworkFilterFlags.AllMulticast) != 0) control |= ReceiveControl.MulticastPromiscuous;
        if ((_filters.Flags & NetworkFilterFlags.VlanFilter) != 0) control |= ReceiveControl.VlanFilter;
        if (MaxFrame > StandardFrame) control |= ReceiveControl.LongPackets;
        if (control == _receiveControl) return;
        registers.ReceiveControl.Write(control);
        _receiveControl = control;
    }

    private void WriteUnicast()
    {
        for (uint i = 1; i < Addresses; i++)
        {
            if (i <= _filters.UnicastCount) WriteAddress(registers, i, _filters.Unicast[(int)i - 1]);
            else if (i <= _unicast) ClearAddress(registers, i);
        }

        _unicast = _filters.UnicastCount;
    }

    /// <summary>The hash is bits 47:36 of the address with MO = 00 [SDM §13.5.1]: twelve bits, the upper seven choose the register.</summary>
    private void WriteMulticast()
    {
        Span<uint> table = stackalloc uint[128];
        table.Clear();
        for (int i = 0; i < _filters.MulticastCount; i++)
        {
            ref readonly MacAddress mac = ref _filters.Multicast[i];
            uint hash = ((uint)mac[4] >> 4) | ((uint)mac[5] << 4);
            table[(int)(hash >> 5)] |= 1u << (int)(hash & 31);
        }

        for (uint i = 0; i < registers.MulticastTable.Count; i++)
        {
            if (table[(int)i] != _multicast[i]) registers.MulticastTable.Write(i, table[(int)i]);
        }

        table.CopyTo(_multicast);
    }

    private void WriteControl()
    {
        bool flow = (_filters.Flags & NetworkFilterFlags.FlowControl) != 0;
        WriteThresholds(flow);
        DeviceControl old = registers.Control.Read();
        DeviceControl control = old & ~(DeviceControl.Vlan | DeviceControl.ReceiveFlow | DeviceControl.TransmitFlow);
        if (VlanOffload) control |= DeviceControl.Vlan;
        if (flow) control |= DeviceControl.ReceiveFlow | DeviceControl.TransmitFlow;
        if (control != old) registers.Control.Write(control);
    }

    /// <summary>
    /// XOFF while a frame that is already on the wire and one in our own transmitter still fit the receive buffer; XON at half of it
    /// [SDM §13.4.23, §13.4.24, §13.4.16]. Zero switches off [SDM §13.4.24].
    /// </summary>
    private void WriteThresholds(bool flow)
    {
        uint bytes = (registers.PacketBuffer.Read() & 0xffff) << 10; // PBA.RXA, KiB
        uint high = bytes > 4 * MaxFrame ? (bytes - (2 * MaxFrame)) & 0xfff8u : (bytes / 2) & 0xfff8u;
        uint low = (bytes / 4) & 0xfff8u;
        uint xon = variant.HasXonEnable ? 1u << 31 : 0;
        registers.FlowThresholdLow.Write(flow ? low | xon : 0);
        registers.FlowThresholdHigh.Write(flow ? high : 0);
    }
}
