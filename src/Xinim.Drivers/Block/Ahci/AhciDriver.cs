using System.Diagnostics;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>
/// AHCI controllers and their SATA disks. Read this first: the order of bring-up stands here, the controller's steps in <see cref="AhciHardware"/>, a port's
/// life in <see cref="AhciPort"/>, its data path in <see cref="AhciQueue"/>.
/// </summary>
public sealed class AhciDriver : IBlockController
{
    /// <summary>PCI class, subclass and interface of the controllers that this driver is for [AHCI §2.1.5].</summary>
    public const uint ClassCode = 0x01_0601;

    /// <summary>Links that are there are up by then; disks that start slowly come later.</summary>
    private static readonly TimeSpan s_startLimit = TimeSpan.FromSeconds(5);

    /// <summary>Between the ports of a controller with staggered spin-up, so that not all motors start at once [AHCI §10.1.2].</summary>
    private static readonly TimeSpan s_staggerLimit = TimeSpan.FromMilliseconds(500);

    private readonly AhciOptions _options;
    private readonly AhciHardware _hardware;
    private readonly DmaArena _arena;
    private readonly Action<string> _log;
    private readonly TimeProvider _clock;
    private AhciPort[] _ports = [];

    /// <param name="clock">For time limits; the system's where null.</param>
    /// <exception cref="ArgumentException">An option is unknown or out of range.</exception>
    /// <exception cref="DeviceFaultException">The device is no AHCI controller, or does not answer.</exception>
    public AhciDriver(DriverContext context, TimeProvider? clock = null)
    {
        _options = AhciOptions.Parse(context.Options);
        _log = context.Log;
        _arena = context.Arena;
        _clock = clock ?? TimeProvider.System;
        _hardware = new AhciHardware(context.Pci, _log);
    }

    public IReadOnlyList<IControllerUnit> Start()
    {
        _hardware.Reset();
        _hardware.Coalesce(_options);
        _arena.Reset();
        _ports = MakePorts();
        _hardware.SetBusMaster();
        foreach (AhciPort port in _ports)
        {
            port.Begin();
            if (_hardware.Has(HostCapabilities.StaggeredSpinUp)) Settle([port], s_staggerLimit);
        }

        Settle(_ports, s_startLimit);
        foreach (AhciPort port in _ports) port.ForgetChange();
        _log($"AHCI {_hardware.Registers.Version.Read() >> 16}.{_hardware.Registers.Version.Read() >> 8 & 0xff}, {_ports.Length} ports, {_hardware.Slots} slots each");
        return _ports;
    }

    /// <summary>One register write, and for each port whose completions polls have seen two more.</summary>
    public void ArmInterrupts()
    {
        // What is finished after this store interrupts; ports whose commands interrupt together look once more.
        uint seen = _hardware.CoalescedInterrupt;
        foreach (AhciPort port in _ports)
            if (port.Arm()) seen |= 1u << (int)port.Number;
        if (seen != 0) _hardware.Registers.Interrupts.Acknowledge(seen);
        _hardware.EnableInterrupts();
    }

    public void MaskInterrupts() => _hardware.MaskInterrupts();

    /// <summary>A port's causes are cleared before its bit of IS, which they would set again [AHCI §10.7.2].</summary>
    public void OnInterrupt(int vector)
    {
        _hardware.MaskInterrupts();
        uint causes = _hardware.ReadInterrupts();
        if (causes == 0) return;
        bool together = (causes & _hardware.CoalescedInterrupt) != 0;
        foreach (AhciPort port in _ports)
        {
            if ((causes & (1u << (int)port.Number)) != 0) port.OnInterrupt();
            else if (together) port.OnCoalesced();
        }

        // Of what coalesced meanwhile no port's cause is left to set its bit again: ports look once more when interrupts are armed.
        _hardware.Registers.Interrupts.Acknowledge(causes);
    }

    public void OnTimer()
    {
        _hardware.CheckPresent();
        foreach (AhciPort port in _ports) port.OnTimer();
    }

    public void Stop()
    {
        _hardware.Quiesce();
        _ports = [];
    }

    public void Dispose()
    {
        if (_ports.Length == 0) return;
        try
        {
            Stop();
        }
        catch (DeviceFaultException gone)
        {
            _log(gone.Message);
        }
    }

    private AhciPort[] MakePorts()
    {
        ulong forbidden = _hardware.Has(HostCapabilities.Addresses64) ? 0 : 0xffff_ffff_0000_0000;
        DmaBuffer<ulong> zeroes = AhciMemory.AllocateZeroes(_arena);
        List<AhciPort> ports = [];
        for (uint number = 0; number < AhciRegisters.MaxPorts; number++)
        {
            if ((_hardware.Implemented & (1u << (int)number)) == 0) continue;
            AhciPortHardware hardware = new(_hardware.Port(number), $"{_hardware.Name}, port {number}", _options.Speed, _hardware.Has(HostCapabilities.PresenceSwitch));
            AhciMemory memory = new(_arena, zeroes, forbidden);
            ports.Add(new AhciPort(number, _hardware.Name, hardware, memory, _options, _hardware.Has(HostCapabilities.Queueing), _hardware.Slots, _hardware.CoalescedInterrupt == 0 ? 0 : _options.CoalesceCommands, _clock, _log));
        }

        return [.. ports];
    }

    private static void Settle(AhciPort[] ports, TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < limit)
        {
            bool settled = true;
            foreach (AhciPort port in ports)
            {
                if (port.Settled) continue;
                port.Step();
                settled &= port.Settled;
            }

            if (settled) return;
            Wait.Pause(TimeSpan.FromMicroseconds(20));
        }
    }
}
