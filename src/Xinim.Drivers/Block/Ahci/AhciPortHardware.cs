using System.Diagnostics;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>One port's registers in the orders that the manual asks for [AHCI §10]. Nothing here knows of requests.</summary>
internal sealed class AhciPortHardware(AhciPortRegisters registers, string name, uint speed, bool switches)
{
    /// <summary>PxSERR.DIAG.F [AHCI §3.3.12].</summary>
    public const uint UnknownFis = 1 << 25;

    private static readonly TimeSpan s_drainLimit = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_stopLimit = TimeSpan.FromMilliseconds(500); // [AHCI §10.3.2]
    private static readonly TimeSpan s_resetTime = TimeSpan.FromMilliseconds(1); // [AHCI §10.4.2]

    private readonly LinkControl _idle = LinkControl.NoSaving | (LinkControl)(speed << (int)LinkControl.SpeedShift);

    /// <summary>What tells of a slot that is empty, apart from the link.</summary>
    private PortCommand _detectors;

    public AhciPortRegisters Registers { get; } = registers;

    /// <summary>Commands are fetched.</summary>
    public bool Running { get; private set; }

    /// <summary>A device that talks [AHCI §3.3.10].</summary>
    public bool LinkUp => (Link & LinkStatus.DetectMask) == LinkStatus.Established && !SlotEmpty;

    /// <summary>Something is there, though it may not talk yet [AHCI §3.3.7, §3.3.10].</summary>
    public bool LinkSeen => ((Link & LinkStatus.DetectMask) != 0 || (_detectors & PortCommand.ColdPresence) != 0) && !SlotEmpty;

    /// <exception cref="DeviceFaultException">The controller is gone.</exception>
    private LinkStatus Link
    {
        get
        {
            LinkStatus link = Registers.Link.Read();
            return (uint)link != uint.MaxValue ? link : throw AhciRegisters.Gone(name, "PxSSTS");
        }
    }

    /// <summary>Cold presence detection says so, or the switch is open [AHCI §3.3.7]: sooner than the link, which does not notice while it sleeps. Ports without either are not read.</summary>
    private bool SlotEmpty
    {
        get
        {
            if (_detectors == PortCommand.None) return false;
            PortCommand command = Registers.Command.Read();
            return ((_detectors & PortCommand.ColdPresence) != 0 && (command & PortCommand.ColdPresent) == 0)
                || ((_detectors & PortCommand.PresenceSwitch) != 0 && (command & PortCommand.SwitchOpen) != 0);
        }
    }

    /// <summary>1.5, 3 or 6 Gbit/s [AHCI §3.3.10].</summary>
    public string Speed => ((uint)(Registers.Link.Read() & LinkStatus.SpeedMask) >> 4) switch
    {
        1 => "1.5 Gbit/s",
        2 => "3 Gbit/s",
        3 => "6 Gbit/s",
        _ => "unknown speed",
    };

    /// <summary>
    /// The port's memory, and the link awake; after a reset of the controller [AHCI §10.1.2, §10.3.2]. FISes are not received yet: the first one, with the
    /// device's signature, reaches the registers all the same [AHCI §3.3.7].
    /// </summary>
    public void SetUp(Iova commandList, Iova received)
    {
        Running = false;
        StopReceiving();
        Registers.CommandListLow.Write(commandList.Low);
        Registers.CommandListHigh.Write(commandList.High);
        Registers.ReceivedLow.Write(received.Low);
        Registers.ReceivedHigh.Write(received.High);
        Registers.LinkControl.Write(_idle);
        Acknowledge();
        PortCommand command = Registers.Command.Read() & ~PortCommand.StateMask;
        _detectors = command & (switches ? PortCommand.ColdPresence | PortCommand.PresenceSwitch : PortCommand.ColdPresence);
        if ((command & PortCommand.ColdPresence) != 0) command = Powered(command);
        Registers.Command.Write(command);
        Registers.Command.Write(command | PortCommand.SpinUp | PortCommand.Active);
        Registers.Enabled.Write(PortInterrupts.Wanted);
    }

