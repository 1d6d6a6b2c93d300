using System.Buffers.Binary;

namespace Xinim.TestKit.Block.Ahci;

/// <summary>A port of <see cref="AhciModel"/>: its registers, its link, and the commands that it has fetched.</summary>
public sealed class AhciModelPort
{
    private const uint Clb = 0x00, Clbu = 0x04, Fb = 0x08, Fbu = 0x0c, PxIs = 0x10, PxIe = 0x14, Cmd = 0x18, Tfd = 0x20, Sig = 0x24, Ssts = 0x28, Sctl = 0x2c, Serr = 0x30, Sact = 0x34, Ci = 0x38;
    private const uint Start = 1, SpinUp = 2, PowerOn = 4, SwitchIsOpen = 1 << 13, ColdPresent = 1 << 16, HasSwitch = 1 << 19, HasColdPresence = 1 << 20, ReceiveEnable = 1 << 4, ReceiveRunning = 1 << 14, ListRunning = 1 << 15;
    private const uint Dhrs = 1, Pss = 2, Sdbs = 8, Pcs = 1 << 6, Dmps = 1 << 7, Cpds = 1u << 31, Prcs = 1 << 22, Ifs = 1 << 27, Hbfs = 1 << 29, Tfes = 1 << 30;
    private const uint DiagN = 1 << 16, DiagX = 1 << 26;
    private const byte Good = 0x50, Bad = 0x51, Busy = 0x80;

    private readonly AhciModel _model;
    private readonly uint[] _words = new uint[32];
    private readonly List<int> _held = [];
    private readonly AhciModelCommands _commands;
    private bool _halted;
    private bool _open;

    internal AhciModelPort(AhciModel model, int number)
    {
        _model = model;
        Number = number;
        _commands = new AhciModelCommands(model, this);
        this[Sig] = uint.MaxValue;
        this[Tfd] = 0x7f;
    }

    public int Number { get; }

    public AtaDiskModel? Disk { get; private set; }

    /// <summary>COMRESETs that the driver asked for.</summary>
    public int LinkResets { get; private set; }

    /// <summary>PxCMD.CR stays set.</summary>
    public bool StuckRunning { get; set; }

    /// <summary>The slot tells of what is in it, and the port powers it [AHCI §3.3.7].</summary>
    public bool ColdPresence { get; set; }

    /// <summary>A switch in the slot [AHCI §3.3.7].</summary>
    public bool HasPresenceSwitch { get; set; }

    /// <summary>The link does not notice that its device goes.</summary>
    public bool SleepingLink { get; set; }

    /// <summary>The port gives power.</summary>
    public bool Powered => !ColdPresence || (this[Cmd] & PowerOn) != 0;

    /// <summary>Commands that were fetched and wait.</summary>
    public int Held => _held.Count;

    /// <summary>Writes to PxCI with at least one command.</summary>
    public int Doorbells { get; private set; }

    internal bool Interrupts => (this[PxIs] & this[PxIe]) != 0;

    internal ulong CommandList => this[Clb] | ((ulong)this[Clbu] << 32);

    private uint this[uint register]
    {
        get => _words[register / 4];
        set => _words[register / 4] = value;
    }

    /// <summary>Puts a disk in.</summary>
    public void Plug(AtaDiskModel disk)
    {
        Disk = disk;
        if (ColdPresence) this[PxIs] |= Cpds;
        if (_model.Resets != 0 && (this[Cmd] & SpinUp) != 0 && Powered) LinkUp();
        _model.Update();
    }

    /// <summary>Pulls it out, with whatever it does.</summary>
    public void Unplug()
    {
        Disk = null;
        Drop();
        if (ColdPresence) this[PxIs] |= Cpds;
        if (!SleepingLink) LinkDown();
        _model.Update();
    }

    /// <summary>Opens or closes the slot; what is in it stays.</summary>
    public void Switch(bool open)
    {
        _open = open;
        this[PxIs] |= Dmps;
        _model.Update();
    }

    /// <summary>A disk that was not ready becomes so.</summary>
    public void BecomeReady()
    {
        Disk!.Ready = true;
        SendSignature();
        _model.Update();
    }

    /// <summary>Does what it has.</summary>
    public void Release()
    {
        foreach (int slot in _held.ToArray()) Release(slot);
    }

    /// <summary>Does one command.</summary>
    public void Release(int slot)
    {
        if (_held.Remove(slot)) Execute(slot);
        _model.Update();
    }

    /// <summary>Sets bits of PxSACT or PxCI that nobody issued.</summary>
    public void Poke(uint active, uint issue) => (this[Sact], this[Ci]) = (this[Sact] | active, this[Ci] | issue);

    /// <summary>Sends a FIS with these first words to a place of the receive area.</summary>
    public void Inject(uint offset, params ReadOnlySpan<uint> words)
    {
        Send(offset, words.ToArray());
        _model.Update();
    }

