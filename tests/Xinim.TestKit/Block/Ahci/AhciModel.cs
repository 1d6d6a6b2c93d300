using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.TestKit.Block.Ahci;

/// <summary>
/// An AHCI controller in this process, written from the manual (AHCI 1.3.1) and not from the driver. It watches what the driver does
/// (<see cref="Violations"/>), and can be told to misbehave.
/// </summary>
public sealed class AhciModel : RegisterChannel
{
    public const uint BarBytes = 0x1100;
    private const uint Cap = 0x00, Ghc = 0x04, Is = 0x08, Pi = 0x0c, Vs = 0x10, CccCtl = 0x14, CccPorts = 0x18, Cap2 = 0x24, Bohc = 0x28;
    private const uint HostReset = 1, InterruptEnable = 2, AhciEnable = 1u << 31;

    private readonly AhciModelPort[] _ports;
    private uint _control;
    private uint _bohc;
    private bool _reset;
    private uint _coalescing;
    private uint _coalescedPorts;
    private uint _completions;
    private bool _coalesced;

    /// <param name="ports">Ports, all of them implemented.</param>
    /// <param name="capabilities">CAP but NP and NCS: 64-bit addresses, queueing.</param>
    public AhciModel(int ports = 4, uint slots = 32, uint capabilities = (1u << 31) | (1u << 30) | (1u << 18))
    {
        Capabilities = capabilities | (uint)(ports - 1) | ((slots - 1) << 8);
        Slots = slots;
        _ports = [.. Enumerable.Range(0, ports).Select(number => new AhciModelPort(this, number))];
        Device = new FakePciDevice(new PciIdentity(0x8086, 0x2922, 0, 0, 0x010601, 2), this, new Dictionary<int, uint> { [5] = BarBytes }, new InterruptSupport(true, 1, 0));
        Device.FakeConfig.BusMasterChanged = OnBusMaster;
    }

    public FakeDma Dma { get; } = new();

    public FakePciDevice Device { get; }

    public uint Capabilities { get; }

    public uint Slots { get; }

    public bool StaggeredSpinUp => (Capabilities & (1u << 27)) != 0;

    /// <summary>What the driver did that the manual forbids.</summary>
    public List<string> Violations { get; } = [];

    /// <summary>Reads of registers so far.</summary>
    public int Reads { get; private set; }

    /// <summary>Writes of registers so far.</summary>
    public int Writes { get; private set; }

    /// <summary>Ports wait with what they are given until <see cref="AhciModelPort.Release()"/>.</summary>
    public bool Hold { get; set; }

    /// <summary>GHC.HR never clears.</summary>
    public bool StuckReset { get; set; }

    /// <summary>Firmware owns it, and gives it up when asked; or never does.</summary>
    public bool FirmwareOwns { get; set; }

    public bool FirmwareStays { get; set; }

    /// <summary>Reads are all ones.</summary>
    public bool Unplugged { get; set; }

    /// <summary>Command completion coalescing is on.</summary>
    public bool Coalesces => (_coalescing & 1) != 0;

    /// <summary>Resets of the controller.</summary>
    public int Resets { get; private set; }

    public IReadOnlyList<AhciModelPort> Ports => _ports;

    public override ulong Read(int bar, uint offset, int size)
    {
        Reads++;
        if (bar != 5 || size != 4) Violations.Add($"a {size}-byte read of BAR {bar}");
        if (Unplugged) return uint.MaxValue;
        if (offset >= 0x100) return PortAt(offset, out uint register) is { } port ? port.Read(register) : Wrong($"read of 0x{offset:x}");
        return offset switch
        {
            Cap => Capabilities,
            Ghc => _control | (StuckReset && _reset ? HostReset : 0),
            Is => Pending(),
            Pi => (uint)((1L << _ports.Length) - 1),
            Vs => 0x0001_0301,
            CccCtl => CanCoalesce ? _coalescing | ((uint)_ports.Length << 3) : 0,
            CccPorts => _coalescedPorts,
            Cap2 => FirmwareOwns || FirmwareStays ? 1u : 0,
            Bohc => _bohc | (FirmwareOwns || FirmwareStays ? 1u : 0),
            _ => Wrong($"read of 0x{offset:x}"),
        };
    }

