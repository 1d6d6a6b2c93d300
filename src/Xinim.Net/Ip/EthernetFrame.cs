using System.Buffers.Binary;
using Xinim.Ipc.Protocols;

namespace Xinim.Net.Ip;

/// <summary>An untagged Ethernet II frame without FCS (IEEE 802.3), as a window on received bytes.</summary>
public readonly ref struct EthernetFrame
{
    public const int HeaderBytes = 14;

    /// <summary>Shorter frames are padded to this, FCS not counted.</summary>
    public const int MinBytes = 60;

    private EthernetFrame(ReadOnlySpan<byte> bytes)
    {
        Destination = MacAddress.From(bytes);
        Source = MacAddress.From(bytes[6..]);
        Type = (EtherType)BinaryPrimitives.ReadUInt16BigEndian(bytes[12..]);
        Payload = bytes[HeaderBytes..];
    }

    public MacAddress Destination { get; }

    public MacAddress Source { get; }

    public EtherType Type { get; }

    /// <summary>Padding included.</summary>
    public ReadOnlySpan<byte> Payload { get; }

    public static MacAddress BroadcastMac => MacAddress.From([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);

    /// <returns>False where there is no whole header.</returns>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out EthernetFrame frame)
    {
        frame = default;
        if (bytes.Length < HeaderBytes) return false;
        frame = new EthernetFrame(bytes);
        return true;
    }

    /// <summary>Writes a header.</summary>
    /// <returns>The room behind it.</returns>
    public static Span<byte> Write(Span<byte> into, in MacAddress destination, in MacAddress source, EtherType type)
    {
        destination.CopyTo(into);
        source.CopyTo(into[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(into[12..], (ushort)type);
        return into[HeaderBytes..];
    }
}

/// <summary>Protocols above Ethernet (IEEE 802 Numbers).</summary>
public enum EtherType : ushort
{
    Ipv4 = 0x0800,
    Arp = 0x0806,

    /// <summary>Local Experimental EtherType 1 (IEEE 802): for frames that mean nothing to anybody else.</summary>
    LocalExperimental = 0x88b5,
}

/// <summary>What InlineArray leaves out.</summary>
internal static class MacAddressExtensions
{
    public static void CopyTo(in this MacAddress mac, Span<byte> into) => ((ReadOnlySpan<byte>)mac).CopyTo(into);

    public static bool Is(in this MacAddress mac, in MacAddress other) => ((ReadOnlySpan<byte>)mac).SequenceEqual(other);
}
