namespace Xinim.TestKit.E1000;

// The serial EEPROM behind EERD [SDM §13.4.4] and, for the 82544, behind the four wires of EECD [SDM §13.4.3, §5.3.1].
public sealed partial class E1000Model
{
    private const uint WireClock = 1, WireSelect = 2, WireIn = 4, WireOut = 8;

    private readonly ushort[] _eeprom = new ushort[64];
    private uint _wires;
    private uint _shiftedIn;
    private int _clocks;
    private int _eerdReads;

    /// <summary>Puts a station address into the EEPROM, with a right sum.</summary>
    public void SetAddress(ReadOnlySpan<byte> address)
    {
        for (int i = 0; i < 3; i++) _eeprom[i] = (ushort)(address[2 * i] | (address[(2 * i) + 1] << 8));
        for (int i = 3; i < 63; i++) _eeprom[i] = (ushort)(0x1111 * (i % 16));
        ushort sum = 0;
        for (int i = 0; i < 63; i++) sum += _eeprom[i];
        _eeprom[63] = (ushort)(0xbaba - sum);
    }

    private ushort Word(int address)
    {
        int word = _eeprom[address];
        if (Has(E1000Misbehaviour.GroupAddress) && address == 0) word |= 1;
        if (Has(E1000Misbehaviour.GroupAddress) && address == 63) word -= 1 - (_eeprom[0] & 1);
        if (Has(E1000Misbehaviour.BadEepromSum) && address == 63) word ^= 0x0400;
        return (ushort)word;
    }

    private void WriteEerd(uint value)
    {
        if ((value & 1) == 0) Violations.Add($"EERD written with 0x{value:x}, without START [SDM §13.4.4]");
        if ((value >> (IsExpress ? 2 : 8)) > 63) Violations.Add($"EERD address of 0x{value:x} is outside the EEPROM");
        this[Eerd] = value;
        _eerdReads = 0;
    }

    private uint ReadEerd()
    {
        if (Has(E1000Misbehaviour.SilentEeprom) || ++_eerdReads < 3) return this[Eerd];
        uint address = (this[Eerd] >> (IsExpress ? 2 : 8)) & 63;
        return ((uint)Word((int)address) << 16) | (this[Eerd] & 0xffff) | (IsExpress ? 1u << 1 : 1u << 4);
    }

    private void WriteEepromWires(uint value)
    {
        uint old = _wires;
        _wires = value & (WireClock | WireSelect | WireIn);
        if ((_wires & WireSelect) == 0) return;
        if ((old & WireSelect) == 0)
        {
            _clocks = 0;
            _shiftedIn = 0;
        }

        bool rising = (old & WireClock) == 0 && (_wires & WireClock) != 0;
        if (!rising) return;
        if (((old ^ _wires) & WireIn) != 0) Violations.Add("EECD.DI changed together with the clock's edge");
        if (_clocks++ < 9) _shiftedIn = (_shiftedIn << 1) | ((_wires & WireIn) != 0 ? 1u : 0);
    }

    private uint ReadEepromWires()
    {
        uint value = _wires | (1u << 8); // EE_PRES
        if (IsExpress) value |= 1u << 9; // Auto_RD
        bool reading = _clocks > 9 && _clocks <= 25 && (_shiftedIn >> 6) == 0b110 && !Has(E1000Misbehaviour.SilentEeprom);
        if (!reading) return value;
        return ((Word((int)(_shiftedIn & 63)) >> (25 - _clocks)) & 1) != 0 ? value | WireOut : value;
    }
}
