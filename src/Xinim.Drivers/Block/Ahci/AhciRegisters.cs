using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>
/// The controller's registers at the start of BAR 5, only what the driver uses. Sources, here and in the other files of this folder:
/// [AHCI] = Serial ATA Advanced Host Controller Interface (AHCI) Specification, revision 1.3.1;
/// [SATA] = Serial ATA Specification, revision 3.2;
/// [ACS] = ATA/ATAPI Command Set - 3 (ACS-3), INCITS 522-2014.
/// </summary>
internal sealed class AhciRegisters(Mmio bar)
{
    /// <summary>Ports that the interface has room for [AHCI §3].</summary>
    public const int MaxPorts = 32;

    public readonly ReadOnlyRegister<HostCapabilities> Capabilities = new(bar, 0x00); // CAP [AHCI §3.1.1]
    public readonly Register<HostControl> Control = new(bar, 0x04); // GHC [AHCI §3.1.2]
    public readonly WriteOneToClearRegister<uint> Interrupts = new(bar, 0x08); // IS: a bit a port [AHCI §3.1.3]
    public readonly ReadOnlyRegister<uint> Ports = new(bar, 0x0c); // PI: a bit a port [AHCI §3.1.4]
    public readonly ReadOnlyRegister<uint> Version = new(bar, 0x10); // VS [AHCI §3.1.5]
    public readonly Register<CoalescingControl> Coalescing = new(bar, 0x14); // CCC_CTL [AHCI §3.1.6]
    public readonly Register<uint> CoalescedPorts = new(bar, 0x18); // CCC_PORTS [AHCI §3.1.7]
    public readonly ReadOnlyRegister<ExtendedCapabilities> ExtendedCapabilities = new(bar, 0x24); // CAP2 [AHCI §3.1.10]
    public readonly Register<HandOff> HandOff = new(bar, 0x28); // BOHC [AHCI §3.1.11]

    /// <summary>A read was all ones, which no register with reserved bits says: nobody answers [AHCI §3]. Waits look for it, and end.</summary>
    public static DeviceFaultException Gone(string name, string register)
        => new($"{name} does not answer: {register} reads 0xffffffff; it was unplugged or is powered down");

    /// <summary>One look of a wait.</summary>
    /// <param name="value">What <paramref name="register"/>, of which some bits are reserved, was read as.</param>
    /// <exception cref="DeviceFaultException">The controller is gone.</exception>
    public static bool IsClear(uint value, uint bits, string name, string register) => value != uint.MaxValue ? (value & bits) == 0 : throw Gone(name, register);

    /// <summary>Bytes of BAR 5 that so many ports take [AHCI §3].</summary>
    public static uint BytesFor(int ports) => AhciPortRegisters.First + ((uint)ports * AhciPortRegisters.Stride);
}