    /// <summary>Where the port can switch power: on while something is in the slot [AHCI §3.3.7].</summary>
    public void FollowPresence()
    {
        if ((_detectors & PortCommand.ColdPresence) == 0) return;
        PortCommand command = Registers.Command.Read(), wanted = Powered(command);
        if (command != wanted) Registers.Command.Write(wanted);
    }

    /// <summary>Commands are fetched from now on; the device is there and neither BSY nor DRQ is set [AHCI §10.3.1].</summary>
    public void Start()
    {
        Acknowledge();
        Registers.Command.Set(PortCommand.Start);
        Running = true;
    }

    /// <summary>No command is fetched any more; what was issued is forgotten by the controller [AHCI §10.3.1, §3.3.14].</summary>
    /// <exception cref="DeviceFaultException">The port does not stop: the controller has to be reset [AHCI §10.4.2]; or it is gone.</exception>
    public void Stop()
    {
        Running = false;
        Registers.Command.Clear(PortCommand.Start);
        Wait.Until(() => IsClear(Registers, PortCommand.ListRunning, name), s_stopLimit, $"PxCMD.CR = 0 of {name} [AHCI §10.3.1]");
        Drain(Registers, s_drainLimit, name);
    }

    /// <summary>One look whether a port has stopped [AHCI §3.3.7].</summary>
    /// <exception cref="DeviceFaultException">The controller is gone.</exception>
    public static bool IsClear(AhciPortRegisters registers, PortCommand state, string name) => AhciRegisters.IsClear((uint)registers.Command.Read(), (uint)state, name, "PxCMD");

    /// <summary>
    /// PxSACT and PxCI are clear when the port has stopped [AHCI §3.3.13, §3.3.14]. QEMU 7.2 clears them when the commands are done, and a reset before
    /// that can hang it; so it gets a moment for each command, and no complaint when it needs longer.
    /// </summary>
    /// <exception cref="DeviceFaultException">The controller is gone.</exception>
    public static void Drain(AhciPortRegisters registers, TimeSpan limit, string name)
    {
        long since = Stopwatch.GetTimestamp();
        uint last = uint.MaxValue, left;
        while ((left = registers.Active.Read() | registers.Issue.Read()) != 0 && Stopwatch.GetElapsedTime(since) < limit)
        {
            // 32 commands read so too: PxCMD tells.
            if (left == uint.MaxValue) _ = IsClear(registers, PortCommand.None, name);
            // While ST is 0 bits only go.
            if ((last & ~left) != 0) since = Stopwatch.GetTimestamp();
            last &= left;
            // Long enough for QEMU to look after its disks: while reads of registers keep coming its multi-process machine does nothing else.
            Wait.Pause(TimeSpan.FromMilliseconds(1));
        }
    }

    /// <summary>COMRESET: the device forgets every command, and says later that it is there [AHCI §10.4.2]. The port is stopped.</summary>
    public void ResetLink()
    {
        Registers.LinkControl.Write(_idle | LinkControl.Reset);
        Wait.Pause(s_resetTime);
        Registers.LinkControl.Write(_idle);
        Acknowledge();
    }

    /// <summary>Errors and interrupts of the past; the latter only while the former are clear [AHCI §3.3.5].</summary>
    public void Acknowledge()
    {
        Registers.Errors.Acknowledge(uint.MaxValue);
        Registers.Interrupts.Acknowledge(PortInterrupts.All);
    }

    /// <summary>No commands, no FISes: no DMA of this port [AHCI §10.3.2].</summary>
    public void Park()
    {
        Stop();
        StopReceiving();
    }

    /// <summary>FISes are received again; <see cref="Start"/> does the rest.</summary>
    public void Unpark() => Registers.Command.Set(PortCommand.ReceiveEnable);

    private static PortCommand Powered(PortCommand command)
        => (command & PortCommand.ColdPresent) != 0 ? command | PortCommand.PowerOn : command & ~PortCommand.PowerOn;

    private void StopReceiving()
    {
        Registers.Command.Clear(PortCommand.ReceiveEnable);
        Wait.Until(() => IsClear(Registers, PortCommand.ReceiveRunning, name), s_stopLimit, $"PxCMD.FR = 0 of {name} [AHCI §10.3.2]");
    }
}
