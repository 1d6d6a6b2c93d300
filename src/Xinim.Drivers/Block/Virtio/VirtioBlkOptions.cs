using System.Globalization;
using System.Numerics;
using Xinim.Drivers.Virtio;

namespace Xinim.Drivers.Block.Virtio;

/// <summary>What a user may tune. Whatever is on is used where the device offers it.</summary>
public sealed record VirtioBlkOptions
{
    private const uint MinRing = 4, MaxRing = 32768, MostQueues = 16;

    /// <summary>Entries of a queue at the most, a power of two from 4 to 32,768; with tables of descriptors a request takes one.</summary>
    public uint Descriptors { get; init; } = 256;

    /// <summary>Queues at the most, 1 to 16: one thread serves them all, more than one helps where the device has a thread for each.</summary>
    public uint Queues { get; init; } = 1;

    /// <summary>Packed queues instead of split ones.</summary>
    public bool Packed { get; init; } = true;

    /// <summary>Tables of descriptors.</summary>
    public bool Indirect { get; init; } = true;

    /// <summary>Notifications by index.</summary>
    public bool EventIndex { get; init; } = true;

    /// <summary>Reads what the configuration says; what it leaves out has its default.</summary>
    /// <exception cref="ArgumentException">An unknown key, or a value that is not allowed; says what is.</exception>
    public static VirtioBlkOptions Parse(IReadOnlyDictionary<string, string> texts)
    {
        VirtioBlkOptions options = new();
        foreach ((string key, string text) in texts)
        {
            options = key switch
            {
                "descriptors" => options with { Descriptors = ParseRing(key, text) },
                "queues" => options with { Queues = ParseQueues(key, text) },
                "packed" => options with { Packed = ParseSwitch(key, text) },
                "indirect" => options with { Indirect = ParseSwitch(key, text) },
                "eventIndex" => options with { EventIndex = ParseSwitch(key, text) },
                _ => throw new ArgumentException($"unknown option '{key}'; allowed: descriptors, queues, packed, indirect, eventIndex"),
            };
        }

        return options;
    }

    /// <summary>The queue features among them. Not IN_ORDER: a disk that may not answer the quick request before the slow one is slower.</summary>
    internal VirtioFeatures QueueFeatures => VirtioFeatures.OrderPlatform
        | (Packed ? VirtioFeatures.RingPacked : 0) | (Indirect ? VirtioFeatures.IndirectDescriptors : 0) | (EventIndex ? VirtioFeatures.EventIndex : 0);

    private static uint ParseRing(string key, string text)
        => ParseNumber(text) is { } value and >= MinRing and <= MaxRing && BitOperations.IsPow2(value)
            ? value
            : throw new ArgumentException($"option '{key}' is '{text}'; allowed: a power of two from {MinRing} to {MaxRing}");

    private static uint ParseQueues(string key, string text)
        => ParseNumber(text) is { } value and >= 1 and <= MostQueues ? value : throw new ArgumentException($"option '{key}' is '{text}'; allowed: 1 to {MostQueues}");

    private static uint? ParseNumber(string text) => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint value) ? value : null;

    private static bool ParseSwitch(string key, string text)
        => bool.TryParse(text, out bool on) ? on : throw new ArgumentException($"option '{key}' is '{text}'; allowed: true, false");
}
