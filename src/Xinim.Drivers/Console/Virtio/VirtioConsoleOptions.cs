using System.Globalization;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>What a user may tune.</summary>
public sealed record VirtioConsoleOptions
{
    /// <summary>Ports that are served at the most, 1 to 32: those with the lowest numbers.</summary>
    public uint Ports { get; init; } = ConsoleDeviceInfo.MostPorts;

    /// <summary>A driver that fails writes its reason to the console by emergency write, where the device has it. Off: it goes to the log only.</summary>
    public bool LastWords { get; init; }

    /// <summary>Reads what the configuration says; what it leaves out has its default.</summary>
    /// <exception cref="ArgumentException">An unknown key, or a value that is not allowed; says what is.</exception>
    public static VirtioConsoleOptions Parse(IReadOnlyDictionary<string, string> texts)
    {
        VirtioConsoleOptions options = new();
        foreach ((string key, string text) in texts)
        {
            options = key switch
            {
                "ports" => options with { Ports = ParsePorts(text) },
                "lastWords" => options with
                {
                    LastWords = bool.TryParse(text, out bool on) ? on : throw new ArgumentException($"option '{key}' is '{text}'; allowed: true, false"),
                },
                _ => throw new ArgumentException($"unknown option '{key}'; allowed: ports, lastWords"),
            };
        }

        return options;
    }

    private static uint ParsePorts(string text)
        => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint value) && value is >= 1 and <= ConsoleDeviceInfo.MostPorts
            ? value
            : throw new ArgumentException($"option 'ports' is '{text}'; allowed: 1 to {ConsoleDeviceInfo.MostPorts}");
}