    public override void Write(int bar, uint offset, int size, ulong value)
    {
        Writes++;
        if (bar != 5 || size != 4) Violations.Add($"a {size}-byte write to BAR {bar}");
        if (Unplugged) return;
        uint word = (uint)value;
        if (offset >= 0x100)
        {
            if (PortAt(offset, out uint register) is { } port) port.Write(register, word);
            else _ = Wrong($"write to 0x{offset:x}");
            Update();
            return;
        }

        switch (offset)
        {
            case Ghc: WriteControl(word); break;
            // Follows the ports, apart from the bit of command completion coalescing [AHCI §3.1.3].
            case Is: _coalesced &= (word & CoalescedBit) == 0; break;
            case CccCtl: WriteCoalescing(word); break;
            case CccPorts: _coalescedPorts = word; break;
            case Bohc: _bohc = word; if ((word & 2) != 0) FirmwareOwns = false; break;
            default: _ = Wrong($"write to 0x{offset:x}"); break;
        }

        Update();
    }

    /// <summary>The time of command completion coalescing is up: what is finished interrupts [AHCI §11].</summary>
    public void ExpireCoalescing()
    {
        if (Coalesces && _completions != 0) Coalesce();
        Update();
    }

    /// <summary>So many commands of a port are finished [AHCI §3.1.6].</summary>
    internal void CountCompletions(int port, int commands)
    {
        if (!Coalesces || (_coalescedPorts & (1u << port)) == 0) return;
        _completions += (uint)commands;
        uint limit = (_coalescing >> 8) & 0xff;
        if (limit != 0 && _completions >= limit) Coalesce();
    }

    /// <summary>The interrupt line follows IS and GHC.IE.</summary>
    internal void Update()
    {
        if (Device.Enabled is not { Disposed: false } interrupts) return;
        bool on = Pending() != 0 && (_control & InterruptEnable) != 0;
        if (on && !_line) interrupts.Raise(0);
        if (!on && _line) interrupts.Lower(0);
        _line = on;
    }

    private bool _line;

    private bool CanCoalesce => (Capabilities & (1u << 7)) != 0;

    private uint CoalescedBit => 1u << _ports.Length;

    private uint Pending() => _ports.Aggregate(_coalesced ? CoalescedBit : 0u, (pending, port) => pending | (port.Interrupts ? 1u << port.Number : 0));

    private void Coalesce() => (_coalesced, _completions) = (true, 0);

    private void WriteCoalescing(uint value)
    {
        const uint values = 0xffff_ff00;
        if (!CanCoalesce) Violations.Add("CCC_CTL written without CAP.CCCS");
        if (Coalesces && ((value ^ _coalescing) & values) != 0) Violations.Add("CCC_CTL.TV or CC changed with EN set [AHCI §3.1.6]");
        if ((value & 1) != 0 && value >> 16 == 0) Violations.Add("CCC_CTL.TV is 0 [AHCI §3.1.6]");
        if ((value & 1) == 0) _completions = 0;
        _coalescing = value & (values | 1);
    }

    private uint Wrong(string what)
    {
        Violations.Add(what);
        return 0;
    }

    private void WriteControl(uint value)
    {
        if ((value & AhciEnable) == 0) Violations.Add("GHC.AE cleared [AHCI §3.1.2]");
        if ((value & HostReset) == 0)
        {
            _control = value;
            return;
        }

        if (Dma.Enabled) Violations.Add("reset with bus mastering on");
        _reset = true;
        Resets++;
        _control = AhciEnable;
        (_coalescing, _coalescedPorts, _completions, _coalesced) = (0x0001_0100, 0, 0, false);
        foreach (AhciModelPort port in _ports) port.OnHostReset();
    }

    private AhciModelPort? PortAt(uint offset, out uint register)
    {
        uint number = (offset - 0x100) / 0x80;
        register = (offset - 0x100) % 0x80;
        return number < _ports.Length ? _ports[number] : null;
    }

    private void OnBusMaster(bool on)
    {
        Dma.Enabled = on;
        if (on && !_reset) Violations.Add("bus mastering set before the controller was reset");
    }
}
