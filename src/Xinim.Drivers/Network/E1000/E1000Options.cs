using System.Globalization;
using System.Numerics;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Network.E1000;

/// <summary>What a user may tune. The defaults suit a gigabit link with 2 KiB buffers.</summary>
public sealed record E1000Options
{
    /// <summary>The smallest ring: with fewer descriptors a jumbo frame and its context descriptor fill it.</summary>
    public const uint MinRing = 64;

    /// <summary>The largest ring: RDLEN and TDLEN hold 65,536 descriptors, the manual promises 4,096 [SDM §13.4.27, §13.4.38].</summary>
    public const uint MaxRing = 4096;

    /// <summary>Transmit descriptors, a power of two from 64 to 4,096.</summary>
    public uint TxDescriptors { get; init; } = 1024;

    /// <summary>Receive descriptors, a power of two from 64 to 4,096: more than for transmit, since their number is the burst that a slow client survives.</summary>
    public uint RxDescriptors { get; init; } = 2048;

    /// <summary>Least time between interrupts in units of 256 ns, or null to follow the load. 0 switches moderation off.</summary>
    public ushort? ThrottleInterval { get; init; }

    /// <summary>
    /// False withholds TCP segmentation: it is not offered, and requests for it are rejected. For QEMU 7.2's models, of which the 82574
    /// cuts into IP fragments unless its back end does offloads, and the others write a wrong IPv6 payload length.
    /// </summary>
    public bool Segmentation { get; init; } = true;

    /// <summary>Reads what the configuration says: <c>txDescriptors</c>, <c>rxDescriptors</c>, <c>throttleInterval</c>, <c>segmentation</c>; what it leaves out has its default.</summary>
    /// <exception cref="ArgumentException">An unknown key, or a value that is not allowed; says what is.</exception>
    public static E1000Options Parse(IReadOnlyDictionary<string, string> texts)
    {
        E1000Options options = new();
        foreach ((string key, string text) in texts)
        {
            options = key switch
            {
                "txDescriptors" => options with { TxDescriptors = ParseNumber(key, text, MaxRing) },
                "rxDescriptors" => options with { RxDescriptors = ParseNumber(key, text, MaxRing) },
                "throttleInterval" => options with { ThrottleInterval = (ushort)ParseNumber(key, text, ushort.MaxValue) },
                "segmentation" => options with { Segmentation = bool.TryParse(text, out bool on) ? on : throw new ArgumentException($"option '{key}' is '{text}'; allowed: true, false") },
                _ => throw new ArgumentException($"unknown option '{key}'; allowed: txDescriptors, rxDescriptors, throttleInterval, segmentation"),
            };
        }

        return options.Check();
    }

    /// <exception cref="ArgumentException">A ring size that the device or the index arithmetic cannot do.</exception>
    internal E1000Options Check()
    {
        CheckRing("txDescriptors", TxDescriptors);
        CheckRing("rxDescriptors", RxDescriptors);
        return this;
    }

    /// <summary>What the driver says of itself when it is ready.</summary>
    internal NetworkDeviceInfo Describe(in MacAddress mac, LinkState link) => new()
    {
        Mac = mac,
        VectorsUsed = 1,
        Offloads = NetFlags.Vlan | NetFlags.Ipv4Checksum | NetFlags.TcpChecksum | NetFlags.UdpChecksum | NetFlags.TransportChecksum
            | NetFlags.ChecksumBad | (Segmentation ? NetFlags.Segment | NetFlags.Ipv6 : NetFlags.None),
        MaxFrame = E1000Hardware.MaxFrame,
        TxDescriptors = TxDescriptors - 1,
        RxDescriptors = RxDescriptors - 1,
        RxBufferBytes = E1000Hardware.RxBufferBytes,
        Link = link,
    };

    private static void CheckRing(string name, uint count)
    {
        if (count is < MinRing or > MaxRing || !BitOperations.IsPow2(count))
            throw new ArgumentException($"option '{name}' is {count}; allowed: a power of two from {MinRing} to {MaxRing}");
    }

    private static uint ParseNumber(string key, string text, uint most)
        => uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint value) && value <= most
            ? value
            : throw new ArgumentException($"option '{key}' is '{text}'; allowed: a whole number up to {most}");
}