    internal uint Read(uint register)
    {
        if (register is > Ci or 0x1c) _model.Violations.Add($"port {Number}: read of 0x{register:x2}");
        if (register == PxIs) return this[PxIs] | ((this[Serr] & DiagX) != 0 ? Pcs : 0) | ((this[Serr] & DiagN) != 0 ? Prcs : 0);
        if (register != Cmd) return this[register];
        uint detectors = (HasPresenceSwitch ? HasSwitch | (_open ? SwitchIsOpen : 0) : 0) | (ColdPresence ? HasColdPresence | (Disk is not null ? ColdPresent : 0) : 0);
        return this[Cmd] | detectors | (StuckRunning ? ListRunning : 0);
    }

    internal void Write(uint register, uint value)
    {
        switch (register)
        {
            case Clb: CheckStopped(Start, "PxCLB"); if (value % 1024 != 0) Break($"PxCLB 0x{value:x}"); this[Clb] = value; break;
            case Fb: CheckStopped(ReceiveEnable, "PxFB"); if (value % 256 != 0) Break($"PxFB 0x{value:x}"); this[Fb] = value; break;
            case Clbu or Fbu or PxIe: this[register] = value; break;
            case PxIs: this[PxIs] &= ~value | Prcs | Pcs; break;
            case Serr:
                this[Serr] &= ~value;
                if ((this[Serr] & DiagN) == 0) this[PxIs] &= ~Prcs;
                if ((this[Serr] & DiagX) == 0) this[PxIs] &= ~Pcs;
                break;
            case Cmd: WriteCommand(value); break;
            case Sctl: WriteLinkControl(value); break;
            case Sact: if ((this[Cmd] & Start) == 0) Break("PxSACT with PxCMD.ST = 0 [AHCI §3.3.13]"); this[Sact] |= value; break;
            case Ci: Issue(value); break;
            default: Break($"write to 0x{register:x2}"); break;
        }
    }

    internal void OnHostReset()
    {
        Drop();
        Array.Clear(_words);
        (this[Sig], this[Tfd]) = (uint.MaxValue, 0x7f);
        if (Disk is not null && !_model.StaggeredSpinUp && Powered) LinkUp();
    }

    internal void Break(string what) => _model.Violations.Add($"port {Number}: {what}");

    /// <summary>A register FIS, or a PIO setup FIS, that ends a command.</summary>
    internal void Finish(int slot, byte status, byte error, ulong lba, bool pio)
    {
        this[Tfd] = status | ((uint)error << 8);
        uint first = (pio ? 0x5fu : 0x34u) | 0x4000 | ((uint)status << 16) | ((uint)error << 24);
        Send(pio ? 0x20u : 0x40u, first, (uint)lba & 0xff_ffff, (uint)(lba >> 24) & 0xff_ffff);
        this[PxIs] |= pio ? Pss : Dhrs;
        if ((status & 1) != 0)
        {
            Halt(Tfes);
            return;
        }

        this[Ci] &= ~(1u << slot);
        _model.CountCompletions(Number, 1);
    }

    /// <summary>A set device bits FIS that ends queued commands.</summary>
    internal void FinishQueued(uint slots, byte error)
    {
        this[Sact] &= ~slots;
        byte status = error != 0 ? Bad : Good;
        this[Tfd] = (this[Tfd] & Busy) | status | ((uint)error << 8);
        Send(0x58, 0xa1u | 0x4000 | ((uint)(status & 0x77) << 16) | ((uint)error << 24), slots);
        this[PxIs] |= Sdbs;
        if (error != 0) Halt(Tfes);
        _model.CountCompletions(Number, System.Numerics.BitOperations.PopCount(slots));
    }

    /// <summary>What a command ends with that the controller itself gives up.</summary>
    internal void Fail(int slot, AtaFaultKind kind)
    {
        switch (kind)
        {
            case AtaFaultKind.StuckBusy: this[Tfd] = Busy; break;
            case AtaFaultKind.InterfaceFatal: this[Serr] |= 1 << 8; Halt(Ifs); break;
            case AtaFaultKind.HostBusFatal: Halt(Hbfs); break;
            case AtaFaultKind.Mute: this[Serr] |= 1u << slot; break;
            case AtaFaultKind.LostInterrupt: this[Sact] &= ~(1u << slot); this[Ci] &= ~(1u << slot); this[Tfd] = Good; break;
        }
    }

    /// <summary>The command list's entry was fetched; a queued command is the disk's from now on.</summary>
    internal void Accept(int slot) => this[Ci] &= ~(1u << slot);

    private void Halt(uint cause)
    {
        _halted = true;
        this[PxIs] |= cause;
        this[Cmd] &= ~ListRunning;
    }

