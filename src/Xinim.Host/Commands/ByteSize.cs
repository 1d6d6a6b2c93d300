using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Xinim.Host.Commands;

/// <summary>Sizes as people write them: 512, 4K, 1M, 2G, in powers of 1024.</summary>
internal static class ByteSize
{
    private const string Units = "KMGTP";

    /// <summary>An option that takes a size.</summary>
    public static Option<ulong?> Option(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "SIZE",
        CustomParser = Parse,
    };

    /// <returns>Null where it is no size.</returns>
    public static ulong? Read(string text)
    {
        string digits = text.TrimEnd('B', 'b').TrimEnd('i');
        int unit = digits.Length == 0 ? -1 : Units.IndexOf(char.ToUpperInvariant(digits[^1]), StringComparison.Ordinal);
        if (unit >= 0) digits = digits[..^1];
        if (!ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)) return null;
        int shift = 10 * (unit + 1);
        return number > ulong.MaxValue >> shift ? null : number << shift;
    }

    private static ulong? Parse(ArgumentResult result)
    {
        string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
        if (Read(text) is { } size) return size;
        result.AddError($"'{text}' is no size such as 512, 4K, 1M or 2G");
        return null;
    }
}
