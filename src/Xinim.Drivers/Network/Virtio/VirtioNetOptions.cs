using System.Globalization;
using System.Numerics;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>What a user may tune. Whatever is on is used where the device offers it.</summary>
public sealed record VirtioNetOptions
{
    private const uint MinRing = 4, MaxRing = 32768, MaxCoalesce = 10_000;

    /// <summary>Entries of the transmit queue at the most, a power of two from 4 to 32,768; a frame takes one or two.</summary>
    public uint TxDescriptors { get; init; } = 1024;

    /// <summary>Entries of the receive queue at the most.</summary>
    public uint RxDescriptors { get; init; } = 1024;

    /// <summary>Instead of the device's own address: set in the device where it can be, otherwise only told to clients.</summary>
    public MacAddress? Mac { get; init; }

    /// <summary>Packed queues instead of split ones.</summary>
    public bool Packed { get; init; } = true;

    /// <summary>Tables of descriptors, so that a frame takes one entry.</summary>
    public bool Indirect { get; init; }

    /// <summary>Notifications by index.</summary>
    public bool EventIndex { get; init; } = true;

    /// <summary>Buffers come back in order.</summary>
    public bool InOrder { get; init; } = true;

    /// <summary>Filter by VLAN in the device. Off by default: without a filter each of the 4,096 VLANs has to be let through by a command of its own.</summary>
    public bool VlanFilter { get; init; }

    /// <summary>A frame's header goes with it in one piece, in the client's memory: one descriptor instead of two.</summary>
    public bool Headroom { get; init; } = true;

    /// <summary>Frames may come with a checksum that the device vouches for. Where it offers that, received headers lie in the driver's memory, which reads them.</summary>
    public bool RxChecksum { get; init; } = true;

    /// <summary>Microseconds that the device may gather interrupts for; 0 leaves it as it is.</summary>
    public uint CoalesceMicroseconds { get; init; }

    /// <summary>Reads what the configuration says; what it leaves out has its default.</summary>
    /// <exception cref="ArgumentException">An unknown key, or a value that is not allowed; says what is.</exception>
    public static VirtioNetOptions Parse(IReadOnlyDictionary<string, string> texts)
    {
        VirtioNetOptions options = new();
        foreach ((string key, string text) in texts)
        {
            options = key switch
            {
                "txDescriptors" => options with { TxDescriptors = ParseRing(key, text) },
                "rxDescriptors" => options with { RxDescriptors = ParseRing(key, text) },
                "mac" => options with { Mac = ParseMac(key, text) },
                "packed" => options with { Packed = ParseSwitch(key, text) },
                "indirect" => options with { Indirect = ParseSwitch(key, text) },
                "eventIndex" => options with { EventIndex = ParseSwitch(key, text) },
                "inOrder" => options with { InOrder = ParseSwitch(key, text) },
                "vlanFilter" => options with { VlanFilter = ParseSwitch(key, text) },
                "headroom" => options with { Headroom = ParseSwitch(key, text) },
                "rxChecksum" => options with { RxChecksum = ParseSwitch(key, text) },
                "coalesceMicroseconds" => options with { CoalesceMicroseconds = ParseMicroseconds(key, text) },
                _ => throw new ArgumentException($"unknown option '{key}'; allowed: txDescriptors, rxDescriptors, mac, packed, indirect, eventIndex, inOrder, vlanFilter, headroom, rxChecksum, coalesceMicroseconds"),
            };
        }

        return options;
    }

    /// <summary>The queue features among them.</summary>
    internal VirtioFeatures QueueFeatures => VirtioFeatures.OrderPlatform | VirtioFeatures.RingReset
        | (Packed ? VirtioFeatures.RingPacked : 0) | (Indirect ? VirtioFeatures.IndirectDescriptors : 0)
        | (EventIndex ? VirtioFeatures.EventIndex : 0) | (InOrder ? VirtioFeatures.InOrder : 0);

    private static uint ParseRing(string key, string text)
        => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint value) && value is >= MinRing and <= MaxRing && BitOperations.IsPow2(value)
            ? value
            : throw new ArgumentException($"option '{key}' is '{text}'; allowed: a power of two from {MinRing} to {MaxRing}");

    private static uint ParseMicroseconds(string key, string text)
        => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint value) && value <= MaxCoalesce
            ? value
            : throw new ArgumentException($"option '{key}' is '{text}'; allowed: 0 to {MaxCoalesce}");

    private static MacAddress ParseMac(string key, string text)
    {
        string[] words = text.Split(':');
        byte[] bytes = [.. words.Select(word => byte.TryParse(word, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value) ? value : byte.MaxValue)];
        bool right = bytes.Length == 6 && text.Length == 17 && words.All(word => word.Length == 2 && word.All(char.IsAsciiHexDigit));
        return right && (bytes[0] & 1) == 0 ? MacAddress.From(bytes) : throw new ArgumentException($"option '{key}' is '{text}'; allowed: a unicast address such as 52:54:00:12:34:56");
    }

    private static bool ParseSwitch(string key, string text)
        => bool.TryParse(text, out bool on) ? on : throw new ArgumentException($"option '{key}' is '{text}'; allowed: true, false");
}
