using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Xinim.Vfio.Pci;

/// <summary>Where a PCI function sits: domain, bus, device, function; written as <c>0000:00:03.0</c>.</summary>
/// <param name="Domain">Usually 0; beyond 16 bits behind a VMD.</param>
/// <param name="Bus">0–255.</param>
/// <param name="Device">0–31.</param>
/// <param name="Function">0–7.</param>
public readonly record struct PciAddress(uint Domain, byte Bus, byte Device, byte Function) : IComparable<PciAddress>
{
    public static bool operator <(PciAddress left, PciAddress right) => left.CompareTo(right) < 0;

    public static bool operator >(PciAddress left, PciAddress right) => left.CompareTo(right) > 0;

    public static bool operator <=(PciAddress left, PciAddress right) => left.CompareTo(right) <= 0;

    public static bool operator >=(PciAddress left, PciAddress right) => left.CompareTo(right) >= 0;

    /// <summary>Reads <c>0000:00:03.0</c> or, for domain 0, <c>00:03.0</c>.</summary>
    /// <exception cref="FormatException">Anything else.</exception>
    public static PciAddress Parse(string text) =>
        TryParse(text, out PciAddress address) ? address : throw new FormatException($"'{text}' is not a PCI address such as 0000:00:03.0 or 00:03.0");

    /// <summary>Reads an address without an exception.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out PciAddress address)
    {
        address = default;
        string[] parts = (text ?? "").Split(':');
        if (parts.Length is < 2 or > 3) return false;
        string[] last = parts[^1].Split('.');
        uint domain = 0;
        if (parts.Length == 3 && !TryHex(parts[0], 4, 8, uint.MaxValue, out domain)) return false;
        if (last.Length != 2 || !TryHex(parts[^2], 2, 2, 255, out uint bus)) return false;
        if (!TryHex(last[0], 2, 2, 31, out uint device) || !TryHex(last[1], 1, 1, 7, out uint function)) return false;
        address = new PciAddress(domain, (byte)bus, (byte)device, (byte)function);
        return true;
    }

    public int CompareTo(PciAddress other) =>
        (Domain, Bus, Device, Function).CompareTo((other.Domain, other.Bus, other.Device, other.Function));

    public override string ToString() => $"{Domain:x4}:{Bus:x2}:{Device:x2}.{Function:x1}";

    private static bool TryHex(string text, int shortest, int longest, uint limit, out uint value)
    {
        value = 0;
        return text.Length >= shortest && text.Length <= longest
            && uint.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value) && value <= limit;
    }
}
