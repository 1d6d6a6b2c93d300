using System.Globalization;
using Xinim.Vfio;

namespace Xinim.Supervisor.Manifests;

/// <summary>
/// One entry of a manifest's <c>matches</c>. From the most to the least specific: <c>8086:100e:1af4:1100</c> (with subsystem ids),
/// <c>8086:100e</c>, <c>8086:*</c>, <c>class:020000</c> (with programming interface), <c>class:0200</c>, <c>class:02</c>; all hexadecimal.
/// </summary>
internal sealed class DeviceMatch
{
    /// <summary>For messages.</summary>
    public const string Forms = "vendor:device, vendor:device:subvendor:subdevice, vendor:* or class:CC, class:CCSS, class:CCSSPP in hexadecimal, such as 8086:100e";

    private readonly Func<PciIdentity, bool> _isFor;

    private DeviceMatch(int rank, Func<PciIdentity, bool> isFor)
    {
        Rank = rank;
        _isFor = isFor;
    }

    /// <summary>Higher is more specific.</summary>
    public int Rank { get; }

    public bool IsFor(PciIdentity identity) => _isFor(identity);

    /// <returns>Null where the text is none of the forms.</returns>
    public static DeviceMatch? Parse(string? text)
    {
        string[] parts = (text ?? "").Split(':');
        if (parts is ["class", { Length: 2 or 4 or 6 } code] && Number(code) is { } number)
        {
            int shift = (6 - code.Length) * 4;
            return new DeviceMatch(code.Length / 2, identity => identity.ClassCode >> shift == number);
        }

        ushort?[] ids = [.. parts.Select(Id)];
        return (parts, ids) switch
        {
            ([_, "*"], [{ } vendor, _]) => new DeviceMatch(4, identity => identity.Vendor == vendor),
            (_, [{ } vendor, { } device]) => new DeviceMatch(5, identity => (identity.Vendor, identity.Device) == (vendor, device)),
            (_, [{ } vendor, { } device, { } subVendor, { } subDevice]) => new DeviceMatch(
                6, identity => (identity.Vendor, identity.Device, identity.SubsystemVendor, identity.Subsystem) == (vendor, device, subVendor, subDevice)),
            _ => null,
        };
    }

    private static ushort? Id(string text) => text.Length == 4 ? (ushort?)Number(text) : null;

    private static uint? Number(string text) => uint.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint number) ? number : null;
}
