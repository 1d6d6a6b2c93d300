using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>The controller as a whole: hand-off, reset and interrupts, one method a section of the manual.</summary>
internal sealed class AhciHardware
{
    private const int PciCommand = 0x04; // PCI Local Bus Specification 3.0 §6.2.2 [AHCI §2.1.2]
    private const ushort PciMemorySpace = 1 << 1;
    private const ushort PciBusMaster = 1 << 2;
    private const int Bar = 5; // ABAR [AHCI §2.1.11]

    private static readonly TimeSpan s_resetLimit = TimeSpan.FromSeconds(1); // [AHCI §10.4.3]
    private static readonly TimeSpan s_stopLimit = TimeSpan.FromMilliseconds(500); // [AHCI §10.1.2]
    private static readonly TimeSpan s_handOffLimit = TimeSpan.FromMilliseconds(25); // [AHCI §10.6.3]
    private static readonly TimeSpan s_busyHandOffLimit = TimeSpan.FromSeconds(2); // [AHCI §10.6.3]

    private readonly IPciDevice _device;
    private readonly Action<string> _log;
    private readonly AhciPortRegisters[] _ports;

    /// <exception cref="DeviceFaultException">The device is no AHCI controller, or does not answer.</exception>
    public AhciHardware(IPciDevice device, Action<string> log)
    {
        _device = device;
        _log = log;
        device.Config.Write16(PciCommand, (ushort)(device.Config.Read16(PciCommand) | PciMemorySpace));
        Mmio bar = device.MapBar(Bar);
        if (bar.Length < AhciRegisters.BytesFor(1)) throw Small(bar, 1);
        Registers = new AhciRegisters(bar);
        CheckPresent();
        Implemented = Registers.Ports.Read();
        if (Implemented == 0) throw new DeviceFaultException($"{device.Name} has no ports: PI is 0 [AHCI §3.1.4]");
        int ports = 32 - int.LeadingZeroCount((int)Implemented);
        if (bar.Length < AhciRegisters.BytesFor(ports)) throw Small(bar, ports);
        _ports = [.. Enumerable.Range(0, ports).Select(number => new AhciPortRegisters(bar, (uint)number))];
    }

    public AhciRegisters Registers { get; }

    /// <summary>A bit a port.</summary>
    public uint Implemented { get; }

    public HostCapabilities Capabilities { get; private set; }

    /// <summary>The bit of IS that says that several commands are finished; 0 where each says so by itself.</summary>
    public uint CoalescedInterrupt { get; private set; }

    public string Name => _device.Name;

    /// <summary>One read [AHCI §3.1.1].</summary>
    private bool Answers => Registers.Capabilities.Read() != HostCapabilities.AllOnes;

    /// <summary>Entries of the command list of each port [AHCI §3.1.1].</summary>
    public uint Slots => (((uint)Capabilities >> 8) & 0x1f) + 1;

    public bool Has(HostCapabilities capability) => (Capabilities & capability) != 0;

    /// <summary>
    /// Takes the controller over, and resets it and all links [AHCI §10.6, §10.4.3]. Bus mastering is off when it begins: what a last driver left
    /// running reaches no memory.
    /// </summary>
    public void Reset()
    {
        ClearBusMaster();
        TakeOver();
        StopPorts();
        ResetAll();
        Capabilities = Registers.Capabilities.Read();
        if (Has(HostCapabilities.Coalescing)) Registers.Coalescing.Clear(CoalescingControl.Enable);
    }

    /// <summary>Lets completions interrupt several at a time, those of all ports together, where the controller can [AHCI §11].</summary>
    public void Coalesce(AhciOptions options)
    {
        if (options.CoalesceCommands == 0) return;
        if (!Has(HostCapabilities.Coalescing))
        {
            _log($"{Name} has no command completion coalescing (CAP.CCCS is 0) [AHCI §3.1.1]: each command interrupts by itself");
            return;
        }

        // Changed only while EN is 0, which the reset leaves [AHCI §3.1.6].
        CoalescingControl control = (CoalescingControl)((options.CoalesceCommands << (int)CoalescingControl.CommandsShift) | (options.CoalesceMilliseconds << (int)CoalescingControl.TimeoutShift));
        Registers.CoalescedPorts.Write(Implemented);
        Registers.Coalescing.Write(control);
        int line = (int)((uint)(Registers.Coalescing.Read() & CoalescingControl.InterruptMask) >> (int)CoalescingControl.InterruptShift);
        if ((Implemented & (1u << line)) != 0) throw new DeviceFaultException($"CCC_CTL.INT of {Name} is {line}, which is a port [AHCI §3.1.6]; set coalesceCommands to 0");
        Registers.Coalescing.Write(control | CoalescingControl.Enable);
        CoalescedInterrupt = 1u << line;
    }

    /// <summary>The registers of an implemented port.</summary>
    public AhciPortRegisters Port(uint number) => _ports[number];

    /// <summary>One register write [AHCI §3.1.2].</summary>
    public void EnableInterrupts() => Registers.Control.Write(HostControl.AhciEnable | HostControl.InterruptEnable);

