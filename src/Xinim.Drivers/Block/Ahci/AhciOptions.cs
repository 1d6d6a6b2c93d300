using System.Globalization;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>What a user may tune. Whatever is on is used where controller and disk have it.</summary>
public sealed record AhciOptions
{
    private const uint MostDepth = 32, MostSeconds = 3600, MostGeneration = 3, MostMilliseconds = 1000;

    /// <summary>Commands that a disk has at a time at the most, 1 to 32.</summary>
    public uint Depth { get; init; } = MostDepth;

    /// <summary>Native command queueing.</summary>
    public bool Queued { get; init; } = true;

    /// <summary>DMA; otherwise PIO.</summary>
    public bool Dma { get; init; } = true;

    /// <summary>48-bit addresses; otherwise no more than the first 128 GiB.</summary>
    public bool Lba48 { get; init; } = true;

    /// <summary>Seconds that a command may take, 1 to 3,600.</summary>
    public uint TimeoutSeconds { get; init; } = 30;

    /// <summary>The fastest generation of the link, 1 for 1.5 Gbit/s to 3 for 6 Gbit/s; 0 for no limit.</summary>
    public uint Speed { get; init; }

    /// <summary>Completions that interrupt together where the controller can, up to 32; 0: each interrupts by itself.</summary>
    public uint CoalesceCommands { get; init; }

    /// <summary>Milliseconds that a completion waits for others at the most, 1 to 1,000.</summary>
    public uint CoalesceMilliseconds { get; init; } = 1;

    /// <summary>Reads what the configuration says; what it leaves out has its default.</summary>
    /// <exception cref="ArgumentException">An unknown key, or a value that is not allowed; says what is.</exception>
    public static AhciOptions Parse(IReadOnlyDictionary<string, string> texts)
    {
        AhciOptions options = new();
        foreach ((string key, string text) in texts)
        {
            options = key switch
            {
                "depth" => options with { Depth = ParseNumber(key, text, 1, MostDepth) },
                "ncq" => options with { Queued = ParseSwitch(key, text) },
                "dma" => options with { Dma = ParseSwitch(key, text) },
                "lba48" => options with { Lba48 = ParseSwitch(key, text) },
                "timeout" => options with { TimeoutSeconds = ParseNumber(key, text, 1, MostSeconds) },
                "speed" => options with { Speed = ParseNumber(key, text, 0, MostGeneration) },
                "coalesceCommands" => options with { CoalesceCommands = ParseNumber(key, text, 0, MostDepth) },
                "coalesceMilliseconds" => options with { CoalesceMilliseconds = ParseNumber(key, text, 1, MostMilliseconds) },
                _ => throw new ArgumentException($"unknown option '{key}'; allowed: depth, ncq, dma, lba48, timeout, speed, coalesceCommands, coalesceMilliseconds"),
            };
        }

        return options;
    }

    private static uint ParseNumber(string key, string text, uint least, uint most)
        => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint value) && value >= least && value <= most
            ? value
            : throw new ArgumentException($"option '{key}' is '{text}'; allowed: {least} to {most}");

    private static bool ParseSwitch(string key, string text)
        => bool.TryParse(text, out bool on) ? on : throw new ArgumentException($"option '{key}' is '{text}'; allowed: true, false");
}
