using System.Globalization;

namespace Xinim.Net.Ip;

/// <summary>Who this station is on its network.</summary>
/// <param name="Address">Its own address.</param>
/// <param name="PrefixLength">Bits of the network's part, 0–32.</param>
/// <param name="Gateway">For everybody else; null where there is none.</param>
public sealed record Ipv4Configuration(Ipv4Address Address, int PrefixLength, Ipv4Address? Gateway)
{
    private uint Mask => PrefixLength == 0 ? 0 : uint.MaxValue << (32 - PrefixLength);

    /// <summary>Reads <c>10.0.2.15/24</c>.</summary>
    public static bool TryParse(string? text, out Ipv4Configuration configuration)
    {
        configuration = new Ipv4Configuration(default, 0, null);
        string[] parts = (text ?? "").Split('/');
        if (parts.Length != 2 || !Ipv4Address.TryParse(parts[0], out Ipv4Address address)) return false;
        if (!int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int prefix) || prefix > 32) return false;
        configuration = new Ipv4Configuration(address, prefix, null);
        return true;
    }

    /// <summary>Bits of a netmask; null where its ones do not stand together.</summary>
    public static int? PrefixOf(Ipv4Address mask)
        => (~mask.Value & (~mask.Value + 1)) == 0 ? int.CreateChecked(uint.PopCount(mask.Value)) : null;

    /// <summary>Where to send a packet for a host; null where it is neither near nor reachable by a gateway.</summary>
    public Ipv4Address? NextHop(Ipv4Address host) => ((host.Value ^ Address.Value) & Mask) == 0 ? host : Gateway;

    public override string ToString() => $"{Address}/{PrefixLength}{(Gateway is { } gateway ? $" by {gateway}" : "")}";
}
