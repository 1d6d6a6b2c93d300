using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.TestKit.E1000;

/// <summary>
/// An Intel 8254x or 82574 in this process, written from the manuals and not from the driver. It moves frames between descriptor rings and
/// a test, watches what the driver does (<see cref="Violations"/>), and can be told to misbehave. Sections in comments are those of Intel's
/// 8254x Software Developer's Manual, 317453.
/// </summary>
public sealed partial class E1000Model : RegisterChannel, IDisposable
{
    private const int BarBytes = 0x20000;
    private const uint Ctrl = 0x0000, Status = 0x0008, Eecd = 0x0010, Eerd = 0x0014, CtrlExt = 0x0018, Mdic = 0x0020, Vet = 0x0038;
    private const uint Icr = 0x00c0, Itr = 0x00c4, Ics = 0x00c8, Ims = 0x00d0, Imc = 0x00d8, Eiac = 0x00dc, Iam = 0x00e0, Ivar = 0x00e4, Eitr0 = 0x00e8;
    private const uint Rctl = 0x0100, Tctl = 0x0400, Tipg = 0x0410, Pba = 0x1000;
    private const uint Rdbal = 0x2800, Rdbah = 0x2804, Rdlen = 0x2808, Rdh = 0x2810, Rdt = 0x2818, Rdlen1 = 0x2908;
    private const uint Tdbal = 0x3800, Tdbah = 0x3804, Tdlen = 0x3808, Tdh = 0x3810, Tdt = 0x3818, Tarc0 = 0x3840;
    private const uint Rxcsum = 0x5000, Rfctl = 0x5008, Mta = 0x5200, Ra = 0x5400, Vfta = 0x5600, Mrqc = 0x5818;
    private const uint CtrlRst = 1u << 26, CtrlVme = 1u << 30, CtrlSlu = 1u << 6, CtrlMasterDisable = 1u << 2;
    private const uint RctlEnable = 1u << 1, RctlVlanFilter = 1u << 18, TctlEnable = 1u << 1;
    private const uint Undefined = 0xa5a5_a5a0; // what the manual leaves undefined is something that works by no accident

    private readonly uint[] _registers = new uint[BarBytes / 4];
    private readonly Random _random = new(1);
    private int _resetReads;
    private bool _resetSinceStart;

