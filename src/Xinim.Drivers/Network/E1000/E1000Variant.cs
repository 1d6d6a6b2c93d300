using Xinim.Vfio;

namespace Xinim.Drivers.Network.E1000;

/// <summary>How the words of the EEPROM are read.</summary>
internal enum EepromAccess
{
    /// <summary>EERD with DONE in bit 4 and the address from bit 8 on [SDM §13.4.4].</summary>
    Eerd,

    /// <summary>EERD with DONE in bit 1 and the address from bit 2 on [82574 §10.2.2.4].</summary>
    EerdExpress,

    /// <summary>No EERD: the four wires of the serial EEPROM by hand through EECD [SDM §5.3.1, §13.4.3].</summary>
    Microwire,
}

/// <summary>One member of the family and where it differs from the others.</summary>
/// <param name="Name">Intel's name.</param>
/// <param name="DeviceId">PCI device id; the vendor is always 8086.</param>
/// <param name="Eeprom">See <see cref="EepromAccess"/>.</param>
/// <param name="Express">The 82574: PCI Express, extended receive descriptors, MSI-X, registers that the older parts lack.</param>
/// <param name="HasThrottle">ITR exists; not on the 82544 [SDM §13.4.18, footnote].</param>
/// <param name="HasXonEnable">FCRTL.XONE exists [SDM §13.4.23, footnote; 82574 §10.2.5.3].</param>
/// <param name="InterPacketGap">TIPG.IPGT for copper [SDM §13.4.34; 82574 §10.2.6.2].</param>
internal sealed record E1000Variant(string Name, ushort DeviceId, EepromAccess Eeprom, bool Express, bool HasThrottle, bool HasXonEnable, uint InterPacketGap)
{
    public const ushort IntelVendor = 0x8086;

    private static readonly E1000Variant[] s_known =
    [
        new("82540EM", 0x100e, EepromAccess.Eerd, Express: false, HasThrottle: true, HasXonEnable: false, InterPacketGap: 10),
        new("82545EM", 0x100f, EepromAccess.Eerd, Express: false, HasThrottle: true, HasXonEnable: false, InterPacketGap: 10),
        new("82544GC", 0x100c, EepromAccess.Microwire, Express: false, HasThrottle: false, HasXonEnable: true, InterPacketGap: 8),
        new("82574L", 0x10d3, EepromAccess.EerdExpress, Express: true, HasThrottle: true, HasXonEnable: true, InterPacketGap: 8),
    ];

    /// <summary>The variant of a device, or null for one that this driver does not know.</summary>
    public static E1000Variant? Find(ushort vendor, ushort device)
        => vendor == IntelVendor ? Array.Find(s_known, variant => variant.DeviceId == device) : null;

    /// <exception cref="ArgumentException">This driver does not know it.</exception>
    public static E1000Variant Of(IPciDevice device)
    {
        uint id = device.Config.Read32(0);
        return Find((ushort)id, (ushort)(id >> 16))
            ?? throw new ArgumentException($"{device.Name} is {(ushort)id:x4}:{id >> 16:x4}, which is no 8254x or 82574 that this driver knows");
    }
}
