namespace Xinim.Host.Commands;

/// <summary>Names of device classes (PCI Code and ID Assignment Specification, section 1).</summary>
internal static class PciClasses
{
    /// <summary>For a class code of 24 bits: class, subclass, interface.</summary>
    public static string NameOf(uint code) => (code >> 8) switch
    {
        0x0100 => "SCSI controller",
        0x0101 => "IDE controller",
        0x0104 => "RAID controller",
        0x0106 => "SATA controller",
        0x0107 => "SAS controller",
        0x0108 => "NVMe controller",
        0x0200 => "Ethernet controller",
        0x0207 => "InfiniBand controller",
        0x0280 => "network controller",
        0x0300 => "VGA controller",
        0x0302 => "3D controller",
        0x0403 => "audio device",
        0x0500 => "memory controller",
        0x0600 => "host bridge",
        0x0601 => "ISA bridge",
        0x0604 => "PCI bridge",
        0x0700 => "serial controller",
        0x0805 => "SD host controller",
        0x0c03 => "USB controller",
        0x0c05 => "SMBus controller",
        _ => BaseName(code >> 16),
    };

    private static string BaseName(uint baseClass) => baseClass switch
    {
        0x01 => "storage controller",
        0x02 => "network controller",
        0x03 => "display controller",
        0x04 => "multimedia controller",
        0x05 => "memory controller",
        0x06 => "bridge",
        0x07 => "communication controller",
        0x08 => "system peripheral",
        0x09 => "input device",
        0x0c => "serial bus controller",
        0x0d => "wireless controller",
        0x10 => "encryption controller",
        0x12 => "processing accelerator",
        _ => $"class {baseClass:x2}",
    };
}