    /// <inheritdoc cref="EnableInterrupts"/>
    public void MaskInterrupts() => Registers.Control.Write(HostControl.AhciEnable);

    /// <summary>The ports that interrupt [AHCI §10.7.2].</summary>
    public uint ReadInterrupts()
    {
        uint ports = Registers.Interrupts.Read();
        return (ports & ~(Implemented | CoalescedInterrupt)) == 0 ? ports
            : throw new DeviceFaultException($"IS of {Name} reads 0x{ports:x8}, there are ports 0x{Implemented:x8} [AHCI §3.1.3]; it was unplugged or is powered down");
    }

    /// <summary>Nothing moves any more: links reset, no interrupts, no DMA [AHCI §10.4.3].</summary>
    /// <exception cref="DeviceFaultException">The controller is gone, or does not reset. Bus mastering is off all the same.</exception>
    public void Quiesce()
    {
        MaskInterrupts();
        try
        {
            StopPorts();
        }
        finally
        {
            ClearBusMaster();
        }

        ResetAll();
    }

    public void CheckPresent()
    {
        if (!Answers) throw AhciRegisters.Gone(Name, "CAP");
    }

    /// <summary>Only after <see cref="Reset"/>, and before the ports are started.</summary>
    public void SetBusMaster() => _device.Config.Write16(PciCommand, (ushort)(_device.Config.Read16(PciCommand) | PciBusMaster));

    /// <summary>No DMA can start after this returns.</summary>
    public void ClearBusMaster()
    {
        _device.Config.Write16(PciCommand, (ushort)(_device.Config.Read16(PciCommand) & ~PciBusMaster));
        _ = _device.Config.Read16(PciCommand);
    }

    /// <summary>Asks the firmware for the controller [AHCI §10.6.3]. Firmware that does not let go is overruled by the reset.</summary>
    private void TakeOver()
    {
        if ((Registers.ExtendedCapabilities.Read() & ExtendedCapabilities.HandOff) == 0) return;
        Registers.HandOff.Set(HandOff.SystemOwns);
        if ((Registers.HandOff.Read() & HandOff.FirmwareOwns) == 0) return;
        try
        {
            Wait.Pause(TimeSpan.FromMilliseconds(1));
            TimeSpan limit = (Registers.HandOff.Read() & HandOff.FirmwareBusy) != 0 ? s_busyHandOffLimit : s_handOffLimit;
            Wait.Until(() => AhciRegisters.IsClear((uint)Registers.HandOff.Read(), (uint)HandOff.FirmwareOwns, Name, "BOHC"), limit, $"BOHC.BOS = 0 of {Name} [AHCI §10.6.3]");
        }
        catch (DeviceFaultException kept) when (Answers)
        {
            _log($"{kept.Message}; the firmware keeps the controller and loses it");
        }
    }

    /// <summary>
    /// All ports idle [AHCI §10.1.2]; those that do not obey the reset stops. QEMU 7.2 forgets a port's memory only here: over a reset it keeps addresses
    /// of what may be gone by then, and ends when it gives that up.
    /// </summary>
    private void StopPorts()
    {
        AhciPortRegisters[] running = [.. _ports.Where((port, number) => (Implemented & (1u << number)) != 0 && (port.Command.Read() & (PortCommand.Start | PortCommand.ReceiveEnable)) != 0)];
        Stop(PortCommand.Start, PortCommand.ListRunning);
        foreach (AhciPortRegisters port in running) AhciPortHardware.Drain(port, s_stopLimit, Name);
        Stop(PortCommand.ReceiveEnable, PortCommand.ReceiveRunning);

        void Stop(PortCommand bit, PortCommand state)
        {
            foreach (AhciPortRegisters port in running) port.Command.Clear(bit);
            try
            {
                Wait.Until(() => running.All(port => AhciPortHardware.IsClear(port, state, Name)), s_stopLimit, $"PxCMD without {state} of all ports of {Name} [AHCI §10.3]");
            }
            catch (DeviceFaultException busy) when (Answers)
            {
                _log($"{busy.Message}; it is reset all the same");
            }
        }
    }

    private void ResetAll()
    {
        // AE comes first: the other bits mean nothing without it [AHCI §3.1.2].
        Registers.Control.Write(HostControl.AhciEnable);
        Registers.Control.Write(HostControl.AhciEnable | HostControl.Reset);
        Wait.Until(() => AhciRegisters.IsClear((uint)Registers.Control.Read(), (uint)HostControl.Reset, Name, "GHC"), s_resetLimit, $"GHC.HR = 0 of {Name} [AHCI §10.4.3]");
        Registers.Control.Write(HostControl.AhciEnable);
    }

    private DeviceFaultException Small(Mmio bar, int ports)
        => new($"BAR {Bar} of {_device.Name} has 0x{bar.Length:x} bytes, the registers of {ports} ports take 0x{AhciRegisters.BytesFor(ports):x} [AHCI §3]");
}
