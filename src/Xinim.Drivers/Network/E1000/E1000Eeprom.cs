using Xinim.Ipc.Protocols;
using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Network.E1000;

/// <summary>The serial EEPROM or NVM: 64 words that hold the MAC address and add up to 0xBABA [SDM §5.6.35].</summary>
internal sealed class E1000Eeprom(E1000Registers registers, EepromAccess access)
{
    private const int Words = 0x40; // 00h-3Fh are summed [SDM §5.6.35]
    private const ushort Sum = 0xbaba; // [SDM §5.6.35]
    private const uint Start = 1; // EERD.START [SDM §13.4.4]
    private const uint ReadOpcode = 0b110; // start bit and READ of a Microwire EEPROM [SDM §5.2]

    // A 93C46 takes 1 MHz at 5 V; half a period each way keeps below that with a margin of two [SDM §5.3].
    private static readonly TimeSpan s_halfClock = TimeSpan.FromMicroseconds(1);

    /// <summary>Reads the address after checking the sum: a blank or torn EEPROM gives the device no identity.</summary>
    /// <exception cref="DeviceFaultException">A word cannot be read, the sum is wrong, or the address is not a station's.</exception>
    public MacAddress ReadMac()
    {
        Span<ushort> words = stackalloc ushort[Words];
        ushort sum = 0;
        for (uint i = 0; i < Words; i++)
        {
            words[(int)i] = access == EepromAccess.Microwire ? ReadMicrowire(i) : ReadEerd(i);
            sum += words[(int)i];
        }

        if (sum != Sum) throw new DeviceFaultException($"the EEPROM's words add up to 0x{sum:x4}, not 0x{Sum:x4} [SDM §5.6.35]: it is blank or damaged");
        MacAddress mac = default;
        for (int i = 0; i < 6; i++) mac[i] = (byte)(words[i / 2] >> (8 * (i % 2))); // the low byte goes first [SDM §5.6.1]
        bool empty = mac[0] == 0 && mac[1] == 0 && mac[2] == 0 && mac[3] == 0 && mac[4] == 0 && mac[5] == 0;
        return mac.IsMulticast || empty ? throw new DeviceFaultException($"the EEPROM holds {mac}, which is no station address [SDM §5.6.1]") : mac;
    }

    /// <summary>[SDM §13.4.4]; the 82574 has other bit positions [82574 §10.2.2.4].</summary>
    private ushort ReadEerd(uint word)
    {
        (int shift, uint done) = access == EepromAccess.EerdExpress ? (2, 1u << 1) : (8, 1u << 4);
        registers.EepromRead.Write((word << shift) | Start);
        uint value = 0;
        Wait.Until(() => ((value = registers.EepromRead.Read()) & done) != 0, TimeSpan.FromMilliseconds(100), $"EERD.DONE for word 0x{word:x2} [SDM §13.4.4]", TimeSpan.FromMicroseconds(5));
        return (ushort)(value >> 16);
    }

    /// <summary>
    /// Start bit, opcode and six address bits out, sixteen data bits in, each on the clock's rising edge [SDM §5.3.1].
    /// The 82544 has no request and grant bits: nothing else uses its EEPROM while it is not being reset [SDM §13.4.3].
    /// </summary>
    private ushort ReadMicrowire(uint word)
    {
        EepromControl idle = registers.Eeprom.Read() & ~(EepromControl.Clock | EepromControl.DataIn | EepromControl.Select);
        Put(idle);
        EepromControl selected = idle | EepromControl.Select;
        Put(selected);
        uint command = (ReadOpcode << 6) | word;
        for (int bit = 8; bit >= 0; bit--)
        {
            EepromControl data = ((command >> bit) & 1) != 0 ? selected | EepromControl.DataIn : selected;
            Put(data);
            Put(data | EepromControl.Clock);
            Put(data);
        }

        Put(selected); // DI settles before the next edge
        uint value = 0;
        for (int bit = 0; bit < 16; bit++)
        {
            Put(selected | EepromControl.Clock);
            value = (value << 1) | ((registers.Eeprom.Read() & EepromControl.DataOut) != 0 ? 1u : 0);
            Put(selected);
        }

        Put(idle);
        return (ushort)value;
    }

    private void Put(EepromControl wires)
    {
        registers.Eeprom.Write(wires);
        Wait.Pause(s_halfClock);
    }
}
