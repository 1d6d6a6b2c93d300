using Xinim.Vfio;
using Xinim.Vfio.Pci;

namespace Xinim.Drivers.Virtio.Transports;

/// <summary>
/// Where a PCI device keeps its structures: its vendor-specific capabilities [V §4.1.4]. Of several of one kind the first that can be used
/// counts [V §4.1.4.1]; what a capability says is checked when the place is opened.
/// </summary>
/// <param name="NotifyMultiplier">Bytes from one queue's doorbell to the next, times its number [V §4.1.4.4].</param>
/// <param name="ConfigAccess">Offset in configuration space of the capability that is a window into the BARs; 0 for none [V §4.1.4.9].</param>
internal sealed record VirtioPciLayout(
    VirtioPciPlace? Common, VirtioPciPlace? Notify, VirtioPciPlace? Isr, VirtioPciPlace? Device, uint NotifyMultiplier, int ConfigAccess)
{
    // struct virtio_pci_cap [V §4.1.4]: offsets of cap_len, cfg_type, bar, offset, length; then what only two kinds have.
    private const int CapLength = 2, ConfigType = 3, Bar = 4, OffsetInBar = 8, Length = 12, Multiplier = 16;
    private const byte VendorSpecific = 0x09;
    private const int End = 256; // of the space that the list lies in
    private const byte LastBar = 5; // higher values are reserved, and to be ignored [V §4.1.4.1]

    /// <summary>Reads the list.</summary>
    public static VirtioPciLayout Read(IPciConfig config)
    {
        VirtioPciLayout found = new(null, null, null, null, 0, 0);
        foreach (int at in PciCapabilityList.Offsets(config, VendorSpecific))
        {
            int length = Math.Min(config.Read8(at + CapLength), End - at);
            if (length < 16 || config.Read8(at + Bar) > LastBar) continue;
            VirtioPciPlace place = new(config.Read8(at + Bar), config.Read32(at + OffsetInBar), config.Read32(at + Length));
            // cfg_type [V §4.1.4]: 1 common, 2 notifications, 3 ISR, 4 device-specific, 5 access through configuration space.
            found = config.Read8(at + ConfigType) switch
            {
                1 when found.Common is null => found with { Common = place },
                2 when found.Notify is null && length >= 20 => found with { Notify = place, NotifyMultiplier = config.Read32(at + Multiplier) },
                3 when found.Isr is null => found with { Isr = place },
                4 when found.Device is null => found with { Device = place },
                5 when found.ConfigAccess == 0 && length >= 20 => found with { ConfigAccess = at },
                _ => found,
            };
        }

        return found;
    }
}

/// <summary>A structure's place, as the device says.</summary>
internal readonly record struct VirtioPciPlace(byte Bar, uint Offset, uint Length);
