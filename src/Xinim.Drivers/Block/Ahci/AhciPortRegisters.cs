using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>The registers of one port. Sources: the head of <c>AhciRegisters.cs</c>; [AHCI] = AHCI Specification, revision 1.3.1.</summary>
internal sealed class AhciPortRegisters(Mmio bar, uint number)
{
    public const uint First = 0x100; // [AHCI §3.3]
    public const uint Stride = 0x80; // [AHCI §3.3]

    public readonly Register<uint> CommandListLow = new(bar, At(number, 0x00)); // PxCLB [AHCI §3.3.1]
    public readonly Register<uint> CommandListHigh = new(bar, At(number, 0x04)); // PxCLBU [AHCI §3.3.2]
    public readonly Register<uint> ReceivedLow = new(bar, At(number, 0x08)); // PxFB [AHCI §3.3.3]
    public readonly Register<uint> ReceivedHigh = new(bar, At(number, 0x0c)); // PxFBU [AHCI §3.3.4]
    public readonly WriteOneToClearRegister<PortInterrupts> Interrupts = new(bar, At(number, 0x10)); // PxIS [AHCI §3.3.5]
    public readonly Register<PortInterrupts> Enabled = new(bar, At(number, 0x14)); // PxIE [AHCI §3.3.6]
    public readonly Register<PortCommand> Command = new(bar, At(number, 0x18)); // PxCMD [AHCI §3.3.7]
    public readonly ReadOnlyRegister<TaskFile> TaskFile = new(bar, At(number, 0x20)); // PxTFD [AHCI §3.3.8]
    public readonly ReadOnlyRegister<uint> Signature = new(bar, At(number, 0x24)); // PxSIG [AHCI §3.3.9]
    public readonly ReadOnlyRegister<LinkStatus> Link = new(bar, At(number, 0x28)); // PxSSTS [AHCI §3.3.10]
    public readonly Register<LinkControl> LinkControl = new(bar, At(number, 0x2c)); // PxSCTL [AHCI §3.3.11]
    public readonly WriteOneToClearRegister<uint> Errors = new(bar, At(number, 0x30)); // PxSERR [AHCI §3.3.12]

    /// <summary>Commands that the device has queued; ones are set by writing them, and cleared by the device.</summary>
    public readonly Register<uint> Active = new(bar, At(number, 0x34)); // PxSACT [AHCI §3.3.13]

    /// <summary>Commands that the controller has yet to send or finish; ones are set by writing them.</summary>
    public readonly Register<uint> Issue = new(bar, At(number, 0x38)); // PxCI [AHCI §3.3.14]

    private static uint At(uint number, uint offset) => First + (number * Stride) + offset;
}