    public E1000Model(E1000ModelKind kind, E1000Misbehaviour misbehaviour = E1000Misbehaviour.None)
    {
        Kind = kind;
        Misbehaviour = misbehaviour;
        PciIdentity identity = new(0x8086, (ushort)kind, 0x8086, 0x1001, 0x020000, 3);
        InterruptSupport interrupts = IsExpress ? new InterruptSupport(true, 1, 5) : new InterruptSupport(true, 0, 0);
        Device = new FakePciDevice(identity, this, new Dictionary<int, uint> { [0] = BarBytes }, interrupts);
        Device.FakeConfig.BusMasterChanged = OnBusMaster;
        SetAddress([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
        PowerOn();
    }

    public E1000ModelKind Kind { get; }

    /// <summary>May be changed at any time.</summary>
    public E1000Misbehaviour Misbehaviour { get; set; }

    public FakePciDevice Device { get; }

    public FakeDma Dma { get; } = new();

    /// <summary>What the driver did against the manual.</summary>
    public List<string> Violations { get; } = [];

    /// <summary>Reads and writes of registers since the last <see cref="ForgetAccesses"/>.</summary>
    public int Reads { get; private set; }

    /// <inheritdoc cref="Reads"/>
    public int Writes { get; private set; }

    /// <summary>Writes of RDT and TDT since the last <see cref="ForgetAccesses"/>.</summary>
    public int Doorbells { get; private set; }

    /// <summary>The interrupt throttle that the driver chose, in units of 256 ns.</summary>
    public uint Throttle => this[Itr];

    /// <summary>The causes that are unmasked.</summary>
    public uint Mask => this[Ims];

    /// <summary>True after a driver has switched both units on.</summary>
    public bool Running => (this[Rctl] & RctlEnable) != 0 && (this[Tctl] & TctlEnable) != 0;

    private bool IsExpress => Kind == E1000ModelKind.I82574;

    private bool LikeQemu => Has(E1000Misbehaviour.LikeQemu);

    private ref uint this[uint offset] => ref _registers[offset / 4];

    /// <summary>A register as it stands, without side effects.</summary>
    public uint Peek(uint offset) => this[offset];

    /// <summary>Sets a counter or another register behind the driver's back.</summary>
    public void Poke(uint offset, uint value) => this[offset] = value;

    public void ForgetAccesses() => Reads = Writes = Doorbells = 0;

    /// <summary>What a supervisor does between two drivers: interrupts off, bus mastering off; a device without reset method is left as it is.</summary>
    public void KillDriver()
    {
        Device.FakeConfig.ClearBusMaster();
        _resetSinceStart = false;
    }

    public override ulong Read(int bar, uint offset, int size)
    {
        Reads++;
        if (Has(E1000Misbehaviour.Removed)) return uint.MaxValue;
        if (!CheckAccess(bar, offset, size, write: false)) return 0;
        if (E1000RegisterMap.IsReadToClear(offset)) return ReadCounter(offset);
        return offset switch
        {
            Ctrl => ReadControl(),
            Status => ReadStatus(),
            Eecd => ReadEepromWires(),
            Eerd => ReadEerd(),
            Icr => ReadCauses(),
            _ => this[offset],
        };
    }

    public override void Write(int bar, uint offset, int size, ulong value)
    {
        Writes++;
        if (Has(E1000Misbehaviour.Removed) || !CheckAccess(bar, offset, size, write: true)) return;
        uint word = (uint)value;
        switch (offset)
        {
            case Ctrl: WriteControl(word); break;
            case Eecd: WriteEepromWires(word); break;
            case Eerd: WriteEerd(word); break;
            case Mdic: WriteManagement(word); break;
            case Icr: SetCauses(this[Icr] & ~word); break;
            case Ics: SetCauses(this[Icr] | word); break;
            case Ims: this[Ims] |= word; UpdateInterrupt(); break;
            case Imc: this[Ims] &= ~word; UpdateInterrupt(); break;
            case Rctl: WriteReceiveControl(word); break;
            case Tctl: WriteTransmitControl(word); break;
            case Rdt: WriteReceiveTail(word); break;
            case Tdt: WriteTransmitTail(word); break;
            case Rdh or Rdlen or Rdbal or Rdbah: WriteRing(offset, word, (this[Rctl] & RctlEnable) != 0); break;
            case Tdh or Tdlen or Tdbal or Tdbah: WriteRing(offset, word, (this[Tctl] & TctlEnable) != 0); break;
            case Rxcsum:
                if ((this[Rctl] & RctlEnable) != 0) Violations.Add("RXCSUM written while the receiver is on [SDM §13.4.47]");
                this[offset] = word;
                break;
            default: this[offset] = word; break;
        }
    }

    public void Dispose()
    {
        Device.Enabled?.Dispose();
        Dma.Dispose();
    }

    private bool Has(E1000Misbehaviour what) => (Misbehaviour & what) != 0;

    private bool CheckAccess(int bar, uint offset, int size, bool write)
    {
        string? wrong = bar != 0 || size != 4 ? $"a {size}-byte access to BAR {bar} at 0x{offset:x}"
            : !E1000RegisterMap.IsKnown(offset, Kind) ? $"{(write ? "write to" : "read of")} 0x{offset:x5}, where the {Kind} has no register"
            : write && !E1000RegisterMap.IsWritable(offset) ? $"write to the read-only register 0x{offset:x5}"
            : !write && offset == Imc ? "read of the write-only IMC"
            : null;
        if (wrong is not null) Violations.Add(wrong);
        return wrong is null;
    }

    private void PowerOn()
    {
        Array.Fill(_registers, 0u);
        foreach (uint ring in (uint[])[Rdbal, Rdbah, Rdlen, Rdh, Rdt, Tdbal, Tdbah, Tdlen, Tdh, Tdt, Rdlen1, Tipg, Mrqc]) this[ring] = Undefined;
        for (uint i = 0; i < 128; i++) this[Mta + (4 * i)] = this[Vfta + (4 * i)] = Undefined;
        for (uint i = 2; i < 32; i++) this[Ra + (4 * i)] = Undefined;
        foreach (uint counter in E1000RegisterMap.ReadToClear) this[counter] = _random.Next() is var value ? (uint)value : 0;
        Initialise();
    }

    private void Initialise()
    {
        this[Ctrl] = CtrlSlu | (1u << 9);
        this[Vet] = 0;
        this[Pba] = IsExpress ? 0x0014_0014u : 0x0010_0030u;
        this[Rctl] = this[Tctl] = this[Ims] = this[Icr] = this[Itr] = this[Rxcsum] = this[Rfctl] = this[CtrlExt] = 0;
        this[Eiac] = this[Iam] = this[Ivar] = this[Eitr0] = Undefined;
        this[Tarc0] = 0;
        this[Ra] = this[Ra + 4] = 0;
        StopTransmit();
        StopReceive();
    }

    private uint ReadControl()
    {
        uint value = this[Ctrl];
        if (Has(E1000Misbehaviour.StuckReset)) return value | (_resetSinceStart ? CtrlRst : 0);
        return _resetReads-- > 0 ? value | CtrlRst : value;
    }

    private void WriteControl(uint value)
    {
        if ((value & CtrlRst) == 0)
        {
            this[Ctrl] = value;
            return;
        }

        if (Dma.Enabled) Violations.Add("reset with bus mastering on");
        if (this[Ims] != 0) Violations.Add("reset with interrupts unmasked [SDM §14.2]");
        _resetSinceStart = true;
        _resetReads = 2;
        StopTransmit();
        StopReceive();
        if (!LikeQemu) Initialise();
    }

    /// <summary>[SDM §13.4.2]</summary>
    private uint ReadStatus()
    {
        uint value = _link is { } link ? 2u | (link.FullDuplex ? 1u : 0) | (link.Speed switch { 1000 => 2u << 6, 100 => 1u << 6, _ => 0 }) : 0;
        if (TransmitPaused) value |= 1u << 4;
        bool master = (this[Ctrl] & CtrlMasterDisable) == 0 || Has(E1000Misbehaviour.MasterStaysOn);
        return IsExpress && master ? value | (1u << 19) : value;
    }

    private uint ReadCounter(uint offset)
    {
        bool lowHalf = offset is 0x4088 or 0x4090;
        uint value = this[offset];
        bool sticks = LikeQemu && E1000RegisterMap.IsErrorCounter(offset);
        if (!lowHalf && !sticks) this[offset] = 0;
        if (offset is 0x408c or 0x4094) this[offset - 4] = 0;
        return value;
    }

    private void Count(uint offset, uint by = 1)
    {
        uint sum = this[offset] + by;
        this[offset] = sum < by ? uint.MaxValue : sum;
    }

    private void CountOctets(uint low, int bytes)
    {
        uint before = this[low];
        this[low] += (uint)bytes;
        if (this[low] < before) this[low + 4]++;
    }

    private void WriteRing(uint offset, uint value, bool on)
    {
        if (on) Violations.Add($"ring register 0x{offset:x5} written while its unit is on [SDM §14.4, §14.5]");
        if (offset is Rdlen or Tdlen && (value % 128 != 0 || value == 0)) Violations.Add($"ring length {value} [SDM §13.4.27, §13.4.38]");
        if (offset is Rdbal or Tdbal && value % 16 != 0) Violations.Add($"ring base 0x{value:x} is not aligned [SDM §13.4.25, §13.4.36]");
        this[offset] = value;
    }

    private void OnBusMaster(bool on)
    {
        Dma.Enabled = on;
        if (on && !_resetSinceStart) Violations.Add("bus mastering set before the device was reset");
    }
}