    private void Issue(uint slots)
    {
        if (slots != 0) Doorbells++;
        if ((this[Cmd] & Start) == 0) Break("PxCI with PxCMD.ST = 0 [AHCI §3.3.14]");
        if ((this[Ci] & slots) != 0) Break($"PxCI 0x{slots:x8}, 0x{this[Ci]:x8} is out");
        if (slots >> 1 >> ((int)_model.Slots - 1) != 0) Break($"PxCI 0x{slots:x8} of {_model.Slots} slots");
        this[Ci] |= slots;
        for (int slot = 0; slot < 32; slot++)
        {
            if ((slots & (1u << slot)) == 0) continue;
            if (_model.Hold) _held.Add(slot);
            else Execute(slot);
        }
    }

    private void Execute(int slot)
    {
        if (_halted || (this[Cmd] & Start) == 0 || Disk is null) return;
        bool active = (this[Sact] & (1u << slot)) != 0;
        if (!active && (this[Sact] != 0)) Break($"slot {slot} is not queued while 0x{this[Sact]:x8} is [SATA §13.6]");
        _commands.Execute(slot, active);
    }

    private void WriteCommand(uint value)
    {
        uint before = this[Cmd];
        if ((value & Start) != 0 && (before & Start) == 0) BeginCommands(value);
        if ((value & Start) == 0 && (before & Start) != 0) EndCommands();
        if ((value & ReceiveEnable) == 0 && (value & Start) != 0) Break("PxCMD.ST without FRE [AHCI §10.3.1]");
        uint running = (value & Start) != 0 && !_halted ? ListRunning : 0;
        this[Cmd] = (value & (Start | SpinUp | PowerOn | ReceiveEnable)) | running | ((value & ReceiveEnable) != 0 ? ReceiveRunning : 0);
        if ((value & SpinUp) != 0 && (before & SpinUp) == 0 && _model.StaggeredSpinUp && Disk is not null && Powered) LinkUp();
        if (!ColdPresence || ((value ^ before) & PowerOn) == 0) return;
        if ((value & PowerOn) == 0) LinkDown();
        else if (Disk is not null && !_model.StaggeredSpinUp) LinkUp();
    }

    private void BeginCommands(uint value)
    {
        _halted = false;
        if ((this[Tfd] & 0x88) != 0) Break($"PxCMD.ST with PxTFD 0x{this[Tfd]:x} [AHCI §10.3.1]");
        if ((this[Ssts] & 0xf) != 3) Break("PxCMD.ST without a link [AHCI §10.3.1]");
        if ((value & ReceiveEnable) == 0) Break("PxCMD.ST without FRE [AHCI §10.3.1]");
    }

    /// <summary>The controller forgets; the disk does not [AHCI §3.3.14].</summary>
    private void EndCommands()
    {
        this[Ci] = this[Sact] = 0;
        _held.Clear();
    }

    private void WriteLinkControl(uint value)
    {
        bool was = (this[Sctl] & 0xf) == 1, now = (value & 0xf) == 1;
        this[Sctl] = value;
        if (now && !was)
        {
            if ((this[Cmd] & Start) != 0) Break("COMRESET with PxCMD.ST = 1 [AHCI §10.4.2]");
            LinkResets++;
            Drop();
            this[Ssts] = 0;
            this[Serr] |= DiagN;
        }

        if (!now && was && Disk is not null && Powered) LinkUp();
    }

    /// <summary>The disk forgets its commands.</summary>
    private void Drop()
    {
        _held.Clear();
        this[Tfd] = 0x7f;
        this[Sig] = uint.MaxValue;
        if (Disk is not null) Disk.QueueError = null;
    }

    private void LinkDown()
    {
        this[Ssts] = 0;
        this[Serr] |= DiagN;
        this[PxIs] |= Prcs;
    }

    private void LinkUp()
    {
        this[Ssts] = 0x123;
        this[Serr] |= DiagN | DiagX;
        this[Tfd] = 0x7f;
        if (Disk is { Ready: true }) SendSignature();
        _model.Update();
    }

    /// <summary>The first FIS reaches the registers without FRE too [AHCI §3.3.7].</summary>
    private void SendSignature()
    {
        this[Sig] = Disk!.Signature;
        this[Tfd] = Good | 0x100;
        Send(0x40, 0x34u | ((uint)Good << 16) | (1u << 24), 0, 0);
        this[PxIs] |= Dhrs;
    }

    private void Send(uint offset, params uint[] words)
    {
        if ((this[Cmd] & ReceiveEnable) == 0) return;
        ulong at = (this[Fb] | ((ulong)this[Fbu] << 32)) + offset;
        Span<byte> bytes = stackalloc byte[4 * words.Length];
        for (int i = 0; i < words.Length; i++) BinaryPrimitives.WriteUInt32LittleEndian(bytes[(4 * i)..], words[i]);
        _ = _model.Dma.Write(at, bytes);
    }

    private void CheckStopped(uint bit, string register)
    {
        if ((this[Cmd] & bit) != 0) Break($"{register} written while it is in use [AHCI §3.3]");
    }
}
