using System.Globalization;

namespace Xinim.Net.Ip;

/// <summary>An IPv4 address, in host order.</summary>
public readonly record struct Ipv4Address(uint Value)
{
    /// <summary>0.0.0.0: none.</summary>
    public static Ipv4Address Any => default;

    /// <summary>255.255.255.255.</summary>
    public static Ipv4Address Broadcast => new(uint.MaxValue);

    /// <summary>Reads four decimal numbers with dots, and nothing else: no octal, no short forms.</summary>
    public static bool TryParse(string? text, out Ipv4Address address)
    {
        address = default;
        string[] parts = (text ?? "").Split('.');
        if (parts.Length != 4) return false;
        uint value = 0;
        foreach (string part in parts)
        {
            if (part.Length is 0 or > 3 || (part.Length > 1 && part[0] == '0')) return false;
            if (!byte.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out byte number)) return false;
            value = (value << 8) | number;
        }

        address = new Ipv4Address(value);
        return true;
    }

    public override string ToString() => $"{Value >> 24}.{(Value >> 16) & 0xff}.{(Value >> 8) & 0xff}.{Value & 0xff}";
}
