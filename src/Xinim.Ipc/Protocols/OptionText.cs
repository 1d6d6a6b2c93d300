using System.Runtime.CompilerServices;
using System.Text;

namespace Xinim.Ipc.Protocols;

/// <summary>A driver's options inside a struct: lines of <c>key=value</c> in UTF-8, padded with zeros. What they mean is the driver's.</summary>
[InlineArray(Bytes)]
public struct OptionText
{
    public const int Bytes = 512;

    private byte _first;

    /// <exception cref="LinuxException">More than 512 bytes, or a key or value that cannot be told from its neighbour.</exception>
    public static OptionText From(IReadOnlyDictionary<string, string> options)
    {
        OptionText text = default;
        foreach ((string key, string value) in options)
        {
            if (key.Length == 0 || key.AsSpan().ContainsAny('=', '\n', '\0') || value.AsSpan().ContainsAny('\n', '\0'))
                throw new LinuxException($"option '{key.ReplaceLineEndings(" ")}' has a key with '=' or without a character, or a line break; leave that out");
        }

        string lines = string.Join('\n', options.Select(option => $"{option.Key}={option.Value}"));
        if (!Encoding.UTF8.TryGetBytes(lines, text, out _))
            throw new LinuxException($"the options have {Encoding.UTF8.GetByteCount(lines)} bytes as lines of key=value, a driver takes {Bytes}; give fewer");
        return text;
    }

    /// <exception cref="LinuxException">Not lines of key=value, or a key stands twice.</exception>
    public readonly IReadOnlyDictionary<string, string> ToDictionary()
    {
        ReadOnlySpan<byte> bytes = this;
        int end = bytes.IndexOf((byte)0);
        Dictionary<string, string> options = new(StringComparer.Ordinal);
        foreach (string line in Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = line.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || !options.TryAdd(line[..equals], line[(equals + 1)..])) throw new LinuxException($"the option '{line}' is no key=value, or stands twice");
        }

        return options;
    }
}
